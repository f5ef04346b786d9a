from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from uniperceiver.data.doctor import Kind, check_data

Captions = list[list[str]]


def karpathy(captions: Captions) -> dict[str, Any]:
    return {
        "images": [
            {"filename": f"{i}.jpg", "split": "train", "sentences": [{"raw": text} for text in row]}
            for i, row in enumerate(captions)
        ]
    }


def coco_captions(captions: Captions) -> dict[str, Any]:
    return {
        "images": [{"id": i, "file_name": f"{i}.jpg"} for i in range(len(captions))],
        "annotations": [
            {"id": 100 * i + k, "image_id": i, "caption": text}
            for i, row in enumerate(captions)
            for k, text in enumerate(row)
        ],
    }


def json_lines(captions: Captions) -> str:
    return "".join(json.dumps({"image": f"{i}.jpg", "caption": row}) + "\n" for i, row in enumerate(captions))


def table(captions: Captions) -> str:
    rows = [f'{i}.jpg,"{text}"' for i, row in enumerate(captions) for text in row]
    return "\n".join(["image,caption", *rows]) + "\n"


FORMATS: list[tuple[str, Callable[[Captions], Any]]] = [
    ("dataset_pets.json", karpathy),
    ("captions_train.json", coco_captions),
    ("pairs.jsonl", json_lines),
    ("captions.txt", table),
]
CLEAN = [["a cat on a mat", "one cat"], ["a dog"]]
CASES = [
    (Kind.EMPTY_TEXT, [["  ", "one cat"], ["a dog"]]),
    (Kind.LONG_TEXT, [["word " * 101], ["a dog"]]),
    (Kind.REPEATED_TEXT, [["one cat", "One  cat"], ["a dog"]]),
    (Kind.FREQUENT_TEXT, [["a photo"] for _ in range(10)]),
    (Kind.GARBLED_TEXT, [["a cafÃ© table"], ["a dog"]]),
    (Kind.MARKUP, [["a <b>cat</b>"], ["a dog"]]),
    (Kind.MARKUP, [["cats &amp; dogs"], ["a dog"]]),
]


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format[0])
@pytest.mark.parametrize(("kind", "captions"), [*CASES, (None, CLEAN)])
def test_one_fault_gives_one_kind_of_finding(kinds, write, picture, format, kind: Kind | None, captions) -> None:
    name, make = format
    for number in range(len(captions)):
        picture(f"images/{number}.jpg", number)
    write(name, make(captions))
    assert kinds() == ({kind} if kind else set())


@pytest.mark.parametrize(("name", "make"), FORMATS[:3])
def test_an_image_without_captions(kinds, write, picture, name: str, make) -> None:
    for number in (0, 1):
        picture(f"images/{number}.jpg", number)
    write(name, make([["one cat"], []]))
    assert kinds() == {Kind.NO_TEXT}


@pytest.mark.parametrize(("name", "make"), FORMATS)
def test_bytes_that_are_not_utf8(root, kinds, write, picture, name: str, make) -> None:
    picture("images/0.jpg")
    content = make([["a caf@ table"]])
    text = content if isinstance(content, str) else json.dumps(content)
    write(name, text.encode().replace(b"@", b"\xe9"))
    assert kinds() == {Kind.NOT_UTF8}
    (finding,) = check_data(root).findings
    assert "0xe9" in finding.examples[0]


def test_wrong_rows_of_tables_and_json_lines(kinds, write, picture, root) -> None:
    picture("images/0.jpg")
    write("pairs.csv", "image,caption\n0.jpg,one cat\n0.jpg,one,cat\n")
    assert kinds() == {Kind.BAD_ENTRY}
    (root / "pairs.csv").unlink()
    write("pairs.jsonl", '{"image": "0.jpg", "caption": "one cat"}\n{"image": \n[1]\n{"image": 7, "caption": "x"}\n')
    assert kinds() == {Kind.BAD_ENTRY}


def test_a_table_that_is_none(kinds, write, picture) -> None:
    picture("images/0.jpg")
    write("pairs.csv", "image,caption\n0.jpg," + "x" * 200_000 + "\n")
    assert kinds() == {Kind.UNREADABLE_FILE}


def test_captions_of_a_missing_image_and_of_an_unknown_one(kinds, write, picture) -> None:
    picture("images/0.jpg")
    content = coco_captions([["one cat"]])
    content["annotations"].append({"id": 7, "image_id": 5, "caption": "a dog"})
    write("captions.json", content)
    assert kinds() == {Kind.UNKNOWN_IMAGE}
    write("captions.json", coco_captions([["one cat"], ["a dog"]]))
    assert kinds() == {Kind.MISSING_IMAGE}


def test_karpathy_splits_that_share_an_image(kinds, write, picture) -> None:
    picture("images/0.jpg", 0)
    picture("images/1.jpg", 0)
    content = karpathy([["one cat"], ["a dog"]])
    content["images"][1]["split"] = "restval"
    write("dataset.json", content)
    assert kinds() == {Kind.DUPLICATE_IMAGE}  # restval is trained on
    content["images"][1]["split"] = "test"
    write("dataset.json", content)
    assert kinds() == {Kind.LEAKAGE}


def test_plain_text(kinds, write) -> None:
    write("books.txt", "It was a dark night.\n\nThe end.\n")
    assert kinds() == set()
    write("books.txt", b"caf\xe9\n")
    assert kinds() == {Kind.NOT_UTF8}
