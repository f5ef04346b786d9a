from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from uniperceiver.run_lengths import compressed, encoded, run_lengths


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (8, 3), (300, 200)])
@pytest.mark.parametrize("density", [0.0, 0.02, 0.5, 1.0])
def test_run_lengths_are_coco_s(shape: tuple[int, int], density: float) -> None:
    mask = np.random.default_rng(0).random(shape) < density
    expected = coco_mask.frPyObjects({"size": list(shape), "counts": run_lengths(mask)}, *shape)
    np.testing.assert_array_equal(coco_mask.decode(expected).astype(bool), mask)
    assert compressed(run_lengths(mask)) == expected["counts"].decode()
    assert encoded(mask) == {"size": list(shape), "counts": expected["counts"].decode()}
    np.testing.assert_array_equal(coco_mask.decode(encoded(mask)).astype(bool), mask)
