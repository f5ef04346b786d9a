"""Pictures found for captions and captions found for pictures, right and wrong ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from uniperceiver.data.records import CaptionedImage
from uniperceiver.evaluation.examples import (
    LONGEST_SIDE,
    SHOWN,
    SMALL_SIDE,
    Example,
    ExampleSheet,
    lot_number,
    mixed,
    panel,
    picture_of,
)
from uniperceiver.predictions import Embeddings

QUERIES = 500
"""Queries in each direction among which examples are drawn."""
FOUND = 3
"""Pictures or captions shown for a query."""


class RetrievalExamples:
    """Keeps embeddings, ids and captions; pictures that are shown are read again at the end."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self.ids: list[str] = []
        self.captions: list[tuple[str, ...]] = []
        self.images: list[np.ndarray] = []
        self.texts: list[np.ndarray] = []

    def add(self, records: Sequence[CaptionedImage], predictions: Sequence[Embeddings]) -> None:
        """Take in one batch."""
        self.ids += [record.image_id for record in records]
        self.captions += [record.captions for record in records]
        self.images += [prediction.image for prediction in predictions]
        self.texts += [prediction.texts for prediction in predictions]

    def sheet(self) -> ExampleSheet:
        """Half of the examples start from a picture, half from a caption."""
        images, texts = np.stack(self.images), np.concatenate(self.texts)
        owner = np.repeat(np.arange(len(images)), [len(rows) for rows in self.texts])
        captions = [caption for row in self.captions for caption in row]
        queries = drawn_queries([f"picture {image_id}" for image_id in self.ids])
        order = ranked(images[queries], texts)
        to_text = chosen_queries(queries, owner[order] == queries[:, None], order)
        from_pictures = [self._captions_of(*choice, captions, owner) for choice in to_text]
        queries = drawn_queries(
            [f"caption {self.ids[image]} {text}" for image, text in zip(owner, captions, strict=True)]
        )
        order = ranked(texts[queries], images)
        to_image = chosen_queries(queries, order == owner[queries][:, None], order)
        from_captions = [self._pictures_of(*choice, captions, owner) for choice in to_image]
        note = (
            f"Half of the examples start from a picture, half from a caption. Both are drawn by a hash from at most "
            f"{QUERIES} queries, right ones (a right one comes first) and wrong ones in turn, not in their proportion; "
            f"all {len(texts)} captions and all {len(images)} pictures were searched."
        )
        both = [example for pair in _in_turn(from_pictures, from_captions) for example in pair]
        return ExampleSheet(tuple(both), note)

    def _captions_of(
        self, query: int, order: np.ndarray, rank: int, captions: Sequence[str], owner: np.ndarray
    ) -> Example:
        """The captions found for a picture."""
        found = tuple(
            (f"{place}. {'right' if owner[text] == query else 'wrong'}", captions[text])
            for place, text in enumerate(order[:FOUND], start=1)
        )
        facts = (*found, ("rank", f"the best right caption is number {rank} of {len(captions)}"))
        picture = panel(self._picture(query, LONGEST_SIDE), f"The picture searched with: {self.captions[query][0]}")
        return Example(f"Captions for picture {self.ids[query]}", rank == 1, facts, (picture,))

    def _pictures_of(
        self, query: int, order: np.ndarray, rank: int, captions: Sequence[str], owner: np.ndarray
    ) -> Example:
        """The pictures found for a caption; the right one stands last where it is not among the first."""
        places = list(range(1, min(FOUND, len(order)) + 1))
        panels = tuple(
            panel(
                self._picture(order[place - 1], SMALL_SIDE),
                f"Found in place {place}: {self.captions[order[place - 1]][0]}",
                f"{place}. {'right' if place == rank else 'wrong'}",
            )
            for place in (places if rank in places else [*places, rank])
        )
        facts = (("caption", captions[query]), ("rank", f"the right picture is number {rank} of {len(self.ids)}"))
        return Example("Pictures for a caption", rank == 1, facts, panels)

    def _picture(self, place: int, longest: int) -> Any:
        """The picture that was taken in at this place; usually the data set has it at the same place."""
        for index in sorted(range(len(self.dataset)), key=lambda index: index != place):
            record = self.dataset[index]
            if record.image_id == self.ids[place]:
                return picture_of(record.image, longest)
        raise ValueError(f"{self.dataset!r} has no picture {self.ids[place]} any more: did its files change?")


def drawn_queries(keys: Sequence[str]) -> np.ndarray:
    """Places of at most `QUERIES` of the keys, in the order of their hashes."""
    return np.array(sorted(range(len(keys)), key=lambda place: lot_number(keys[place]))[:QUERIES])


def ranked(queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Candidates (q, c) by falling similarity, for every query."""
    return np.argsort(-(queries @ candidates.T), axis=1, kind="stable")


def chosen_queries(queries: np.ndarray, is_right: np.ndarray, order: np.ndarray) -> list[tuple[int, np.ndarray, int]]:
    """Right and wrong queries in turn, with their order and the rank, from 1, of their first right candidate."""
    ranks = is_right.argmax(axis=1) + 1
    rows = mixed(np.flatnonzero(ranks == 1).tolist(), np.flatnonzero(ranks > 1).tolist(), SHOWN // 2)
    return [(int(queries[row]), order[row], int(ranks[row])) for row in rows]


def _in_turn(first: list[Example], second: list[Example]) -> list[list[Example]]:
    longest = max(len(first), len(second))
    return [first[place : place + 1] + second[place : place + 1] for place in range(longest)]
