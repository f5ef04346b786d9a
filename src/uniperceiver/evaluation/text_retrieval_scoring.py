"""Recall of texts found for texts, and what was found for some of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from uniperceiver.data.records import PairedText
from uniperceiver.evaluation.recall import chance_recall, retrieval_recall
from uniperceiver.evaluation.scoring import EvaluationResult
from uniperceiver.text_predictions import PartnerEmbeddings


class TextRetrievalScorer:
    """Recall at 1, 5 and 10, both ways, as of pictures and captions."""

    def __init__(self) -> None:
        self.texts: list[np.ndarray] = []
        self.partners: list[np.ndarray] = []

    def add(self, records: Sequence[PairedText], batch: Any, predictions: Sequence[PartnerEmbeddings]) -> None:
        """Keep the embeddings."""
        self.texts += [prediction.text for prediction in predictions]
        self.partners += [prediction.partners for prediction in predictions]

    def result(self) -> EvaluationResult:
        """Recalls; the baseline is chance."""
        owner = np.repeat(np.arange(len(self.texts)), [len(partners) for partners in self.partners])
        recalls = retrieval_recall(np.stack(self.texts), np.concatenate(self.partners), owner)
        return EvaluationResult(
            metrics=_named(recalls),
            baselines=_named(chance_recall(owner)),
            main="text_to_partner_r1",
            count=len(self.texts),
            unit="texts",
            protocol=f"All {len(owner)} partners against all {len(self.texts)} texts; a text is right when any of its "
            "partners is found. Baseline: chance.",
        )


def _named(recalls: dict[str, float]) -> dict[str, float]:
    """The recalls of pictures and captions as those of texts and partners."""
    return {
        name.replace("image_to_text", "text_to_partner").replace("text_to_image", "partner_to_text"): value
        for name, value in recalls.items()
    }
