"""Classification of texts, GLUE's among them: <SPE> ‖ text with a slot against the words of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from uniperceiver.batches import TextBatch
from uniperceiver.data.records import LabelledText
from uniperceiver.model.image_encoder import ImageFeatures
from uniperceiver.model.segments import TaskAttributes
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.class_logits import class_logits, classification_loss
from uniperceiver.tasks.glue import classes_of, label_words, question_of
from uniperceiver.tasks.task import NamedData, TaskSetting
from uniperceiver.tasks.text_template import TextTemplate
from uniperceiver.text_predictions import TextClassification


@dataclass(frozen=True)
class LabelledTextBatch:
    """Texts with a slot each, and their classes."""

    text: TextBatch
    """(B, L)."""
    labels: Tensor
    """(B,) float, index into the candidates; between 0 and 1 for graded data."""

    def to(self, device: torch.device | str) -> Self:
        """The batch on another device."""
        return replace(self, text=self.text.to(device), labels=self.labels.to(device))


class TextClassificationTask:
    """x = <SPE> ‖ text with a slot, represented at the slot; Y = a word for each class."""

    attributes = TaskAttributes(input_image=False, input_text=True)

    def __init__(self, setting: TaskSetting, candidates: CandidateSet) -> None:
        """Raises ValueError for a template that cannot be used."""
        self.setting = setting
        self.candidates = candidates
        pattern = question_of(setting.config).template
        self.template = TextTemplate(pattern, setting.tokenizer, setting.config.max_tokens)
        self.names = classes_of(setting.config, candidates.texts)

    @classmethod
    def find_candidates(cls, setting: TaskSetting, dataset: NamedData) -> CandidateSet:
        """The words of the data set's classes, in their order."""
        return CandidateSet.from_texts(label_words(setting.config, dataset.names), setting.tokenizer)

    def collate(self, records: Sequence[LabelledText]) -> LabelledTextBatch:
        """Texts in the template; a slot is where the template has it, whatever is written in the texts."""
        encoded = [self.template.encode(record.text, record.second) for record in records]
        text = TextBatch.from_ids([ids for ids, _ in encoded], self.setting.tokenizer.padding_id)
        text.is_slot[torch.arange(len(encoded)), torch.tensor([place for _, place in encoded])] = True
        return LabelledTextBatch(text, torch.tensor([record.label for record in records], dtype=torch.float32))

    def loss(self, model: UniPerceiver, batch: LabelledTextBatch) -> dict[str, Tensor]:
        """Eq. (7): the mean over the texts; a grade between two classes is the share of the second (STS-B)."""
        classes = torch.arange(len(self.candidates), device=batch.labels.device)
        shares = (1 - (batch.labels[:, None] - classes).abs()).clamp(min=0)
        return {"classes": classification_loss(self._logits(model, batch), shares, self.setting.config.label_smoothing)}

    @torch.no_grad()
    def predict(
        self, model: UniPerceiver, batch: LabelledTextBatch, features: ImageFeatures | None = None
    ) -> list[TextClassification]:
        """The probability of every class, Eq. (6)."""
        probabilities = self._logits(model, batch).double().softmax(dim=1).cpu().numpy()
        return [TextClassification(self.candidates.texts, row, self.names) for row in probabilities]

    def _logits(self, model: UniPerceiver, batch: LabelledTextBatch) -> Tensor:
        """(B, Y)."""
        decoded = model.decode(model.encode_text(batch.text), attributes=self.attributes)
        x = decoded.segments[0][batch.text.is_slot]
        return class_logits(model, x, self.candidates, self.attributes, model.temperature("text_mlm"))
