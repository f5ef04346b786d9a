"""The tasks of a checkpoint, ready to be asked with any candidates."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from uniperceiver.checkpoint import Checkpoint
from uniperceiver.config import FrameSamplingConfig, PatchEncoderConfig, TaskKind
from uniperceiver.data.records import Video
from uniperceiver.data.transforms import Transform, test_transform
from uniperceiver.predictor.videos import VideoReader
from uniperceiver.stored_tasks import StoredTask
from uniperceiver.tasks import build_task
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.encoding_store import EncodingStore
from uniperceiver.tasks.fitting_data import RECORDS
from uniperceiver.tasks.task import Task, TaskSetting

CANDIDATE_SETS = 32
"""Sets of labels, texts or answers whose representations are kept; the one asked for longest ago goes first."""
WHOLE_PICTURE: tuple[TaskKind, ...] = (
    "detection",
    "captioning",
    "visual_question_answering",
    "retrieval",
    "classification",
)
"""Kinds in the order in which they see most of a picture: all of it in its own shape, all of it, its centre."""


@dataclass(frozen=True)
class PreparedTask:
    """A task with candidates, and how it wants its pictures and videos."""

    task: Task
    transform: Transform
    read_video: VideoReader | None
    """None: it takes no videos."""


class PreparedTasks:
    """Finds tasks by their kind; candidates are encoded once however often they are asked for.

    ``share_encoding``: all tasks see a picture as the first trained kind of `WHOLE_PICTURE` does.
    """

    def __init__(self, checkpoint: Checkpoint, share_encoding: bool) -> None:
        self.checkpoint = checkpoint
        self.share_encoding = share_encoding
        self._prepared: OrderedDict[tuple[TaskKind, str | None, tuple[str, ...] | None], PreparedTask] = OrderedDict()

    def find(self, kind: TaskKind, texts: Sequence[str] | None, stream: str | None = None) -> PreparedTask:
        """The task of this kind that compares with ``texts``, or None: with what it was trained with.

        All streams of the kind count as one, or ``stream`` alone.

        Raises:
            ValueError: the checkpoint was not trained for it, or the texts are none, blank or given twice.
        """
        candidates = None if texts is None else checked(texts)
        key = (kind, stream, candidates)
        prepared = self._prepared.pop(key, None) or self._prepare(kind, stream, candidates)
        self._prepared[key] = prepared
        while len(self._prepared) > CANDIDATE_SETS:
            self._prepared.popitem(last=False)
        return prepared

    def stream(self, kind: TaskKind, name: str | None) -> str:
        """The stream of this kind that is called ``name``, which need not be given where there is only one.

        For tasks of which two cannot count as one, since each asks in its own way.

        Raises:
            ValueError: there is none, none of that name, or several and no name.
        """
        self._stored(kind, None)
        names = [own for own, task in self.checkpoint.tasks.items() if task.config.kind == kind]
        if name is None and len(names) == 1:
            return names[0]
        if name not in names:
            what = "several tasks" if name is None else f"no task {name!r}"
            raise ValueError(f"this checkpoint has {what} of {kind}: name one of {', '.join(names)}")
        return name

    def transform_beside_text(self) -> Transform:
        """How a picture is brought to size that stands beside a text with slots: as where both were trained."""
        beside: tuple[TaskKind, ...] = ("captioning", "visual_question_answering", *WHOLE_PICTURE)
        return self._transform(next(kind for kind in beside if self._of(kind)))

    def video_reader(self, kind: TaskKind) -> VideoReader | None:
        """How tasks of this kind look at a video file; None: they take no videos, or the model reads single pictures.

        As the first stream of videos is evaluated; where the model was trained on none, or it is not known, at frames
        evenly over the video.
        """
        image = self.checkpoint.model.config.image
        takes_videos = any(issubclass(record, Video) for record in RECORDS[kind])
        if not takes_videos or not self._of(kind) or not isinstance(image, PatchEncoderConfig):
            return None
        for task in self._of(kind):
            if task.sampling is not None:
                return VideoReader(task.sampling, test_transform(kind, task.config.image))
        size = self._stored(kind, None).config.image
        return VideoReader(FrameSamplingConfig().within(image.frames), test_transform(kind, size))

    def _prepare(self, kind: TaskKind, stream: str | None, candidates: tuple[str, ...] | None) -> PreparedTask:
        stored = self._stored(kind, stream)
        tokenizer = self.checkpoint.tokenizer
        setting = TaskSetting(stored.config, tokenizer, self.checkpoint.model.config.pixels)
        texts, token_ids = (stored.texts, stored.token_ids) if candidates is None else (candidates, ())
        candidate_set = CandidateSet.restored(texts, token_ids, tokenizer)
        candidate_set.store = EncodingStore.of_user()
        return PreparedTask(build_task(setting, candidate_set), self._transform(kind), self.video_reader(kind))

    def _transform(self, kind: TaskKind) -> Transform:
        if self.share_encoding and kind in WHOLE_PICTURE:
            kind = next(known for known in WHOLE_PICTURE if self._of(known))
        return test_transform(kind, self._stored(kind, None).config.image)

    def _stored(self, kind: TaskKind, stream: str | None) -> StoredTask:
        """The task of this kind that the model was trained for (`Checkpoint.task_of`), or that of one ``stream``."""
        stored = self.checkpoint.task_of(kind) if stream is None else self.checkpoint.tasks[stream]
        if stored is None:
            known = ", ".join(sorted({task.config.kind for task in self.checkpoint.tasks.values()})) or "nothing"
            raise ValueError(f"this checkpoint was not trained for {kind}; it was trained for {known}")
        return stored

    def _of(self, kind: TaskKind) -> list[StoredTask]:
        return [task for task in self.checkpoint.tasks.values() if task.config.kind == kind]


def checked(texts: Sequence[str]) -> tuple[str, ...]:
    """Candidates that can be told apart; ValueError for a single text, none, a blank one, or one given twice."""
    if isinstance(texts, str):
        raise ValueError(f"expected a list of texts, got the single text {texts!r:.80}: write [{texts!r:.80}]")
    if not texts:
        raise ValueError("the list of labels is empty: give at least one text, or None for those it was trained with")
    blank = next((place for place, text in enumerate(texts) if not text.strip()), None)
    if blank is not None:
        raise ValueError(f"label {blank} is blank: every label needs a text")
    if len(set(texts)) < len(texts):
        twice = next(text for place, text in enumerate(texts) if text in texts[:place])
        raise ValueError(f"label {twice!r:.80} is given twice: its probability would be split between the two")
    return tuple(texts)
