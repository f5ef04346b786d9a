"""What the endpoints answer, for the OpenAPI document; `uniperceiver.predictions` says what the numbers mean."""

from __future__ import annotations

from pydantic import BaseModel, Field

from uniperceiver.serve.questions import Verb

Probabilities = list[float]


class Classified(BaseModel):
    """Names, most likely first, at most 100."""

    names: list[str]
    probabilities: Probabilities = Field(description="They add up to one over all labels.")


class RunLengths(BaseModel):
    """A mask as COCO's uncompressed run lengths: column by column, beginning with what is not in it."""

    size: tuple[int, int] = Field(description="Height and width.")
    counts: list[int]


class FoundObject(BaseModel):
    """One object."""

    box: tuple[float, float, float, float] = Field(description="x0, y0, x1, y1 in pixels.")
    name: str
    score: float
    segmentation: RunLengths | None = None


class Detected(BaseModel):
    """Objects, best first, at most 100."""

    height: int = Field(description="Of the upright picture.")
    width: int
    objects: list[FoundObject]


class Captioned(BaseModel):
    """A sentence."""

    caption: str
    log_probability: float


class Matched(BaseModel):
    """In the order of the texts."""

    texts: list[str]
    similarities: list[float] = Field(description="Cosines.")
    probabilities: Probabilities = Field(description="They add up to one over these texts.")


class Answered(BaseModel):
    """Answers, most likely first."""

    answers: list[str]
    probabilities: Probabilities


class Slot(BaseModel):
    """The words for one `[MASK]`, most likely first."""

    words: list[str]
    probabilities: Probabilities


class FilledText(BaseModel):
    """The slots of one text, in order."""

    slots: list[Slot]


class FilledTexts(BaseModel):
    """In the order of the texts."""

    texts: list[FilledText]


class ImageEmbedding(BaseModel):
    """A vector of unit length."""

    embedding: list[float]


class TextEmbeddings(BaseModel):
    """Vectors of unit length, in the order of the texts."""

    embeddings: list[list[float]]


class ClassifiedText(BaseModel):
    """The classes of one text, in their order."""

    names: list[str]
    words: list[str] = Field(description="The word that each class was compared as.")
    probabilities: Probabilities = Field(description="They add up to one over all labels.")


class ClassifiedTexts(BaseModel):
    """In the order of the texts."""

    texts: list[ClassifiedText]


class ModelDescription(BaseModel):
    """What is served."""

    name: str
    verbs: list[Verb] = Field(description="What the model was trained for.")
    videos: list[Verb] = Field(description="Of these, what takes videos.")
    labels: dict[str, list[str]] = Field(description="By verb: the candidates it was trained with, the first 100.")
    allows_urls: bool


class Health(BaseModel):
    """Whether it works."""

    status: str
