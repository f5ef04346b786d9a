"""The verbs of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from uniperceiver.adapter import adapted
from uniperceiver.checkpoint import Checkpoint, load_checkpoint
from uniperceiver.config import Precision, TaskKind
from uniperceiver.data.records import QuestionedImage, Record, TextRecord
from uniperceiver.distributed import usable_device
from uniperceiver.likelihood import similarity
from uniperceiver.model.image_encoder import ImageFeatures
from uniperceiver.precision import computed_in, inference
from uniperceiver.predictions import Answer, Caption, Classification, Detection, FilledMask, Match
from uniperceiver.predictor.encoded_picture import (
    EncodedPicture,
    Look,
    Pictures,
    RecentPictures,
    captioned,
    drawable,
    joined,
    labelled,
    looks_by_canvas,
    unannotated,
)
from uniperceiver.predictor.fingerprint import fingerprint_of
from uniperceiver.predictor.model_folders import find_checkpoint, model_card, push_checkpoint
from uniperceiver.predictor.pictures import listed
from uniperceiver.predictor.prepared_tasks import PreparedTask, PreparedTasks, checked
from uniperceiver.predictor.texts import Texts, listed_texts, one_for_each, questions_for, texts_to_classify, with_slots
from uniperceiver.predictor.videos import VideoReader
from uniperceiver.tasks.detection import DetectionTask
from uniperceiver.tasks.glue import words_of
from uniperceiver.tasks.retrieval import RetrievalTask
from uniperceiver.tasks.task import Task
from uniperceiver.tasks.text_classification import TextClassificationTask
from uniperceiver.text_predictions import TextClassification


class Predictor:
    """A checkpoint ready to answer.

    Every verb takes one picture or a list and gives a list in the same order; where there is a `video_reader`, files of
    videos as well. Pictures are computed in batches of which all have the same size when padded, so a picture's result
    does not depend on its neighbours but for the last digits of float sums. A picture is prepared as the task was
    trained; verbs that prepare it alike share one encoding, kept for the ``remembered`` pictures seen last, or as long
    as the caller keeps what `look` gave.

    Args:
        checkpoint: what to ask.
        device: where to compute.
        batch_size: pictures computed together; of videos, which are not divided, frames.
        remembered: pictures whose encodings are kept; 0 for none.
        share_encoding: prepare pictures for all verbs alike, as detection does, so that each is encoded exactly once
            whatever is asked; classification then sees the whole picture instead of its centre, at a size it was not
            trained with.
        precision: of f and g; ``auto`` is bfloat16 where that is quicker. Results are float32 and their last digits
            differ; indices do not tell precisions apart.

    Not for several threads at once: a server asks from one.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: torch.device | str = "cpu",
        *,
        batch_size: int = 8,
        remembered: int = 8,
        share_encoding: bool = False,
        precision: Precision = "float32",
    ) -> None:
        if batch_size < 1 or remembered < 0:
            raise ValueError(f"batch_size is at least 1 and remembered at least 0, got {batch_size} and {remembered}")
        if precision not in get_args(Precision):
            raise ValueError(f"precision is one of {', '.join(get_args(Precision))}, got {precision!r}")
        self.checkpoint = checkpoint
        self.device = usable_device(device)
        self.model = checkpoint.model.to(self.device).eval()
        self.batch_size = batch_size
        self.precision = computed_in(precision, self.device)
        self._tasks = PreparedTasks(checkpoint, share_encoding)
        self._recent = RecentPictures(remembered)

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        device: torch.device | str = "cpu",
        *,
        revision: str | None = None,
        adapter: str | Path | None = None,
        batch_size: int = 8,
        remembered: int = 8,
        share_encoding: bool = False,
        precision: Precision = "float32",
    ) -> Self:
        """Load what `find_checkpoint` finds: a folder, a packaged checkpoint, or ``owner/name`` on the hub.

        ``adapter`` is a file of prompts or low-rank updates (`uniperceiver.adapter`) to put onto the model; the rest as
        for the class.
        """
        found = load_checkpoint(find_checkpoint(name, revision))
        checkpoint = found if adapter is None else adapted(found, Path(adapter))
        return cls(
            checkpoint, device,
            batch_size=batch_size, remembered=remembered, share_encoding=share_encoding, precision=precision,
        )  # fmt: skip

    def push_to_hub(self, repository: str, *, private: bool = False, card: str | None = None) -> str:
        """Publish weights, configuration, tokenizer and candidates as ``owner/name``; the address of the commit.

        ``card`` is the text of the model card; by default a short one. CheckpointError if the hub refuses.
        """
        text = model_card(self.checkpoint, repository) if card is None else card
        return push_checkpoint(self.checkpoint, repository, private, text)

    @cached_property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that differ between models whose embeddings differ (`fingerprint_of`)."""
        return fingerprint_of(self.checkpoint, self._tasks.share_encoding)

    def look(self, pictures: Pictures) -> list[EncodedPicture]:
        """The pictures in a form that remembers what was seen in them, for several verbs; ImageError as in the verbs.

        The work itself is done when the first verb asks for it.
        """
        return self._recent.look(listed(pictures), None)

    def video_reader(self, kind: TaskKind) -> VideoReader | None:
        """How a kind of task looks at a video file, which is as in evaluation; None: it takes no videos."""
        return self._tasks.video_reader(kind)

    def labels(self, kind: TaskKind) -> tuple[str, ...]:
        """The candidates that a kind of task compares with when none are given; ValueError if it was not trained."""
        return self._tasks.find(kind, None).task.candidates.texts

    def classify(self, pictures: Pictures, labels: Sequence[str] | None = None) -> list[Classification]:
        """Name what each picture shows, among ``labels`` (any texts, any number) or the names it was trained with."""
        return self._predict("classification", pictures, labels, lambda look: labelled(look.view.pixels))

    def detect(
        self, pictures: Pictures, labels: Sequence[str] | None = None, threshold: float = 0.1
    ) -> list[Detection]:
        """Boxes and masks of the objects in each picture, named among ``labels`` or the names it was trained with.

        At most 100, with a score of at least ``threshold``: objectness times class probability.
        """

        def ask(task: Any, looks: Sequence[Look], features: ImageFeatures) -> list[Detection]:
            assert isinstance(task, DetectionTask)
            batch = task.collate([unannotated(look.view.pixels, look.picture.size) for look in looks])
            return task.predict(self.model, batch.to(self.device), features, threshold)

        return drawable(self._ask(self._tasks.find("detection", labels), pictures, ask), pictures, None)

    def caption(self, pictures: Pictures) -> list[Caption]:
        """A sentence about each picture."""
        return self._predict("captioning", pictures, None, lambda look: captioned(look.view.pixels))

    def answer(
        self, pictures: Pictures, question: str | Sequence[str], answers: Sequence[str] | None = None
    ) -> list[Answer]:
        """The most likely of ``answers``, or of those it was trained with, to one question, or to one per picture."""
        questions = questions_for(question, len(listed(pictures)))

        def record(look: Look) -> Record:
            return QuestionedImage(look.view.pixels, "", questions[look.place], ("",))

        return self._predict("visual_question_answering", pictures, answers, record)

    def match(self, pictures: Pictures, texts: Sequence[str]) -> list[Match]:
        """How well each text fits each picture: cosines, and their softmax over the texts."""
        vectors = self.embed_image(pictures)
        with inference(self.device, self.precision):
            candidates = self._text_representations(texts)
            x = torch.from_numpy(vectors).to(candidates.device)
            cosines = similarity(x, candidates, 1.0).double()
            probabilities = (cosines / self.model.temperature("retrieve").double()).softmax(dim=-1)
        found = [
            Match(tuple(texts), cosine, probability)
            for cosine, probability in zip(cosines.cpu().numpy(), probabilities.cpu().numpy(), strict=True)
        ]
        return drawable(found, pictures, self.video_reader("retrieval"))

    def embed_image(self, pictures: Pictures) -> np.ndarray:
        """Unit vectors (n, D) float32; their products with those of `embed_text` are the cosines of `match`."""

        def ask(task: Any, looks: Sequence[Look], features: ImageFeatures) -> list[np.ndarray]:
            assert isinstance(task, RetrievalTask)
            return list(task.embed_images(self.model, features, looks[0].view.rows).cpu().numpy())

        found = self._ask(self._tasks.find("retrieval", None), pictures, ask)
        return np.stack(found) if found else self._no_vectors()

    def embed_text(self, texts: Texts) -> np.ndarray:
        """Unit vectors (n, D) float32 of texts as descriptions of pictures; a text may come several times."""
        given = listed_texts(texts)
        if not given:
            return self._no_vectors()
        place = {text: index for index, text in enumerate(dict.fromkeys(given))}
        with inference(self.device, self.precision):
            representations = self._text_representations(tuple(place))
            return F.normalize(representations.float(), dim=-1).cpu().numpy()[[place[text] for text in given]]

    def classify_text(
        self,
        texts: Texts,
        second: Texts | None = None,
        labels: Sequence[str] | None = None,
        task: str | None = None,
    ) -> list[TextClassification]:
        """The class of each text, or of each text with its ``second`` (one for all, or one for each).

        Among the classes it was trained with, or ``labels``: some of these classes, or any words for the template's
        slot. ``task`` is the stream's name, where the model was trained for several classifications of texts.
        """
        stream = self._tasks.stream("text_classification", task)
        config = self.checkpoint.tasks[stream].config
        words = None if labels is None else words_of(config, checked(labels))
        asked = self._tasks.find("text_classification", words, stream).task
        assert isinstance(asked, TextClassificationTask)
        found = self._predict_texts(asked, texts_to_classify(texts, second, asked.template))
        return found if labels is None else [replace(each, names=tuple(labels)) for each in found]

    def fill_mask(self, texts: Texts, pictures: Pictures | None = None) -> list[list[FilledMask]]:
        """For each text, the likely words at each ``[MASK]`` (or ``<mask>``) in it.

        With one picture for all texts, or one for each, the words are those of a text about the picture. No task trains
        a picture beside a text with slots in this form, so take these answers with caution.
        """
        prepared = self._tasks.find("masked_language_modeling", None)
        longest = prepared.task.setting.config.max_tokens
        given = [with_slots(text, self.checkpoint.tokenizer, longest) for text in listed_texts(texts)]

        def ask(task: Any, looks: Sequence[Look], features: ImageFeatures | None) -> list[list[FilledMask]]:
            batch = task.collate([TextRecord(given[look.place]) for look in looks]).to(self.device)
            return list(task.predict(self.model, batch, features))

        if pictures is not None:
            shown = one_for_each(listed(pictures), "pictures", len(given), "texts")
            return self._ask(replace(prepared, transform=self._tasks.transform_beside_text()), shown, ask)
        return self._predict_texts(prepared.task, [TextRecord(text) for text in given])

    def _predict_texts(self, task: Task, records: Sequence[Record]) -> list[Any]:
        """What a task predicts of texts alone, in batches, in their order."""
        found: list[Any] = []
        with inference(self.device, self.precision):
            for start in range(0, len(records), self.batch_size):
                batch = task.collate(records[start : start + self.batch_size])
                found += task.predict(self.model, batch.to(self.device))
        return found

    def _predict(
        self,
        kind: TaskKind,
        pictures: Pictures,
        candidates: Sequence[str] | None,
        record: Callable[[Look], Record],
    ) -> list[Any]:
        """What a task predicts of pictures, each made a record of the task.

        ValueError where no candidates are given and the checkpoint has none.
        """
        if candidates is None and not self.labels(kind):
            raise ValueError(f"this checkpoint has no candidates of its own for {kind}: say which to choose from")

        def ask(task: Any, looks: Sequence[Look], features: ImageFeatures) -> list[Any]:
            batch = task.collate([record(look) for look in looks])
            return list(task.predict(self.model, batch.to(self.device), features))

        prepared = self._tasks.find(kind, candidates)
        return drawable(self._ask(prepared, pictures, ask), pictures, prepared.read_video)

    def _ask(
        self,
        prepared: PreparedTask,
        pictures: Pictures,
        ask: Callable[[Any, Sequence[Look], ImageFeatures], list[Any]],
    ) -> list[Any]:
        """Answers in the order of the pictures, asked for in batches of pictures of one canvas."""
        given = listed(pictures)
        answers: dict[int, Any] = {}
        for start in range(0, len(given), self.batch_size):
            seen = self._recent.look(given[start : start + self.batch_size], prepared.read_video)
            with inference(self.device, self.precision):
                for same in looks_by_canvas(self.model, seen, prepared.transform, start, self.batch_size):
                    found = ask(prepared.task, same, joined([look.view.features for look in same]))
                    answers |= {look.place: answer for look, answer in zip(same, found, strict=True)}
        return [answers[place] for place in range(len(given))]

    def _no_vectors(self) -> np.ndarray:
        return np.zeros((0, self.model.config.decoder.width), dtype=np.float32)

    def _text_representations(self, texts: Sequence[str]) -> Tensor:
        task = self._tasks.find("retrieval", texts).task
        return task.candidates.encode(self.model, task.attributes)
