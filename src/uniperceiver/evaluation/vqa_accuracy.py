"""VQA accuracy: agreement with the answers of several people, after the official normalisation (VQA v2 evaluation)."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

_NUMBER_WORDS = "zero one two three four five six seven eight nine ten"
_NUMBERS = {word: str(number) for number, word in enumerate(_NUMBER_WORDS.split())} | {"none": "0"}
_ARTICLES = {"a", "an", "the"}
_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_DIGITS_AROUND_COMMA = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")
# The official expression passes a flag (re.UNICODE, 32) where Python expects the number of replacements.
_MOST_PERIODS = 32
_CONTRACTIONS = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've
    he's how'd how'll how's isn't it'd it'd've it'll ma'am might've mightn't mightn't've must've mustn't needn't not've
    o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's
    someone'd someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've
    there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's
    what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've
    wouldn't wouldn't've y'all y'all'd've y'all'll you'd you'd've you'll you're you've
"""
_SPELLINGS = {
    word[:place] + word[place + 1 :]: word
    for word in _CONTRACTIONS.split()
    for place, letter in enumerate(word)
    if letter == "'"
} | {"somebody'd": "somebodyd"}
"""A contraction that lacks exactly one apostrophe → the contraction; the last entry is the official table's own."""

FAMILIES = ("what color", "how many", "what", "is")
"""Beginnings of questions whose accuracies are told apart; "what color" is not counted as "what" too."""


def question_family(question: str) -> str:
    """The one of `FAMILIES` that a question begins with, or ``other``."""
    words = f"{' '.join(question.lower().split())} "
    return next((family for family in FAMILIES if words.startswith(f"{family} ")), "other")


def normalise_answer(answer: str) -> str:
    """An answer as the official evaluation compares it: lower case, digits, no articles, no punctuation.

    A punctuation mark goes without trace when it touches a space anywhere in the answer or when the answer has a comma
    between digits, and becomes a space otherwise. Periods go unless a digit follows.
    """
    has_digit_comma = _DIGITS_AROUND_COMMA.search(answer) is not None
    text = answer
    for mark in _PUNCTUATION:
        touches_space = f"{mark} " in answer or f" {mark}" in answer
        text = text.replace(mark, "" if touches_space or has_digit_comma else " ")
    text = _PERIOD.sub("", text, count=_MOST_PERIODS)
    words = [_NUMBERS.get(word, word) for word in text.lower().split()]
    return " ".join(_SPELLINGS.get(word, word) for word in words if word not in _ARTICLES)


def vqa_score(answer: str, human_answers: Sequence[str]) -> float:
    """Accuracy of one answer, in [0, 1]: min(1, agreeing people / 3), averaged over leaving out each person once.

    As in the official evaluation, answers are normalised only where the people disagree in spelling.

    Raises:
        ValueError: no human answers.
    """
    if not human_answers:
        raise ValueError("VQA accuracy needs the answers of at least one person, got none")
    given, humans = _clean(answer), [_clean(human) for human in human_answers]
    if len(humans) == 1:
        # Leaving out the only person leaves nobody to agree with: data with one answer are scored by equality.
        return float(normalise_answer(given) == normalise_answer(humans[0]))
    if len(set(humans)) > 1:
        given, humans = normalise_answer(given), [normalise_answer(human) for human in humans]
    agrees = np.array([human == given for human in humans])
    return float(np.minimum(1, (agrees.sum() - agrees) / 3).mean())


def vqa_accuracy(answers: Sequence[str], human_answers: Sequence[Sequence[str]]) -> float:
    """Mean of `vqa_score` over questions, in [0, 1].

    Raises:
        ValueError: no questions, or not one answer per question.
    """
    if not answers or len(answers) != len(human_answers):
        raise ValueError(
            f"expected one answer for each of at least one question, got {len(answers)} answers and "
            f"{len(human_answers)} questions"
        )
    return float(np.mean([vqa_score(*pair) for pair in zip(answers, human_answers, strict=True)]))


def _clean(answer: str) -> str:
    return answer.replace("\n", " ").replace("\t", " ").strip()
