"""Waiting, batching, refusing, stopping."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import wait

import pytest

from uniperceiver import Predictor
from uniperceiver.serve.desk import Desk
from uniperceiver.serve.errors import ServiceError
from uniperceiver.serve.limits import Limits
from uniperceiver.serve.metrics import Metrics
from uniperceiver.serve.questions import Question


class Gate:
    """Lets a desk's model compute when it is opened, and keeps the sizes of its batches."""

    def __init__(self, predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened = threading.Event()
        self.entered = threading.Event()
        self.batches: list[int] = []
        embed = predictor.embed_text

        def held(texts: list[str]) -> object:
            self.entered.set()
            assert self.opened.wait(300)
            self.batches.append(len(texts))
            return embed(texts)

        monkeypatch.setattr(predictor, "embed_text", held)


@pytest.fixture
def gate(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(predictor, monkeypatch)


@pytest.fixture
def desk(predictor: Predictor, gate: Gate) -> Iterator[Desk]:
    desk = Desk(predictor, Limits(queue=6, batch=4, window_seconds=0.01), Metrics())
    yield desk
    gate.opened.set()
    desk.close()


def text(number: int) -> Question:
    return Question("embed_text", texts=(f"text {number}",))


def test_what_waits_is_computed_together(desk: Desk, gate: Gate) -> None:
    first = desk.submit(text(0))
    assert gate.entered.wait(300)
    waiting = [desk.submit(text(number)) for number in range(1, 7)]
    gate.opened.set()
    wait([first, *waiting], 20)
    assert gate.batches == [1, 4, 2]
    alone = desk.predictor.embed_text(["text 3"])[0].tolist()
    assert waiting[2].result()["embeddings"][0] == pytest.approx(alone, abs=1e-6)


def test_a_full_queue_refuses(desk: Desk, gate: Gate) -> None:
    desk.submit(text(0))
    assert gate.entered.wait(300)
    for number in range(6):
        desk.submit(text(number))
    with pytest.raises(ServiceError, match="6 requests are waiting") as refused:
        desk.submit(text(9))
    assert refused.value.status == 503
    assert "uniperceiver_waiting 6.0" in desk.metrics.text().decode()


def test_who_gives_up_is_not_computed(desk: Desk, gate: Gate) -> None:
    first = desk.submit(text(0))
    assert gate.entered.wait(300)
    given_up, other = desk.submit(text(1)), desk.submit(text(2))
    assert given_up.cancel()
    gate.opened.set()
    wait([first, other], 20)
    assert gate.batches == [1, 1]


def test_a_mistake_is_the_own_one_alone(desk: Desk, gate: Gate, photo: bytes) -> None:
    first = desk.submit(text(0))
    assert gate.entered.wait(300)
    good, broken, good_too = (
        desk.submit(Question("classify", picture=data, pixels=4800)) for data in (photo, photo[:100], photo)
    )
    gate.opened.set()
    wait([first, good, broken, good_too], 20)
    assert good.result() == good_too.result()
    assert isinstance(error := broken.exception(), ServiceError)
    assert error.status == 422


def test_different_labels_are_not_mixed(desk: Desk, gate: Gate, photo: bytes) -> None:
    asked = [("cat", "dog"), ("tree", "road"), ("cat", "dog")]
    found = [desk.submit(Question("classify", picture=photo, pixels=4800, candidates=names)) for names in asked]
    for names, answer in zip(asked, found, strict=True):
        assert set(answer.result(300)["names"]) == set(names)


def test_a_batch_has_a_bounded_number_of_pixels(predictor: Predictor, gate: Gate, photo: bytes) -> None:
    gate.opened.set()
    metrics = Metrics()
    desk = Desk(predictor, Limits(pixels=10_000, batch=8, window_seconds=0.2), metrics)
    found = [desk.submit(Question("classify", picture=photo, pixels=4800)) for _ in range(4)]
    wait(found, 300)
    desk.close()
    assert 'uniperceiver_batch_size_bucket{le="2.0",verb="classify"} 2.0' in metrics.text().decode()


def test_closing_answers_what_waits(predictor: Predictor, gate: Gate) -> None:
    desk = Desk(predictor, Limits(), Metrics())
    found = [desk.submit(text(number)) for number in range(5)]
    threading.Timer(0.1, gate.opened.set).start()
    desk.close()
    assert all(answer.done() and answer.exception() is None for answer in found)
    assert not desk.is_ready
    with pytest.raises(ServiceError, match="stopping") as refused:
        desk.submit(text(0))
    assert refused.value.status == 503


def test_limits_are_above_zero() -> None:
    with pytest.raises(ValueError, match="queue must be above 0"):
        Limits(queue=0)
    with pytest.raises(ValueError, match="seconds"):
        Limits(seconds=float("nan"))
