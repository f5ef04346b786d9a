"""Configuration of data sets of texts alone: with classes, and in pairs."""

from __future__ import annotations

from typing import Literal

from pydantic.dataclasses import dataclass

from uniperceiver.config.constraints import STRICT
from uniperceiver.config.fold import FoldConfig

GlueName = Literal["cola", "sst2", "mrpc", "qqp", "stsb", "mnli", "qnli", "rte", "wnli"]


@dataclass(frozen=True, config=STRICT)
class GlueConfig:
    """A TSV file of the GLUE benchmark as it is published, or without its header as fairseq prepares it."""

    path: str
    """``train.tsv``, ``dev.tsv``, ``dev_matched.tsv``, …; test files have no labels."""
    task: GlueName
    kind: Literal["glue"] = "glue"
    fold: FoldConfig | None = None


@dataclass(frozen=True, config=STRICT)
class LabelledTextsConfig:
    """A CSV, TSV or JSON Lines file with a text, or two, and a class a row."""

    path: str
    kind: Literal["labelled_texts"] = "labelled_texts"
    text: str = "text"
    """Name of the column with the text."""
    second: str | None = None
    """Name of the column with the second text; None: there is one text a row."""
    label: str = "label"
    """Name of the column with the class: its name, or with ``classes`` its number."""
    classes: str | None = None
    """Text file with one class name a line; None: the names that occur, in alphabetical order."""
    fold: FoldConfig | None = None


@dataclass(frozen=True, config=STRICT)
class TextPairsConfig:
    """A CSV, TSV or JSON Lines file of texts that belong together: questions and answers, paraphrases, translations."""

    path: str
    kind: Literal["text_pairs"] = "text_pairs"
    text: str = "question"
    """Name of the column with the text that searches; rows of one text are its partners."""
    partner: str = "answer"
    """Name of the column with the text that is to be found; in JSON Lines it may hold a list of texts."""
    fold: FoldConfig | None = None
