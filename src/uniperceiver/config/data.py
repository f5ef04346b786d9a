"""Configuration of data sets: one class per format."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from uniperceiver.config.constraints import STRICT, Positive
from uniperceiver.config.fold import FoldConfig, LastQuestionsConfig
from uniperceiver.config.scenes import ScenesConfig
from uniperceiver.config.text_data import GlueConfig, LabelledTextsConfig, TextPairsConfig
from uniperceiver.config.video_data import VideoCaptionsConfig, VideoCsvConfig


@dataclass(frozen=True, config=STRICT)
class CocoInstancesConfig:
    """COCO instances JSON: boxes, polygons or RLE masks (or none), category names."""

    annotations: str
    images: str
    kind: Literal["coco_instances"] = "coco_instances"
    fold: FoldConfig | None = None


@dataclass(frozen=True, config=STRICT)
class ImageFolderConfig:
    """One folder of pictures per class."""

    root: str
    kind: Literal["image_folder"] = "image_folder"
    names: str | None = None
    """A CSV file ``folder,name`` that gives the folders' readable names, or ``folder,name,synonym`` with any number of
    synonyms; None: the folder's name is the class name."""
    fold: FoldConfig | None = None


@dataclass(frozen=True, config=STRICT)
class ImageListConfig:
    """A text file of lines ``path class``, as ImageNet's ``meta/train.txt``."""

    path: str
    images: str
    """The folder to which the paths are relative."""
    classes: str
    """A text file with one class name a line, in the order of the class numbers."""
    kind: Literal["image_list"] = "image_list"
    fold: FoldConfig | None = None


@dataclass(frozen=True, config=STRICT)
class KarpathyCaptionsConfig:
    """Karpathy's ``dataset_*.json``: pictures with several captions and a split each."""

    annotations: str
    images: str
    splits: tuple[str, ...]
    """Splits to read, e.g. ``[train, restval]``."""
    kind: Literal["karpathy_captions"] = "karpathy_captions"
    fold: FoldConfig | None = None


@dataclass(frozen=True, config=STRICT)
class WebDatasetConfig:
    """Tar shards (``.tar`` or ``.tar.gz``) of labelled pictures: ``KEY.jpg`` with ``KEY.cls``."""

    shards: str
    """A file, or a pattern with ``*`` or ``{000..999}``."""
    classes: str
    """A text file with one class name a line, in the order of the ``.cls`` numbers."""
    kind: Literal["webdataset"] = "webdataset"
    fold: FoldConfig | None = None
    """Of shards, where there are several; else of samples."""


@dataclass(frozen=True, config=STRICT)
class PlainTextConfig:
    """A text file, one text a line; or the captions of a Karpathy JSON."""

    path: str
    kind: Literal["plain_text"] = "plain_text"
    splits: tuple[str, ...] | None = None
    """For a Karpathy JSON: the splits whose captions are the texts."""
    packed_words: Positive | None = None
    """A text of fewer words, as blanks separate them, is followed by the texts behind it, after the last by the first,
    until there are so many (v1: 128, for texts of 128 tokens). None: every text stands alone."""
    fold: FoldConfig | None = None


@dataclass(frozen=True, config=STRICT)
class VqaConfig:
    """VQAv2's questions and annotations JSON."""

    questions: str
    annotations: str | None
    """None: nobody's answers are known, as those of test questions; they can be answered, not scored or trained on."""
    images: str | tuple[str, ...]
    """Folder or folders; a picture is the file whose name ends in the 12-digit image id, or is the id."""
    kind: Literal["vqa"] = "vqa"
    fold: FoldConfig | LastQuestionsConfig | None = None
    """``folds`` of pictures: all questions about one are in the same part; or the ``last`` questions."""
    also: tuple[VqaConfig, ...] = ()
    """More files of questions, each with its own annotations, pictures and fold, which follow these."""


@dataclass(frozen=True, config=STRICT)
class YoloConfig:
    """YOLO txt: ``class x y width height`` or ``class x1 y1 x2 y2 …`` a line, relative to the picture."""

    images: str
    """A folder of pictures, at any depth, or a text file that lists them."""
    names: str
    """``data.yaml`` with ``names``, or a text file with one class name a line."""
    kind: Literal["yolo"] = "yolo"
    labels: str | None = None
    """Folder of the txt files. None: for ``…/images/…`` that of ``…/labels/…``, else beside the pictures."""
    fold: FoldConfig | None = None


@dataclass(frozen=True, config=STRICT)
class VocConfig:
    """Pascal VOC: ``Annotations/*.xml``, ``JPEGImages``, ``ImageSets``, and ``SegmentationObject`` for masks."""

    root: str
    kind: Literal["voc"] = "voc"
    split: str | None = None
    """A list in ``ImageSets/Main`` (``ImageSets/Segmentation`` for masks), e.g. ``train``; None: every XML file."""
    masks: bool = False
    """True: masks from ``SegmentationObject``, which every picture must have; False: boxes alone."""
    names: str | None = None
    """Text file with one class name a line; None: the names that occur in all XML files, in alphabetical order."""
    fold: FoldConfig | None = None


@dataclass(frozen=True, config=STRICT)
class CocoCaptionsConfig:
    """COCO captions JSON: a list of pictures, a list of captions."""

    annotations: str
    images: str
    kind: Literal["coco_captions"] = "coco_captions"
    fold: FoldConfig | None = None


@dataclass(frozen=True, config=STRICT)
class ImageTextPairsConfig:
    """A CSV, TSV or JSON Lines file with a picture and a text a row; rows of one picture are its captions."""

    path: str
    images: str
    """The folder to which the pictures' paths are relative."""
    kind: Literal["image_text_pairs"] = "image_text_pairs"
    image: str = "image"
    """Name of the column with the picture's path."""
    text: str = "caption"
    """Name of the column with the text; in JSON Lines it may hold a list of texts."""
    fold: FoldConfig | None = None


@dataclass(frozen=True, config=STRICT)
class WebDatasetPairsConfig:
    """Tar shards of pictures with texts, as img2dataset writes them: ``KEY.jpg`` with ``KEY.txt``."""

    shards: str
    """A file, or a pattern with ``*`` or ``{00000..00999}``."""
    kind: Literal["webdataset_pairs"] = "webdataset_pairs"
    fold: FoldConfig | None = None
    """Of shards, where there are several; else of samples."""


@dataclass(frozen=True, config=STRICT)
class HuggingFaceConfig:
    """A data set that Hugging Face ``datasets`` saved to disk (``save_to_disk``)."""

    path: str
    view: Literal["labels", "captions", "questions", "texts", "labelled_texts"]
    """What a record is: a picture with its class, with its captions, with a question; a text, or one or two with a
    class."""
    target: str
    """The column with the class, the caption or list of captions, the answer or list of answers, or the text."""
    kind: Literal["hugging_face"] = "hugging_face"
    image: str = "image"
    """The column with the picture."""
    question: str = "question"
    """The column with the question."""
    text: str = "sentence"
    """``labelled_texts``: the column with the text."""
    second: str | None = None
    """``labelled_texts``: the column with the second text; None: there is one text a row."""
    split: str | None = None
    """Of a ``DatasetDict``."""
    fold: FoldConfig | None = None


@dataclass(frozen=True, config=STRICT)
class VisualGenomeConfig:
    """Visual Genome's ``region_descriptions.json``: the phrases about a picture's regions are its captions."""

    regions: str
    images: tuple[str, ...]
    """Folders, usually ``VG_100K`` and ``VG_100K_2``; a picture is the file named by its id."""
    kind: Literal["visual_genome"] = "visual_genome"
    fold: FoldConfig | None = None


DatasetConfig = Annotated[
    CocoInstancesConfig
    | ImageFolderConfig
    | ImageListConfig
    | KarpathyCaptionsConfig
    | WebDatasetConfig
    | PlainTextConfig
    | VqaConfig
    | YoloConfig
    | VocConfig
    | CocoCaptionsConfig
    | ImageTextPairsConfig
    | WebDatasetPairsConfig
    | HuggingFaceConfig
    | VisualGenomeConfig
    | VideoCsvConfig
    | VideoCaptionsConfig
    | GlueConfig
    | LabelledTextsConfig
    | TextPairsConfig
    | ScenesConfig,
    Field(discriminator="kind"),
]
