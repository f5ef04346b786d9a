"""What the metrics of each task are called, known before anything is evaluated."""

from __future__ import annotations

from dataclasses import fields
from fnmatch import fnmatchcase
from typing import get_args

from uniperceiver.config import TaskKind
from uniperceiver.evaluation.average_precision import AveragePrecision
from uniperceiver.evaluation.recall import KS
from uniperceiver.tasks.glue import Metric

_TOPS = ("top1", "top5")
_WAYS = ("image_to_text", "text_to_image", "video_to_text", "text_to_video", "text_to_partner", "partner_to_text")
METRICS: dict[TaskKind, tuple[str, ...]] = {
    "classification": _TOPS,
    "detection": (
        *(
            f"{region}_{field.name}"
            for region in ("box", "mask", "agnostic_box", "agnostic_mask")
            for field in fields(AveragePrecision)
            if field.type == "float"
        ),
        "located",
        "named",
    ),
    "captioning": (
        *("bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "cider_d"),
        *("name_f1", "name_precision", "name_recall", "name_exact"),
    ),
    "retrieval": tuple(f"{prefix}{way}_r{k}" for prefix in ("", "1k_") for way in _WAYS for k in KS),
    "masked_language_modeling": _TOPS,
    "visual_question_answering": ("accuracy", "accuracy_*"),
    "language_modeling": ("likelihood", *_TOPS),
    "text_classification": get_args(Metric),
}
"""Some exist for some data only: masks, names in captions of scenes, videos. A ``*`` stands for names from the data."""


def check_metric(kind: TaskKind, metric: str) -> None:
    """Make sure that a task has a metric of this name.

    Raises:
        ValueError: it has none on any data.
    """
    if not any(fnmatchcase(metric, known) for known in METRICS[kind]):
        raise ValueError(f"{kind} has no metric {metric!r}; there are {', '.join(METRICS[kind])}")
