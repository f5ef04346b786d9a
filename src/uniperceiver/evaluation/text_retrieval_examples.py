"""Partners found for texts, right and wrong ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from uniperceiver.data.records import PairedText
from uniperceiver.evaluation.examples import Example, ExampleSheet
from uniperceiver.evaluation.retrieval_examples import FOUND, QUERIES, chosen_queries, drawn_queries, ranked
from uniperceiver.text_predictions import PartnerEmbeddings


class TextRetrievalExamples:
    """Keeps texts and embeddings."""

    def __init__(self) -> None:
        self.records: list[PairedText] = []
        self.texts: list[np.ndarray] = []
        self.partners: list[np.ndarray] = []

    def add(self, records: Sequence[PairedText], predictions: Sequence[PartnerEmbeddings]) -> None:
        """Take in one batch."""
        self.records += records
        self.texts += [prediction.text for prediction in predictions]
        self.partners += [prediction.partners for prediction in predictions]

    def sheet(self) -> ExampleSheet:
        """Texts with what was found for them."""
        texts, partners = np.stack(self.texts), np.concatenate(self.partners)
        owner = np.repeat(np.arange(len(texts)), [len(rows) for rows in self.partners])
        words = [partner for record in self.records for partner in record.partners]
        queries = drawn_queries([record.text for record in self.records])
        order = ranked(texts[queries], partners)
        examples = []
        for query, found, rank in chosen_queries(queries, owner[order] == queries[:, None], order):
            places = enumerate(found[:FOUND], start=1)
            facts = ((f"{p}. {'right' if owner[t] == query else 'wrong'}", words[t]) for p, t in places)
            said = ("rank", f"the best right one is number {rank} of {len(words)}")
            text = ("text", self.records[query].text)
            examples.append(Example("Found for a text", rank == 1, (text, *facts, said)))
        note = (
            f"Drawn by a hash from at most {QUERIES} texts, right ones (a right one comes first) and wrong ones in "
            f"turn, not in their proportion; all {len(words)} partners were searched."
        )
        return ExampleSheet(tuple(examples), note)
