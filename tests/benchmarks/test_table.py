"""The table of performance: rows of scripts that work, fail, and take too long."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
WORKS = """
import sys
sys.path.insert(0, {folder!r})
from measuring import Row, report
report([Row("speed", "a peer", 2.0, 3.0), Row("memory", "a peer", 0.2, 0.3, "at most", " GB")], "--json" in sys.argv)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of benchmarks of our own."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import table

    monkeypatch.setattr(table, "FOLDER", tmp_path)
    monkeypatch.setattr(table, "BENCHMARKS", ("works", "fails", "hangs"))
    (tmp_path / "works.py").write_text(WORKS.format(folder=str(FOLDER)))
    (tmp_path / "fails.py").write_text("raise SystemExit('no peer installed')")
    (tmp_path / "hangs.py").write_text("import time; time.sleep(60)")
    return tmp_path


def test_rows_say_what_is_met(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    import table

    monkeypatch.setattr(sys, "argv", ["table.py", "--only", "works", "--out", str(folder / "table.md")])
    table.main()
    printed = capsys.readouterr().out
    assert "| speed | a peer | ≥ 3× | 2.00×  | `works.py` |" in printed
    assert "| memory | a peer | ≤ 0.3 GB | **0.20 GB**  | `works.py` |" in printed
    assert (folder / "table.md").read_text().splitlines()[2:4] == printed.splitlines()[2:4]


def test_a_failure_is_a_row_and_an_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import table

    monkeypatch.setattr(table, "LIMIT", 2)
    monkeypatch.setattr(sys, "argv", ["table.py", "--only", "fails", "hangs"])
    with pytest.raises(SystemExit, match="fails, hangs"):
        table.main()
    printed = capsys.readouterr().out
    assert "no peer installed" in printed
    assert "took more than 2 s" in printed


def test_every_benchmark_of_the_table_exists() -> None:
    import importlib

    import table

    names = [table.script(benchmark) for benchmark in importlib.reload(table).BENCHMARKS]
    assert [name for name in names if not (FOLDER / f"{name}.py").is_file()] == []


def test_a_script_runs_with_each_of_its_options(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    import table

    text = WORKS.format(folder=str(FOLDER)).replace('"speed"', "' '.join(['speed', *sys.argv[2:]])")
    (folder / "works.py").write_text(text)
    monkeypatch.setattr(table, "BENCHMARKS", ("works --kept", "works", "fails"))
    monkeypatch.setattr(sys, "argv", ["table.py", "--only", "works"])
    table.main()
    printed = capsys.readouterr().out
    assert "| speed --kept | a peer |" in printed
    assert "| speed | a peer |" in printed


def test_runs_take_turns_after_one_that_warms_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from measuring import best_seconds

    order: list[str] = []
    ticks = iter(range(100))
    best = best_seconds({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2, lambda: float(next(ticks)))
    assert order == ["a", "b"] * 3
    assert best == {"a": 1.0, "b": 1.0}
