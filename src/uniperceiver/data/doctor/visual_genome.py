"""Visual Genome's regions: a JSON list of pictures with phrases."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from uniperceiver.data.doctor.diagnosis import Diagnosis
from uniperceiver.data.doctor.kinds import Kind
from uniperceiver.data.doctor.parts import Part, folder_with, split_of
from uniperceiver.data.doctor.texts import TextCheck


def check_visual_genome(
    rows: list[dict[str, Any]], source: Path, root: Path, images: Path | None, diagnosis: Diagnosis
) -> list[Part]:
    """Look at a parsed ``region_descriptions.json``. Pictures may lie in several folders, VG_100K and VG_100K_2."""
    part = Part("Visual Genome regions", source, split_of(source, root), records=len(rows))
    texts = TextCheck(source, diagnosis)
    names: list[str] = []
    for position, row in enumerate(rows):
        regions = row.get("regions")
        if not isinstance(regions, list) or not all(isinstance(region, dict) for region in regions):
            diagnosis.add(Kind.BAD_ENTRY, source, f"entry {position} has no list of regions")
            continue
        number = row.get("id", regions[0].get("image_id") if regions else None)
        if number is not None:
            names.append(f"{number}.jpg")
        for region in regions:
            where = f"region {region.get('region_id')} of image {number}"
            if isinstance(region.get("phrase"), str):
                texts.look_at(region["phrase"], where)
            else:
                diagnosis.add(Kind.BAD_ENTRY, source, f"{where} has no phrase")
    first = folder_with(names, source, root, images)
    folders = [first, *sorted(path for path in first.parent.iterdir() if path.is_dir() and path != first)]
    for name in names:
        found = next((folder / name for folder in folders if os.path.isfile(folder / name)), None)
        if found is None:
            diagnosis.add(Kind.MISSING_IMAGE, first / name, f"of {source.name}")
        else:
            part.images[found] = None
    return [part]
