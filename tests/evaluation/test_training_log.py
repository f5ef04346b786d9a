from __future__ import annotations

import json
from pathlib import Path

import pytest

from uniperceiver.evaluation.training_log import TrainingLogError, read_training_log


def line(step: int, stream: str = "coco", loss: float = 1.0) -> str:
    return json.dumps({"step": step, "stream": stream, "loss": loss, "learning_rate": 1e-3, "losses": {}}) + "\n"


def read(tmp_path: Path, *lines: str) -> list[tuple[int, str, float]]:
    path = tmp_path / "log.jsonl"
    path.write_text("".join(lines), encoding="utf-8")
    return [(step.step, step.stream, step.loss) for step in read_training_log(path)]


def test_steps_in_order(tmp_path: Path) -> None:
    assert read(tmp_path, line(1), line(2, "text", 0.5)) == [(1, "coco", 1.0), (2, "text", 0.5)]


def test_a_resumed_training_replaces_the_steps_it_repeats(tmp_path: Path) -> None:
    lines = [line(1), line(2), line(3), line(4), line(3, loss=9), line(4, loss=8), line(5, loss=7)]
    assert read(tmp_path, *lines) == [(1, "coco", 1), (2, "coco", 1), (3, "coco", 9), (4, "coco", 8), (5, "coco", 7)]
    assert read(tmp_path, line(1), line(2), line(2, loss=9)) == [(1, "coco", 1), (2, "coco", 9)]
    assert read(tmp_path, line(1), line(2), line(1, loss=9)) == [(1, "coco", 9)]


def test_mixed_sampling_has_a_line_per_stream(tmp_path: Path) -> None:
    both = [line(1, "a"), line(1, "b"), line(2, "a"), line(2, "b")]
    assert len(read(tmp_path, *both)) == 4
    again = read(tmp_path, *both, line(2, "a", 9), line(2, "b", 9))
    assert again == [(1, "a", 1), (1, "b", 1), (2, "a", 9), (2, "b", 9)]


def test_an_unfinished_last_line_is_left_out(tmp_path: Path) -> None:
    assert read(tmp_path, line(1), line(2)[:-9]) == [(1, "coco", 1)]
    assert read(tmp_path, "") == []


@pytest.mark.parametrize("broken", ["{\n", "\n", "[]\n", '{"step": 1}\n', line(1).replace("1.0", '"x"')])
def test_a_broken_line_is_named(broken: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingLogError, match=r"log\.jsonl, line 2 is not a step"):
        read(tmp_path, line(1), broken, line(2))


def test_a_missing_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingLogError, match="no training log"):
        read_training_log(tmp_path / "log.jsonl")
