"""The rows of the tables and the runs behind them."""

from __future__ import annotations

import pytest

from uniperceiver.config import ConfigError
from uniperceiver.reproduction.paper_figures import TABLE_2, TABLE_3
from uniperceiver.reproduction.tables import TABLE_NAMES, Row, ablation_table
from uniperceiver.reproduction.variation import Encoder, Variation


def rows(table) -> dict[str, Row]:
    return {row.title: row for row in table.rows}


def test_table_2_has_the_papers_rows(make_baseline) -> None:
    baseline = make_baseline()
    found = rows(ablation_table("table2", baseline))
    assert {title: row.paper for title, row in found.items()} == TABLE_2
    assert "objects" not in found["Global"].runs
    assert set(found["Regional"].runs) == set(baseline.streams)


def test_table_3_has_every_row_with_and_without_moe(make_baseline) -> None:
    baseline = make_baseline()
    table = ablation_table("table3", baseline)
    found = rows(table)
    assert {title: row.paper for title, row in found.items() if row.paper} == TABLE_3
    assert len(found) == 2 * (1 + 1 + 6)
    assert len(table.variations()) == 2 * (6 + 1 + 6)
    single = found["Single Task"].runs
    assert {name: run.streams for name, run in single.items()} == {name: (name,) for name in baseline.streams}
    assert not any(run.is_conditional for run in single.values())
    removed = found["w/o Retrieval w/ MoE"]
    assert "pairs" not in removed.runs
    assert removed.reference == "All Tasks w/ MoE"
    assert all(run.is_conditional for run in removed.runs.values())


@pytest.mark.parametrize(("processes", "runs"), [(1, 3), (2, 4)])
def test_table_4_gathers_only_among_processes(make_baseline, processes: int, runs: int) -> None:
    table = ablation_table("table4", make_baseline(processes=processes))
    assert len(table.variations()) == runs
    assert ("one process" in table.note) == (processes == 1)
    labels = [row.labels for row in table.rows]
    assert labels == [("mixed", "", ""), ("unmixed", "", ""), ("unmixed", "✓", ""), ("unmixed", "✓", "✓")]


def test_table_5_has_random_weights_and_those_given(make_baseline) -> None:
    clip = Encoder("CLIP", "CLIP data", "file:clip.safetensors")
    other = Encoder("DINO", "IN-1k", "file:dino.safetensors")
    found = rows(ablation_table("table5", make_baseline(), [clip, other]))
    assert set(found["None"].runs.values()) == {Variation(make_baseline().streams, encoder=Encoder("None", "", None))}
    assert found["CLIP CLIP data"].paper is not None
    assert found["CLIP CLIP data"].runs
    assert found["DINO IN-1k"].paper is None
    assert found["DINO IN-1k"].runs
    assert not found["Supervised IN-1k"].runs  # the tiny model's backbone is not pre-trained
    with pytest.raises(ConfigError, match="rows of table5"):
        ablation_table("table4", make_baseline(), [clip])


def test_tables_share_runs(make_baseline) -> None:
    baseline = make_baseline()
    joint = Variation(baseline.streams)
    tables = {name: set(ablation_table(name, baseline).variations()) for name in TABLE_NAMES}
    assert joint in tables["table2"] & tables["table3"] & tables["table4"] & tables["claim"]
    assert tables["claim"] <= tables["table3"] | tables["table4"]
    assert len(tables["claim"]) == 6 + 3


def test_some_rows(make_baseline) -> None:
    table = ablation_table("claim", make_baseline())
    assert len(table.only(["mixed", "unmixed"]).contrasts) == 1
    with pytest.raises(ConfigError, match="no row nonsense: its rows are"):
        table.only(["nonsense"])
    with pytest.raises(ConfigError, match="no table 'table9'"):
        ablation_table("table9", make_baseline())
