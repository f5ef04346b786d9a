"""What flows out: one small typed object per prediction, in units of the caller's picture.

Every probability is Eq. (6): a softmax of cosines over τ, over the candidates that the caller gave or the model was
trained with. It says how likely a candidate is *among these candidates*, so it always adds up to one over all of them,
also where none of them fits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from uniperceiver.run_lengths import encoded, run_lengths

if TYPE_CHECKING:
    from PIL import Image

PictureReader = Callable[[], "Image.Image"]
"""Gives the picture that a prediction is about, upright RGB; a file is read again, so that predictions stay small."""
DRAWN_NAMES = 5
"""Names written below a picture, at most."""


class DrawnAsText(ABC):
    """A prediction that is drawn as lines of text below its picture."""

    picture: PictureReader | None

    @abstractmethod
    def lines(self) -> list[str]:
        """What it says, for people."""

    def draw(self, picture: Image.Image | None = None) -> Image.Image:
        """The picture, by default the one that was looked at, with the lines below it.

        Raises:
            ValueError: neither given nor known.
        """
        from uniperceiver.render import draw_lines

        return draw_lines(_found(picture, self.picture), self.lines())


@dataclass(frozen=True)
class Classification(DrawnAsText):
    """Class probabilities of one picture."""

    labels: np.ndarray
    """(k,) int64, indices into the candidate names, most likely first."""
    names: tuple[str, ...]
    """The k names in the same order."""
    probabilities: np.ndarray
    """(k,) float64, of all candidates: they add up to one over the whole candidate set."""
    picture: PictureReader | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Names and probabilities as plain data."""
        return {"names": list(self.names), "probabilities": self.probabilities.tolist()}

    def lines(self) -> list[str]:
        """The most likely names with their probabilities in percent, for people."""
        return _percentages(self.names, self.probabilities)


@dataclass(frozen=True)
class Detection:
    """The objects of one picture, best first. One region may appear under several names."""

    boxes: np.ndarray
    """(n, 4) float64, (x0, y0, x1, y1) in pixels of the original picture."""
    scores: np.ndarray
    """(n,) float64 in [0, 1]: objectness times class probability (A19)."""
    labels: np.ndarray
    """(n,) int64, indices into the candidate names."""
    names: tuple[str, ...]
    """(n) names."""
    masks: np.ndarray | None
    """(n, H, W) bool in the original picture's size; None where only boxes are known."""
    mask_scores: np.ndarray | None
    """(n,) float64 in [0, 1]: mean probability inside the mask (spec/mask_dino.md, section 8); mask AP ranks by
    ``scores * mask_scores``. None without masks."""
    objectness: np.ndarray | None = None
    """(n,) float64 in [0, 1], whatever the name; None where only the product with the name's probability is known."""
    picture: PictureReader | None = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.scores)

    def objects(self) -> Iterator[tuple[np.ndarray, str, float]]:
        """(box, name, score) of every object, best first."""
        return zip(self.boxes, self.names, self.scores.tolist(), strict=True)

    def at_least(self, score: float) -> Detection:
        """Only the objects with this score or more."""
        kept = np.flatnonzero(self.scores >= score)
        return replace(
            self,
            boxes=self.boxes[kept],
            scores=self.scores[kept],
            labels=self.labels[kept],
            names=tuple(self.names[i] for i in kept),
            masks=None if self.masks is None else self.masks[kept],
            mask_scores=None if self.mask_scores is None else self.mask_scores[kept],
            objectness=None if self.objectness is None else self.objectness[kept],
        )

    def rle(self) -> list[dict[str, Any]]:
        """The masks as COCO's compressed run lengths, ``{"size": [H, W], "counts": str}``; none without masks."""
        return [encoded(mask) for mask in (() if self.masks is None else self.masks)]

    def to_json(self) -> dict[str, Any]:
        """Objects as plain data: boxes (x0, y0, x1, y1) in pixels, masks as COCO's uncompressed run lengths."""
        objects = [
            {"box": np.round(box, 2).tolist(), "name": name, "score": score} for box, name, score in self.objects()
        ]
        if self.masks is not None:
            for entry, mask in zip(objects, self.masks, strict=True):
                entry["segmentation"] = {"size": list(mask.shape), "counts": run_lengths(mask)}
        return {"objects": objects}

    def to_coco(self, image_id: int, category_ids: Sequence[int] | None = None) -> list[dict[str, Any]]:
        """Objects as entries of COCO's results format, which pycocotools' ``loadRes`` reads.

        ``category_ids`` has the id of each candidate name; by default label i has id i + 1.
        """
        entries: list[dict[str, Any]] = []
        for (x0, y0, x1, y1), label, score in zip(self.boxes.tolist(), self.labels, self.scores.tolist(), strict=True):
            category = int(label) + 1 if category_ids is None else category_ids[int(label)]
            bbox = [round(value, 2) for value in (x0, y0, x1 - x0, y1 - y0)]
            entries.append({"image_id": image_id, "category_id": category, "bbox": bbox, "score": score})
        for entry, mask in zip(entries, self.rle(), strict=False):
            entry["segmentation"] = mask
        return entries

    def to_supervision(self) -> Any:
        """A ``supervision.Detections`` with masks, scores, labels and names (``data["class_name"]``).

        Raises:
            ImportError: the package supervision is not there.
        """
        try:
            import supervision
        except ImportError as error:
            raise ImportError("to_supervision needs the package supervision: pip install supervision") from error
        return supervision.Detections(
            xyxy=self.boxes.astype(np.float32),
            mask=self.masks,
            confidence=self.scores.astype(np.float32),
            class_id=self.labels.astype(int),
            data={"class_name": np.array(self.names, dtype=str)},
        )

    def lines(self) -> list[str]:
        """One line per object for people: name, score in percent, box."""
        return [
            f"{name} {_percent(score)} at {', '.join(f'{value:.0f}' for value in box)}"
            for box, name, score in self.objects()
        ]

    def draw(self, picture: Image.Image | None = None) -> Image.Image:
        """The picture with masks, boxes, names and scores on it."""
        from uniperceiver.render import draw_detection

        return draw_detection(_found(picture, self.picture), self)


@dataclass(frozen=True)
class Caption(DrawnAsText):
    """A sentence about one picture."""

    text: str
    log_probability: float
    """Sum over its words, end included."""
    picture: PictureReader | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """The sentence and its log-probability as plain data."""
        return {"caption": self.text, "log_probability": self.log_probability}

    def lines(self) -> list[str]:
        """The sentence."""
        return [self.text]


@dataclass(frozen=True)
class Match(DrawnAsText):
    """How well each of some texts fits one picture."""

    texts: tuple[str, ...]
    """(n) texts, in the order they were given."""
    similarities: np.ndarray
    """(n,) float64 in [-1, 1]: cosine of picture and text; it does not depend on the other texts."""
    probabilities: np.ndarray
    """(n,) float64: softmax of the cosines over τ; they add up to one over these texts."""
    picture: PictureReader | None = field(default=None, repr=False, compare=False)

    @property
    def best(self) -> str:
        """The text that fits best."""
        return self.texts[int(self.similarities.argmax())]

    def to_json(self) -> dict[str, Any]:
        """Texts, cosines and probabilities as plain data."""
        return {
            "texts": list(self.texts),
            "similarities": self.similarities.tolist(),
            "probabilities": self.probabilities.tolist(),
        }

    def lines(self) -> list[str]:
        """The best texts with probability and cosine, for people."""
        order = np.argsort(-self.similarities, kind="stable")[:DRAWN_NAMES]
        return [f"{self.texts[i]} {_percent(self.probabilities[i])} (cosine {self.similarities[i]:.2f})" for i in order]


@dataclass(frozen=True)
class Answer(DrawnAsText):
    """Answers to one question, most likely first."""

    answers: tuple[str, ...]
    probabilities: np.ndarray
    """(k,) float64, of all candidate answers."""
    picture: PictureReader | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Answers and probabilities as plain data."""
        return {"answers": list(self.answers), "probabilities": self.probabilities.tolist()}

    def lines(self) -> list[str]:
        """The most likely answers with their probabilities in percent, for people."""
        return _percentages(self.answers, self.probabilities)


@dataclass(frozen=True)
class FilledMask:
    """The words for one slot of a text, most likely first."""

    words: tuple[str, ...]
    probabilities: np.ndarray
    """(k,) float64, of the whole vocabulary."""

    def to_json(self) -> dict[str, Any]:
        """Words and probabilities as plain data."""
        return {"words": list(self.words), "probabilities": self.probabilities.tolist()}

    def lines(self) -> list[str]:
        """The most likely words with their probabilities in percent, for people."""
        return _percentages(self.words, self.probabilities)


@dataclass(frozen=True)
class Embedding:
    """Where one picture or text lies: the dot product of two such vectors is their cosine."""

    vector: np.ndarray
    """(D,) float32 of unit length."""

    def to_json(self) -> dict[str, Any]:
        """The vector as plain data."""
        return {"embedding": self.vector.tolist()}

    def lines(self) -> list[str]:
        """The width and the first numbers, for people."""
        return [f"{len(self.vector)} numbers: {', '.join(f'{x:.3f}' for x in self.vector[:6])}, …"]


@dataclass(frozen=True)
class Embeddings:
    """Unit vectors of one picture and of its captions: their dot product is the cosine of Eq. (6)."""

    image: np.ndarray
    """(D,) float32."""
    texts: np.ndarray
    """(n, D) float32."""


def _percent(probability: float) -> str:
    return f"{100 * probability:.1f} %"


def _percentages(names: Sequence[str], probabilities: np.ndarray) -> list[str]:
    pairs = zip(names[:DRAWN_NAMES], probabilities[:DRAWN_NAMES].tolist(), strict=True)
    return [f"{name} {_percent(probability)}" for name, probability in pairs]


def _found(given: Image.Image | None, reader: PictureReader | None) -> Image.Image:
    if given is not None:
        return given
    if reader is None:
        raise ValueError("this prediction does not know its picture: give draw() the picture it was made from")
    return reader()
