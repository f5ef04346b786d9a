"""Where requests wait for the model: one thread owns it, and answers requests of a kind together."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from uniperceiver.predictor import Predictor
from uniperceiver.serve.errors import ServiceError, invalid, queue_full
from uniperceiver.serve.limits import Limits
from uniperceiver.serve.metrics import Metrics
from uniperceiver.serve.questions import Json, Question, ask

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Waiting:
    question: Question
    answer: Future[Json] = field(default_factory=Future)


class Desk:
    """A queue of bounded length before a `Predictor`, which is not made for several threads.

    A batch is the oldest request and those like it (`Question.shared`), up to ``limits.batch`` of them and about
    ``limits.pixels`` pixels in all. While the model computes, requests gather; when it is idle, the first waits
    ``limits.window_seconds`` for others.
    """

    def __init__(self, predictor: Predictor, limits: Limits, metrics: Metrics) -> None:
        self.predictor = predictor
        self.limits = limits
        self.metrics = metrics
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    @property
    def is_ready(self) -> bool:
        """Whether it takes questions and someone answers them."""
        return not self._is_closed and self._thread.is_alive()

    def submit(self, question: Question) -> Future[Json]:
        """Queue a question. Cancel what is returned to leave the queue again.

        The future's exception is a `ServiceError` where the question is to blame.

        Raises:
            ServiceError: 503, the queue is full or the server is stopping.
        """
        waiting = _Waiting(question)
        with self._changed:
            if self._is_closed:
                raise ServiceError(503, "stopping", "the server is stopping", "ask another server, or later")
            if len(self._waiting) >= self.limits.queue:
                raise queue_full(len(self._waiting))
            self._waiting.append(waiting)
            self.metrics.waiting.set(len(self._waiting))
            self._changed.notify_all()
        return waiting.answer

    def close(self) -> None:
        """Take no more questions, answer those that wait, and return when that is done."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join()

    def _work(self) -> None:
        while batch := self._next_batch():
            running = [waiting for waiting in batch if waiting.answer.set_running_or_notify_cancel()]
            if running:
                self._answer(running)

    def _next_batch(self) -> list[_Waiting]:
        """The oldest question and those asked with it; nothing when the desk is closed and the queue empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            end = time.monotonic() + self.limits.window_seconds
            while self._waiting and not self._is_closed and (left := end - time.monotonic()) > 0:
                if len(self._like_the_first()) >= self.limits.batch:
                    break
                self._changed.wait(left)
            batch = self._like_the_first()
            taken = set(map(id, batch))
            self._waiting = deque(waiting for waiting in self._waiting if id(waiting) not in taken)
            self.metrics.waiting.set(len(self._waiting))
            return batch

    def _like_the_first(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        pixels = 0
        for waiting in self._waiting:
            if batch and waiting.question.shared != batch[0].question.shared:
                continue
            pixels += waiting.question.pixels
            if batch and (pixels > self.limits.pixels or len(batch) >= self.limits.batch):
                break
            batch.append(waiting)
        return batch

    def _answer(self, batch: Sequence[_Waiting]) -> None:
        """Answer together; where that fails, one by one, so that nobody suffers for another's mistake."""
        verb = batch[0].question.verb
        start = time.perf_counter()
        try:
            answers = ask(self.predictor, [waiting.question for waiting in batch])
        except Exception as error:
            if len(batch) == 1:
                batch[0].answer.set_exception(_to_blame(error))
                return
            for waiting in batch:
                self._answer([waiting])
            return
        self.metrics.batch_size.labels(verb).observe(len(batch))
        self.metrics.model_seconds.labels(verb).observe(time.perf_counter() - start)
        for waiting, answer in zip(batch, answers, strict=True):
            waiting.answer.set_result(answer)


def _to_blame(error: Exception) -> Exception:
    """What the asker is told: the model's ValueErrors say what is wrong with a request."""
    if isinstance(error, ValueError):
        return invalid(str(error))
    _LOG.error("a request failed", exc_info=error)
    return error
