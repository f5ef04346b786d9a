"""Texts one after the other in one sequence, as v1 packs lines of books (spec/uni_perceiver_v1_moe.md, section 4)."""

from __future__ import annotations

import random
from collections.abc import Sequence

from uniperceiver.data.records import CaptionedImage, TextRecord
from uniperceiver.data.tokenizer import Tokenizer


def record_texts(record: TextRecord | CaptionedImage, generator: random.Random) -> tuple[str, ...]:
    """The texts of a record that are one sequence; of a picture with captions, one caption is drawn."""
    if isinstance(record, TextRecord):
        return record.text, *(record.following or ())
    return (generator.choice(record.captions),)


def packed(
    texts: Sequence[str], tokenizer: Tokenizer, room: int, ends_are_words: bool = False
) -> tuple[list[int], list[list[int]]]:
    """The first ``room`` ids of one or several texts, and which of them make up each word.

    Between two texts stands the end token, with ``ends_are_words`` a word of its own. Start and end of the whole are
    left to the caller. A word that is cut in two keeps its first pieces.
    """
    if len(texts) == 1:
        return tokenizer.encode(texts[0], room, special=False), tokenizer.word_groups(texts[0], room, special=False)
    ids: list[int] = []
    words: list[list[int]] = []
    for text in texts:
        words += [[len(ids) + place for place in word] for word in tokenizer.word_groups(text, special=False)]
        ids += [*tokenizer.encode(text, special=False), tokenizer.end_id]
        if ends_are_words:
            words.append([len(ids) - 1])
    ids = ids[:-1][:room]
    kept = [[place for place in word if place < len(ids)] for word in words]
    return ids, [word for word in kept if word]
