"""What a task is: it says what the two sides of Eq. (6) are, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from uniperceiver.config import BackboneConfig, PatchEncoderConfig, ProposalLossConfig, TaskConfig
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.model.image_encoder import ImageFeatures
from uniperceiver.model.segments import TaskAttributes
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.tasks.candidates import CandidateSet


@dataclass(frozen=True)
class TaskSetting:
    """What a task is made from, besides its candidates."""

    config: TaskConfig
    tokenizer: Tokenizer
    backbone: BackboneConfig | PatchEncoderConfig
    """Gives the mean and standard deviation that pictures are normalised by."""
    proposal_loss: ProposalLossConfig = field(default_factory=ProposalLossConfig)


class NamedData(Protocol):
    """A data set whose labels have names."""

    @property
    def names(self) -> tuple[str, ...]:
        """Class names, in the order of the labels."""
        ...


@runtime_checkable
class SynonymousData(Protocol):
    """A data set whose labels have several names."""

    @property
    def synonyms(self) -> tuple[tuple[str, ...], ...]:
        """Names of each label besides that of `NamedData`; a label may have none."""
        ...


class TextData(Protocol):
    """A data set with texts."""

    def texts(self) -> Iterable[str]:
        """Every text, without reading a picture."""
        ...


@runtime_checkable
class PackedData(Protocol):
    """A data set whose records may be several texts in one sequence."""

    @property
    def is_packed(self) -> bool:
        """Whether they are."""
        ...


class AnsweredData(Protocol):
    """A data set of questions with answers."""

    def answers(self) -> Iterable[tuple[str, ...]]:
        """The answers to every question, without reading a picture."""
        ...


class Task(Protocol):
    """One task: how records become a batch, what its loss is, and how it predicts."""

    setting: TaskSetting
    attributes: TaskAttributes
    candidates: CandidateSet
    """Y; may be empty where the targets are the other side of the batch (retrieval)."""

    def collate(self, records: Sequence[Any]) -> Any:
        """Records, already transformed, as the task's typed batch (on the CPU).

        What is drawn at random (a caption, masked words) follows from torch's default generator, which `data.loading`
        seeds for every batch, in training and in evaluation.
        """
        ...

    def loss(self, model: UniPerceiver, batch: Any) -> dict[str, Tensor]:
        """Scalars by name; their sum is what is minimised."""
        ...

    def predict(self, model: UniPerceiver, batch: Any, features: ImageFeatures | None = None) -> list[Any]:
        """One prediction per record of the batch, in order; the model is in evaluation mode.

        ``features``: what ``model.encode_image`` gave for the batch's pictures, where that is known already.
        """
        ...


def seeded_generator() -> random.Random:
    """Randomness for one batch, a function of torch's default generator alone."""
    return random.Random(int(torch.randint(2**62, ())))
