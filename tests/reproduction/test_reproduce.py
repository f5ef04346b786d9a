"""A whole table, resumed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from uniperceiver.config import ConfigError
from uniperceiver.reproduction.reproduce import plan, plan_table, reproduce
from uniperceiver.reproduction.tables import ablation_table


def test_a_table_is_filled_and_resumed(make_baseline, tmp_path: Path) -> None:
    baseline = make_baseline("labels", "pairs", steps=4)
    table = ablation_table("table3", baseline).only(["Single Task", "All Tasks"])
    comparison = reproduce(table, baseline, [1], tmp_path / "out")
    runs = ["all-no_moe-seed1", "only_labels-no_moe-seed1", "only_pairs-no_moe-seed1"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir()) == runs
    page = (tmp_path / "out" / "table3.md").read_text(encoding="utf-8")
    assert page.startswith("## Table 3.")
    assert "| All Tasks | the paper | 76.3 |" in page
    assert "ours, 1 seed |" in page
    assert all(cell != "–" for line in comparison.text().lines for cell in line)

    finished = {name: (tmp_path / "out" / name / "results.json").stat().st_mtime_ns for name in runs}
    shutil.rmtree(tmp_path / "out" / runs[1])
    again = reproduce(table, baseline, [1], tmp_path / "out")
    assert again.text() == comparison.text()  # the same seed gives the same figures
    for name in (runs[0], runs[2]):
        assert (tmp_path / "out" / name / "results.json").stat().st_mtime_ns == finished[name]
    content = json.loads((tmp_path / "out" / "table3.json").read_text(encoding="utf-8"))
    assert content["rows"][1]["labels"] == ["All Tasks"]


def test_a_plan_goes_seed_by_seed(make_baseline, tmp_path: Path) -> None:
    baseline = make_baseline("labels", "pairs", steps=8)
    table = ablation_table("claim", baseline)
    runs = plan(table, baseline, [2, 5], tmp_path)
    assert [run.seed for run in runs] == [2] * 5 + [5] * 5
    assert plan_table(runs).title == f"10 runs, {2 * (8 + 3 * 8)} steps"
    for seeds in ([], [1, 1], [-1]):
        with pytest.raises(ConfigError, match="seeds must be different numbers"):
            plan(table, baseline, seeds, tmp_path)


@pytest.mark.parametrize("name", ["table2", "table4", "table5"])
def test_every_kind_of_row_trains(make_baseline, tmp_path: Path, name: str) -> None:
    """Global, regional, mixed, AdamW, a random encoder: two steps each."""
    baseline = make_baseline("labels", "objects", steps=3)
    table = ablation_table(name, baseline)
    comparison = reproduce(table, baseline, [1], tmp_path)
    lines = [line for line in comparison.text().lines if "ours, 1 seed" in line]
    assert lines
    for line in lines:
        blind = line[0] == "Global"
        assert ("–" in line) == blind
