"""What a caller may hand over as texts, and how it becomes what a task reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from uniperceiver.data.records import LabelledText
from uniperceiver.data.tokenizer import SPELLINGS, Tokenizer
from uniperceiver.tasks.text_template import TextTemplate

Texts = str | Sequence[str]
"""One text or a list of them."""
Item = TypeVar("Item")


def listed_texts(texts: Texts) -> list[str]:
    """One text as a list of one."""
    return [texts] if isinstance(texts, str) else list(texts)


def one_for_each(given: Sequence[Item], what: str, number: int, of: str) -> list[Item]:
    """``number`` items, from as many or from one for all; ValueError for any other number of them."""
    items = list(given) * number if len(given) == 1 else list(given)
    if len(items) != number:
        raise ValueError(f"{len(items)} {what} for {number} {of}: give one for all, or one for each")
    return items


def questions_for(question: Texts, pictures: int) -> list[str]:
    """A question for each picture, from one for all or one for each; ValueError for other numbers and for a blank."""
    questions = one_for_each(listed_texts(question), "questions", pictures, "pictures")
    if not all(text.strip() for text in questions):
        raise ValueError("a question is blank: ask something about the picture")
    return questions


def texts_to_classify(texts: Texts, second: Texts | None, template: TextTemplate) -> list[LabelledText]:
    """Records of an unknown class: each text with its second, one for all or one for each, as the template wants it.

    Raises:
        ValueError: a second text where the template has one, none where it has two, too few or too many, or a blank.
    """
    firsts = listed_texts(texts)
    if (second is not None) != template.has_second:
        lacks = "pairs of texts: give `second`" if template.has_second else "single texts: leave out `second`"
        raise ValueError(f"this model was trained with the template {template.pattern!r} and classifies {lacks}")
    others: Sequence[str | None] = [None] if second is None else listed_texts(second)
    seconds = one_for_each(others, "second texts", len(firsts), "texts")
    pairs = list(zip(firsts, seconds, strict=True))
    for place, pair in enumerate(pairs):
        if any(text is not None and not text.strip() for text in pair):
            raise ValueError(f"text {place} is blank: there is nothing to classify")
    return [LabelledText(first, other, str(place), 0) for place, (first, other) in enumerate(pairs)]


def with_slots(text: str, tokenizer: Tokenizer, max_tokens: int) -> str:
    """The text with its masks as this tokenizer writes them; ValueError without one, or one cut away."""
    for spelling in SPELLINGS["slot"]:
        text = text.replace(spelling, tokenizer.slot)
    ids = tokenizer.encode(text)
    if tokenizer.slot_id not in ids:
        raise ValueError(f"{text!r:.80} has no word to fill in: write [MASK] where one is missing")
    if len(ids) > max_tokens:
        raise ValueError(f"{text!r:.80} has {len(ids)} tokens, this model takes {max_tokens}: shorten it")
    return text
