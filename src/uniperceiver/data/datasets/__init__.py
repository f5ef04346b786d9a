"""Data sets, one file per format. `DATASETS` says which ``kind`` of a configuration is which."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from uniperceiver.config import DatasetConfig
from uniperceiver.data.datasets.coco_captions import open_coco_captions
from uniperceiver.data.datasets.coco_instances import CocoInstances
from uniperceiver.data.datasets.glue import Glue
from uniperceiver.data.datasets.hugging_face import HuggingFace
from uniperceiver.data.datasets.image_folder import ImageFolder
from uniperceiver.data.datasets.image_list import ImageList
from uniperceiver.data.datasets.image_text_pairs import open_image_text_pairs
from uniperceiver.data.datasets.karpathy_captions import KarpathyCaptions
from uniperceiver.data.datasets.labelled_texts import LabelledTexts
from uniperceiver.data.datasets.plain_text import PlainText
from uniperceiver.data.datasets.scenes import open_scenes
from uniperceiver.data.datasets.text_pairs import TextPairs
from uniperceiver.data.datasets.video_captions import VideoCaptions
from uniperceiver.data.datasets.video_csv import VideoCsv
from uniperceiver.data.datasets.visual_genome import open_visual_genome
from uniperceiver.data.datasets.voc import Voc
from uniperceiver.data.datasets.vqa import Vqa
from uniperceiver.data.datasets.webdataset import WebDataset, WebDatasetPairs
from uniperceiver.data.datasets.yolo import Yolo
from uniperceiver.data.records import Record


class Dataset(Protocol):
    """Records by number. Classification and detection data also have ``names``, the classes that labels number."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Record: ...


DATASETS: dict[str, Callable[[Any], Dataset]] = {
    "coco_instances": CocoInstances,
    "image_folder": ImageFolder,
    "image_list": ImageList,
    "karpathy_captions": KarpathyCaptions,
    "webdataset": WebDataset,
    "plain_text": PlainText,
    "vqa": Vqa,
    "yolo": Yolo,
    "voc": Voc,
    "coco_captions": open_coco_captions,
    "image_text_pairs": open_image_text_pairs,
    "webdataset_pairs": WebDatasetPairs,
    "hugging_face": HuggingFace,
    "visual_genome": open_visual_genome,
    "video_csv": VideoCsv,
    "video_captions": VideoCaptions,
    "glue": Glue,
    "labelled_texts": LabelledTexts,
    "text_pairs": TextPairs,
    "scenes": open_scenes,
}


def open_dataset(config: DatasetConfig) -> Dataset:
    """The data set that a configuration names, indexed and checked; pictures are decoded when asked for.

    Raises:
        DatasetError: files missing, broken or inconsistent; the message names the file and the record.
    """
    return DATASETS[config.kind](config)
