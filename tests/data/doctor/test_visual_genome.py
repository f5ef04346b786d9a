from __future__ import annotations

from typing import Any

import pytest

from uniperceiver.data.doctor import Kind


def regions(**changed: Any) -> list[dict[str, Any]]:
    rows = [{"region_id": 10 * i, "image_id": i, "phrase": f"leg {i} of a table"} for i in (1, 2)]
    return [{"id": row["image_id"], "regions": [row | (changed if row["image_id"] == 1 else {})]} for row in rows]


@pytest.fixture
def pictures(picture) -> None:
    picture("VG_100K/1.jpg", 1)
    picture("VG_100K_2/2.jpg", 2)


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        (None, regions()),
        (Kind.EMPTY_TEXT, regions(phrase=" ")),
        (Kind.BAD_ENTRY, regions(phrase=None)),
        (Kind.BAD_ENTRY, [*regions(), {"id": 2, "regions": 3}]),
        (Kind.MISSING_IMAGE, [*regions(), {"id": 3, "regions": [{"phrase": "a cat"}]}]),
    ],
)
def test_one_fault_gives_one_kind_of_finding(pictures, kinds, write, kind: Kind | None, rows) -> None:
    write("region_descriptions.json", rows)
    assert kinds() == ({kind} if kind else set())
