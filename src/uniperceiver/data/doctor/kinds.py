"""Every kind of finding: code, severity, what it says, how to mend it."""

from __future__ import annotations

from enum import Enum, StrEnum


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """Training refuses it, or learns or measures something false."""
    WARNING = "warning"
    """Training goes on; most people would want to mend it."""
    NOTE = "note"
    """Worth knowing; may well be intended."""


_ERROR, _WARNING, _NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE


class Kind(Enum):
    """A kind of finding. Codes stay what they are: F files, I images, D duplicates, C classes, O objects, T texts."""

    def __init__(self, code: str, severity: Severity, title: str, mend: str) -> None:
        self.code = code
        self.severity = severity
        self.title = title
        self.mend = mend

    UNREADABLE_FILE = ("F001", _ERROR, "annotation file cannot be read", "write or download the file again")
    BAD_ENTRY = ("F002", _ERROR, "entry lacks a field or has one of a wrong type", "write the fields of the format")
    MISSING_IMAGE = ("F003", _ERROR, "image is missing", "add the file, or name the folder with --images")
    UNUSED_IMAGE = ("F004", _NOTE, "image that no annotation names", "annotate or remove it")
    BROKEN_SHARD = ("F005", _ERROR, "shard is broken or cut off", "write or download the shard again")
    INCOMPLETE_SAMPLE = ("F006", _ERROR, "sample lacks its picture or its label", "write both under one key")
    REPEATED_KEY = ("F007", _ERROR, "sample key occurs twice in the shards", "give every sample a key of its own")
    MISSING_SHARD = ("F008", _WARNING, "number is missing in a series of shards", "download the missing shard")
    EMPTY_SPLIT = ("F009", _ERROR, "no record in it", "remove the file, or fill it")

    UNREADABLE_IMAGE = ("I001", _ERROR, "not an image that can be read", "replace the file")
    TRUNCATED_IMAGE = ("I002", _ERROR, "image is cut off or damaged", "copy or download the file again")
    SIZE_MISMATCH = ("I003", _ERROR, "image has another size than its annotation says", "correct width and height")
    EXIF_ROTATION = (
        "I004", _WARNING, "EXIF orientation turns the image", "check that boxes fit the upright image; save it upright",
    )  # fmt: skip
    CMYK_IMAGE = ("I005", _NOTE, "CMYK image", "save it as RGB: conversion without a profile shifts its colours")
    DEEP_IMAGE = ("I006", _NOTE, "16-bit image", "save 8 bits a channel: only the upper 8 bits are used")
    FLOAT_IMAGE = ("I007", _ERROR, "image of floating-point pixels", "save 8 bits a channel: their range is unknown")
    PALETTE_IMAGE = ("I008", _NOTE, "palette image", "save it as RGB if it is a photograph")
    TRANSPARENT_IMAGE = ("I009", _NOTE, "image with transparency", "flatten it, unless white behind it is right")
    HUGE_IMAGE = ("I010", _ERROR, "image of more pixels than are decoded", "make it smaller")
    TINY_IMAGE = ("I011", _WARNING, "image of less than 16 pixels a side", "remove it, or find the original")
    LONG_IMAGE = ("I012", _WARNING, "image more than ten times as long as wide", "crop it")
    WRONG_EXTENSION = ("I013", _WARNING, "file name's ending is not the image's format", "rename the file")
    ANIMATED_IMAGE = ("I014", _WARNING, "image of several frames; the first is used", "save the frame you mean")

    DUPLICATE_IMAGE = ("D001", _WARNING, "the same image twice in a split", "keep one copy and join its annotations")
    LEAKAGE = ("D002", _ERROR, "the same image in two splits", "remove it from the training split")

    CLASS_IMBALANCE = ("C001", _NOTE, "a class has over 100 times the examples of another", "collect or sample more")
    EMPTY_CLASS = ("C002", _WARNING, "class without examples", "remove the class, or add examples")
    SIMILAR_NAMES = ("C003", _WARNING, "class names that differ in case or spaces alone", "join the classes")
    REPEATED_NAME = ("C004", _ERROR, "two classes have one name", "join the classes, or rename one")
    UNKNOWN_CATEGORY = (
        "C005",
        _ERROR,
        "object of a category that the file lacks",
        "add the category, or correct the id",
    )
    CATEGORY_ID_MIX_UP = (
        "C006", _ERROR, "COCO's 80 and 91 category ids are mixed", "map contiguous ids to COCO's 1–90 or back",
    )  # fmt: skip
    CONTIGUOUS_COCO_IDS = (
        "C007", _WARNING, "COCO's classes with contiguous ids", "use COCO's ids 1–90, as its official files do",
    )  # fmt: skip
    CATEGORY_CONFLICT = ("C008", _ERROR, "files number their classes differently", "use one numbering in all files")
    REPEATED_CATEGORY_ID = ("C009", _ERROR, "two categories have one id", "give each category an id of its own")
    CLASS_BEYOND_NAMES = ("C010", _ERROR, "class number beyond the names", "add the name, or correct the number")
    UNKNOWN_NAME = ("C011", _ERROR, "object name that the list of classes lacks", "add the name, or correct it")
    BLANK_NAME = ("C012", _ERROR, "class without a name", "name it: the name is what the model compares with")

    BAD_BOX = ("O001", _ERROR, "box is not four finite numbers of a box", "write x, y, width, height in pixels")
    ZERO_AREA = ("O002", _WARNING, "box without width or height", "remove the object, or draw its box")
    BOX_OVER_EDGE = ("O003", _WARNING, "box reaches over the image's edge", "clip it to the image")
    BOX_OUTSIDE = ("O004", _ERROR, "box mostly outside its image", "correct the box, or the image's size")
    CORNER_BOXES = ("O005", _ERROR, "boxes look like corners x0, y0, x1, y1", "write x, y, width, height")
    REPEATED_OBJECT_ID = ("O006", _ERROR, "two annotations have one id", "give each annotation an id of its own")
    REPEATED_IMAGE_ID = ("O007", _ERROR, "two images have one id", "give each image an id of its own")
    UNKNOWN_IMAGE = ("O008", _ERROR, "annotation of an image that the file lacks", "add the image, or correct the id")
    BAD_POLYGON = (
        "O009",
        _ERROR,
        "polygon of odd length, of two points or far outside",
        "write x, y pairs in pixels",
    )
    FLAT_POLYGON = ("O010", _WARNING, "polygon without area", "remove the part, or draw it")
    MASK_SIZE = ("O011", _ERROR, "run-length mask of another size than its image", "encode it at the image's size")
    BAD_RUN_LENGTHS = ("O012", _ERROR, "run lengths do not add up to the image", "encode the mask again")
    NO_MASK = ("O013", _WARNING, "object without a mask", "write polygons or run lengths, or train its box alone")
    MASK_OUTSIDE_BOX = ("O014", _WARNING, "mask does not fit its box", "compute the box from the mask")
    WRONG_AREA = (
        "O015",
        _WARNING,
        "area disagrees with mask and box",
        "compute area from the mask: AP by size uses it",
    )
    REPEATED_OBJECT = ("O016", _WARNING, "the same box and class twice in an image", "remove one of the two")
    CROWD_ONLY = ("O017", _NOTE, "image with crowds alone", "nothing is trained on there; annotate single objects")
    NO_OBJECT = ("O018", _NOTE, "image without objects", "fine as background; otherwise annotate it")
    VALUE_OUT_OF_RANGE = ("O019", _ERROR, "YOLO value outside 0 to 1", "divide by the image's width and height")
    BAD_YOLO_LINE = ("O020", _ERROR, "line is neither a YOLO box nor a polygon", "write class x y w h, or class x y …")

    NOT_UTF8 = ("T001", _ERROR, "text is not UTF-8", "convert the file to UTF-8")
    EMPTY_TEXT = ("T002", _ERROR, "empty text", "remove it, or write it")
    LONG_TEXT = ("T003", _WARNING, "text of more than 100 words", "shorten it: the end is cut off")
    REPEATED_TEXT = ("T004", _WARNING, "the same text twice for one image", "remove one")
    FREQUENT_TEXT = ("T005", _NOTE, "one text for many images", "check that it describes each of them")
    GARBLED_TEXT = ("T006", _WARNING, "text that was decoded wrongly once", "convert it again from the source")
    MARKUP = ("T007", _WARNING, "text with HTML or a web address", "remove the markup")
    NO_TEXT = ("T008", _ERROR, "image without a caption", "caption it, or remove it from the file")
    NO_ANSWER = ("T009", _ERROR, "question without answers", "add answers, or remove the question")
    REPEATED_QUESTION_ID = ("T010", _ERROR, "two questions have one id", "give each question an id of its own")
    UNKNOWN_QUESTION = ("T011", _WARNING, "answers to a question that is not there", "remove them, or add the question")
