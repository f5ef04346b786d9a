from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from uniperceiver import cli
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.doctor import Severity, check_data


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, ["data", "check", *map(str, arguments)])
    return result.exit_code, result.output


@pytest.fixture
def with_warning(coco) -> None:
    coco(lambda content: content["categories"].append({"id": 7, "name": "bird"}))


@pytest.fixture
def with_error(coco) -> None:
    coco(lambda content: content["annotations"][0].update(category_id=9))


def test_a_clean_set_exits_with_0(coco, root: Path) -> None:
    coco()
    code, said = run(root, "--strict")
    assert code == 0
    assert "COCO instances, train: 3 records in annotations/instances_train.json" in said.replace("\n", "")
    assert "3 images looked at: 0 errors, 0 warnings, 0 notes" in said


def test_warnings_count_when_strict(with_warning, root: Path) -> None:
    assert run(root)[0] == 0
    code, said = run(root, "--strict")
    assert code == 1
    assert "C002" in said


def test_errors_exit_with_2_and_are_in_the_json(with_error, root: Path, tmp_path: Path) -> None:
    code, said = run(root, "--json", tmp_path / "out.json")
    assert code == 2
    assert "C005" in said
    written = json.loads((tmp_path / "out.json").read_text())
    assert (written["errors"], written["warnings"], written["notes"], written["images"]) == (1, 0, 0, 3)
    (finding,) = written["findings"]
    assert finding["code"] == "C005"
    assert finding["files"] == ["annotations/instances_train.json"]
    assert finding["examples"] == ["annotations/instances_train.json: annotation 11 has category 9"]
    assert finding["mend"]


def test_files_of_no_known_format_are_named(coco, root: Path, write) -> None:
    coco()
    write("package.json", '{"name": "x"}')
    assert check_data(root).left_alone == ["package.json"]
    assert "left alone, of no known format: 1 files (package.json)" in run(root)[1]


def test_many_findings_of_a_kind_are_counted(coco, root: Path) -> None:
    def change(content: dict) -> None:
        content["annotations"] += [{"id": 100 + i} for i in range(50)]

    coco(change)
    (finding,) = check_data(root).findings
    assert finding.count == 50
    assert len(finding.examples) == 5
    assert "and 47 more, in 1 files in all" in run(root)[1]


def test_one_annotation_file_alone(coco, root: Path, tmp_path: Path) -> None:
    coco()
    assert not check_data(root / "annotations/instances_train.json").findings
    shutil.move(root / "images", tmp_path / "elsewhere")
    assert check_data(root).count(Severity.ERROR) == 3
    assert not check_data(root, images=tmp_path / "elsewhere").findings


def test_progress_tells_images_done_and_all(coco, root: Path) -> None:
    coco()
    told: list[tuple[int, int]] = []
    check_data(root, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_what_is_no_data_set_is_an_error(root: Path, write) -> None:
    with pytest.raises(DatasetError, match="no file or folder"):
        check_data(root / "nowhere")
    write("notes.md", "hello")
    with pytest.raises(DatasetError, match="nothing in a format that is known"):
        check_data(root)
    write("package.json", '{"name": "x"}')
    with pytest.raises(DatasetError, match="nothing in a format that is known"):
        check_data(root)
    with pytest.raises(DatasetError, match="no folder of images"):
        check_data(root, images=root / "nowhere")
