"""All checks of a data set, one after the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.doctor.captions import check_coco_captions, check_karpathy
from uniperceiver.data.doctor.classes import check_classes
from uniperceiver.data.doctor.coco_instances import check_coco_instances
from uniperceiver.data.doctor.diagnosis import Diagnosis
from uniperceiver.data.doctor.duplicates import check_duplicates
from uniperceiver.data.doctor.image_files import check_image_files
from uniperceiver.data.doctor.image_folder import check_image_folder
from uniperceiver.data.doctor.image_list import check_image_list
from uniperceiver.data.doctor.kinds import Kind
from uniperceiver.data.doctor.pairs import check_pairs
from uniperceiver.data.doctor.parts import Part
from uniperceiver.data.doctor.plain_text import check_plain_text
from uniperceiver.data.doctor.survey import Survey, files_below, survey
from uniperceiver.data.doctor.visual_genome import check_visual_genome
from uniperceiver.data.doctor.voc import check_voc
from uniperceiver.data.doctor.vqa import check_vqa
from uniperceiver.data.doctor.webdataset import check_shards
from uniperceiver.data.doctor.yolo import check_yolo
from uniperceiver.data.images import PICTURE_SUFFIXES


def check_data(
    path: Path,
    *,
    images: Path | None = None,
    decode: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Diagnosis:
    """Look at a data set in whatever formats it has.

    Args:
        path: a folder, or one annotation file, shard or text.
        images: where the images of annotation files lie; None: the likeliest folder near them is found.
        decode: decode every image; otherwise only headers are read, and pixels where an image looks cut off.
        progress: called with the number of image files done and of all.

    Raises:
        DatasetError: no such path, or nothing in a format that is known.
    """
    if not path.exists():
        raise DatasetError(f"no file or folder {path}")
    if images is not None and not images.is_dir():
        raise DatasetError(f"no folder of images {images}")
    if path.suffix in {".yaml", ".yml"}:
        path = path.absolute().parent  # YOLO's list of names, beside what it names
    root = path if path.is_dir() else path.absolute().parent.parent
    diagnosis = Diagnosis(root)
    files = files_below(path) if path.is_dir() else _with_answers(path.absolute())
    found = survey(root, files, diagnosis)
    parts = _check_formats(root, found, images, decode, diagnosis)
    if not parts and not diagnosis.findings:
        raise DatasetError(
            f"{path} holds nothing in a format that is known: expected COCO, Karpathy or VQA JSON, YOLO or VOC "
            "annotations, folders of classes, lists of images and classes, CSV or JSONL of images and texts, "
            "WebDataset shards, or text"
        )
    for part in parts:
        _check_part(part, diagnosis)
    _check_images(parts, decode, diagnosis, progress)
    check_classes(parts, diagnosis)
    check_duplicates(parts, diagnosis)
    return diagnosis


def _with_answers(path: Path) -> list[Path]:
    """A file, and if it holds VQA's questions the files beside it that may answer them."""
    if path.suffix != ".json" or "question" not in path.name.lower():
        return [path]
    beside = sorted(path.parent.glob("*.json"))
    return [path, *(file for file in beside if "annotation" in file.name.lower() or "answer" in file.name.lower())]


def _check_formats(root: Path, found: Survey, images: Path | None, decode: bool, diagnosis: Diagnosis) -> list[Part]:
    parts: list[Part] = []
    for source, content in found.instances:
        parts += check_coco_instances(content, source, root, images, diagnosis)
    for source, content in found.coco_captions:
        parts += check_coco_captions(content, source, root, images, diagnosis)
    for source, content in found.karpathy:
        parts += check_karpathy(content, source, root, images, diagnosis)
    for source, regions in found.visual_genome:
        parts += check_visual_genome(regions, source, root, images, diagnosis)
    for source, rows in found.pairs:
        parts += check_pairs(rows, source, root, images, diagnosis)
    if found.questions:
        pictures = files_below(images) if images is not None else found.images or files_below(root)
        parts += check_vqa(found.questions, found.answers, root, pictures, diagnosis)
    if found.voc:
        parts += check_voc(root, found.voc, diagnosis)
    if found.yolo:
        parts += check_yolo(root, found.yolo, found.images, diagnosis)
    if found.shards:
        parts += check_shards(root, found.shards, decode, diagnosis)
    for source in found.image_lists:
        parts += check_image_list(source, root, images, diagnosis)
    if found.is_image_folder:
        parts += check_image_folder(root, found.images)
    for source in found.plain_texts:
        parts += check_plain_text(source, root, diagnosis)
    return parts


def _check_part(part: Part, diagnosis: Diagnosis) -> None:
    diagnosis.look_at(f"{part.format}, {part.split}: {part.records} records", part.source)
    if not part.records:
        diagnosis.add(Kind.EMPTY_SPLIT, part.source, f"{part.format}, {part.split}")


def _check_images(parts: list[Part], decode: bool, diagnosis: Diagnosis, progress: Callable[[int, int], None]) -> None:
    """Every image once, however many annotation files name it; then the images that none names."""
    files: dict[Path, tuple[int, int] | None] = {}
    used: dict[Path, set[Path]] = defaultdict(set)
    for part in parts:
        for image, size in part.images.items():
            files[image] = size or files.get(image)
        if part.folder is not None:
            used[part.folder] |= set(part.images)
    done = 0

    def advance(images: int) -> None:
        nonlocal done
        done += images
        progress(done, len(files))

    check_image_files(files, decode, diagnosis, advance)
    for folder, known in used.items():
        for image in files_below(folder):
            if image.suffix.lower() in PICTURE_SUFFIXES and image not in known and image not in files:
                diagnosis.add(Kind.UNUSED_IMAGE, image)
