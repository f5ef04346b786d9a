"""Which predictions are shown: drawn by lot while evaluation runs, so that only few pictures are ever kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.evaluation.example_views import views_of
from uniperceiver.evaluation.examples import SHOWN, ExampleSheet, Lot, mixed
from uniperceiver.evaluation.retrieval_examples import RetrievalExamples
from uniperceiver.evaluation.text_retrieval_examples import TextRetrievalExamples
from uniperceiver.predictions import Embeddings
from uniperceiver.text_predictions import PartnerEmbeddings


class ExampleCollector:
    """Takes in predictions batch by batch, as a `Scorer` does.

    Right and wrong predictions are drawn apart, so that neither hides the other. What is drawn depends on the ids of
    the records alone: two models are shown on the same pictures, as far as both are right or both are wrong.
    """

    def __init__(self, dataset: Any, tokenizer: Tokenizer) -> None:
        """``dataset``: what is evaluated; ``tokenizer``: the model's."""
        self.dataset = dataset
        self.tokenizer = tokenizer
        self._lots: dict[bool | None, Lot] = {True: Lot(), False: Lot(), None: Lot()}
        self._retrieval = RetrievalExamples(dataset)
        self._text_retrieval = TextRetrievalExamples()

    def add(self, records: Sequence[Any], batch: Any, predictions: Sequence[Any]) -> None:
        """Take in one batch: its transformed records, the batch made of them, one prediction per record."""
        if isinstance(predictions[0], Embeddings):
            self._retrieval.add(records, predictions)
            return
        if isinstance(predictions[0], PartnerEmbeddings):
            self._text_retrieval.add(records, predictions)
            return
        for view in views_of(records, batch, predictions, self.dataset, self.tokenizer):
            self._lots[view.is_right].offer(view.key, view.example)

    def sheet(self) -> ExampleSheet:
        """The examples drawn from everything taken in; none where nothing was."""
        if self._retrieval.ids:
            return self._retrieval.sheet()
        if self._text_retrieval.records:
            return self._text_retrieval.sheet()
        if self._lots[None].offered:
            return _drawn_sheet(self._lots[None])
        return _mixed_sheet(self._lots[True], self._lots[False])


def _drawn_sheet(lot: Lot) -> ExampleSheet:
    """Examples of a task whose predictions are good or bad by degrees."""
    examples = tuple(lot.drawn()[:SHOWN])
    return ExampleSheet(examples, f"{len(examples)} of {lot.offered}, drawn by a hash of their ids.")


def _mixed_sheet(right: Lot, wrong: Lot) -> ExampleSheet:
    examples = mixed(right.drawn(), wrong.drawn(), SHOWN)
    if not examples:
        return ExampleSheet()
    rights = sum(example.is_right is True for example in examples)
    note = (
        f"{rights} of the {right.offered} right ones and {len(examples) - rights} of the {wrong.offered} wrong ones in "
        "turn, not in their proportion, drawn by a hash of their ids."
    )
    return ExampleSheet(examples, note)
