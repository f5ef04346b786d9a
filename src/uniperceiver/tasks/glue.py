"""How v1 asks the questions of GLUE: templates and words (spec/uni_perceiver_v1_moe.md, section 4), and the metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from uniperceiver.config import GlueName, TaskConfig

Metric = Literal["accuracy", "f1", "macro_f1", "matthews", "pearson", "spearman"]


@dataclass(frozen=True)
class TextQuestion:
    """How texts are asked for their class."""

    template: str
    words: Mapping[str, str] | None
    """Class name → the word that stands for it, the positive class of F1 last; None: the names themselves."""
    metrics: tuple[Metric, ...]
    """The one to quote first."""


_YES_NO = {"not_entailment": "no", "entailment": "yes"}

GLUE: dict[GlueName, TextQuestion] = {
    "sst2": TextQuestion("{first} {end} it is {slot} .", {"negative": "bad", "positive": "wonderful"}, ("accuracy",)),
    "cola": TextQuestion(
        "{first} this is {slot} .", {"unacceptable": "incorrect", "acceptable": "correct"}, ("matthews", "accuracy")
    ),
    "rte": TextQuestion("{first_without_stop} ? {end} it is {slot} , {second}", _YES_NO, ("accuracy",)),
    "mrpc": TextQuestion(
        "{first_without_stop} . {slot} , {second}", {"not_equivalent": "no", "equivalent": "yes"}, ("f1", "accuracy")
    ),
    "qqp": TextQuestion(
        "{first_without_stop} {end} {slot} , {second}", {"not_duplicate": "no", "duplicate": "yes"}, ("f1", "accuracy")
    ),
    "qnli": TextQuestion("{first_without_stop} {end} it is {slot} , {second}", _YES_NO, ("accuracy",)),
    "mnli": TextQuestion(
        "{first} {slot} , {second}", {"contradiction": "no", "neutral": "maybe", "entailment": "yes"}, ("accuracy",)
    ),
    # Paper: neither of these two is in v1. STS-B as in LM-BFF (Gao et al., 2021), which v1 takes its words from.
    "stsb": TextQuestion(
        "{first} {slot} , {second}", {"unrelated": "no", "equivalent": "yes"}, ("pearson", "spearman")
    ),
    "wnli": TextQuestion("{first_without_stop} ? {end} it is {slot} , {second}", _YES_NO, ("accuracy",)),
}


def question_of(config: TaskConfig) -> TextQuestion:
    """What ``config.template`` names, or a pattern of one's own, with the words of ``config.label_words`` if given."""
    named = next((question for name, question in GLUE.items() if name == config.template), None)
    if named is None:
        return TextQuestion(config.template, config.label_words, ("accuracy", "macro_f1", "matthews"))
    return TextQuestion(named.template, config.label_words or named.words, named.metrics)


def words_of(config: TaskConfig, labels: Sequence[str]) -> list[str]:
    """The word of each label that is a class of the task; any other label is a word itself."""
    words = question_of(config).words or {}
    return [words.get(label, label) for label in labels]


def classes_of(config: TaskConfig, words: Sequence[str]) -> tuple[str, ...]:
    """The class that each word stands for; a word that stands for none, or for several, is its own name."""
    standing: dict[str, list[str]] = {}
    for name, word in (question_of(config).words or {}).items():
        standing.setdefault(word, []).append(name)
    named = {word: names[0] for word, names in standing.items() if len(names) == 1}
    return tuple(named.get(word, word) for word in words)


def label_words(config: TaskConfig, names: tuple[str, ...]) -> list[str]:
    """The word of every class.

    Raises:
        ValueError: a class has no word.
    """
    words = question_of(config).words
    if words is None:
        return list(names)
    missing = [name for name in names if name not in words]
    if missing:
        raise ValueError(
            f"the template {config.template!r} has words for {', '.join(words)}, but the data have the class "
            f"{missing[0]!r}: give the task `label_words`, class name → word"
        )
    return [words[name] for name in names]
