"""Mean AP of rare, common and frequent classes, as LVIS groups them (Gupta et al., 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

RARE, COMMON = 10, 100
"""A class is rare with up to 10 training images that show it, common with up to 100, else frequent."""


@dataclass(frozen=True)
class FrequencyScores:
    """Means over classes in [0, 1]; nan where a group has no class with references."""

    ap_rare: float
    ap_common: float
    ap_frequent: float
    classes: tuple[int, int, int]
    """Classes with references in each group."""


def ap_by_frequency(ap_of_class: Mapping[int, float], training_images: Mapping[int, int]) -> FrequencyScores:
    """Group the AP of classes by how many training images show them.

    The grouping is LVIS's; the AP is COCO's. LVIS also evaluates up to 300 detections an image and leaves out classes
    that an image was not checked for, so its official figures are others.

    Raises:
        ValueError: a class with an AP has no count.
    """
    unknown = sorted(set(ap_of_class) - set(training_images))
    if unknown:
        raise ValueError(f"{len(unknown)} classes have no number of training images: {unknown[:5]}")
    groups: tuple[list[float], list[float], list[float]] = ([], [], [])
    for label, ap in ap_of_class.items():
        images = training_images[label]
        groups[0 if images <= RARE else 1 if images <= COMMON else 2].append(ap)
    rare, common, frequent = (float(np.mean(group)) if group else float("nan") for group in groups)
    return FrequencyScores(rare, common, frequent, (len(groups[0]), len(groups[1]), len(groups[2])))
