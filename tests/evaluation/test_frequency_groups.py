from __future__ import annotations

import numpy as np
import pytest

from uniperceiver.evaluation.frequency_groups import ap_by_frequency


def test_classes_are_grouped_by_their_training_images() -> None:
    ap_of_class = {1: 0.1, 2: 0.3, 3: 0.5, 4: 0.6, 5: 0.9}
    scores = ap_by_frequency(ap_of_class, {1: 0, 2: 10, 3: 11, 4: 100, 5: 101, 6: 3})
    assert (scores.ap_rare, scores.ap_common, scores.ap_frequent) == pytest.approx((0.2, 0.55, 0.9))
    assert scores.classes == (2, 2, 1)


def test_a_group_without_classes_is_undefined_and_a_missing_count_is_an_error() -> None:
    assert np.isnan(ap_by_frequency({1: 0.5}, {1: 5}).ap_frequent)
    with pytest.raises(ValueError, match=r"1 classes have no number of training images: \[2\]"):
        ap_by_frequency({1: 0.5, 2: 0.5}, {1: 5})
