"""The text of the tables, from made-up figures of runs."""

from __future__ import annotations

import json

import pytest

from uniperceiver.reproduction.comparison import Comparison, mean_and_spread
from uniperceiver.reproduction.runs import RunResult
from uniperceiver.reproduction.tables import ablation_table
from uniperceiver.reproduction.variation import Variation


def result(labels: float | None, pairs: float) -> RunResult:
    return RunResult({"labels": {"top1": labels}, "pairs": {"image_to_text_r1": pairs, "text_to_image_r1": pairs}})


def test_table_3_with_gaps_and_the_papers_figures_beside_it(make_baseline) -> None:
    baseline = make_baseline("labels", "pairs")
    table = ablation_table("table3", baseline).only(["All Tasks", "w/o Retrieval"])
    joint = Variation(("labels", "pairs"), is_conditional=False)
    alone = Variation(("labels",), is_conditional=False)
    results = {
        (joint, 0): result(0.50, 0.30),
        (joint, 1): result(0.60, 0.30),
        (alone, 0): result(0.70, 0.0),
    }
    lines = Comparison(table, baseline, [0, 1], results).text().markdown().splitlines()
    assert lines[2].startswith("| Tasks | figures of | top-1 | I2T R@1 |")
    assert "| All Tasks | the paper | 76.3 | 46.0 | 34.7 |" in lines
    assert "| All Tasks | ours, 2 seeds | 55.0 ±7.1 | 30.0 ±0.0 | 30.0 ±0.0 |" in lines
    assert "| w/o Retrieval | the paper | 76.3 (+0.0) | – | – |" in lines
    assert "| w/o Retrieval | ours, 1 of 2 seeds | 70.0 (+20.0) | – | – |" in lines
    assert "The paper's figures are of ResNet-50" in lines[-3]


def test_claims_say_where_they_fail(make_baseline) -> None:
    baseline = make_baseline("labels", "pairs")
    table = ablation_table("claim", baseline)
    joint = Variation(baseline.streams)
    adamw = Variation(baseline.streams, optimizer="adamw")
    results = {}
    for seed in (0, 1):
        results[Variation(("labels",)), seed] = result(0.90, 0.0)
        results[Variation(("pairs",)), seed] = RunResult({"pairs": {"image_to_text_r1": 0.5, "text_to_image_r1": 0.5}})
        results[joint, seed] = result(0.87, 0.40 + 0.04 * seed)
        results[adamw, seed] = result(0.86, 0.40)
    text = Comparison(table, baseline, [0, 1], results).contrasts()
    assert text.headers[1:] == tuple(contrast.claim for contrast in table.contrasts)
    assert text.lines == (
        ("holds", "no", "yes", "–"),
        ("top-1", "-3.0 ±0.0 (-3%)", "+1.0 ±0.0 (+1%)", "–"),
        ("I2T R@1", "-8.0 ±2.8 (-16%) ✗", "+2.0 ±2.8 (+5%)", "–"),
        ("T2I R@1", "-8.0 ±2.8 (-16%) ✗", "+2.0 ±2.8 (+5%)", "–"),
    )


def test_json_has_every_seed_and_undefined_metrics_are_left_out(make_baseline) -> None:
    baseline = make_baseline("labels", "pairs")
    table = ablation_table("table2", baseline).only(["Global"])
    (run,) = table.variations()
    content = Comparison(table, baseline, [0, 1], {(run, 0): result(None, 0.25), (run, 1): result(0.5, 0.5)}).to_json()
    (row,) = json.loads(json.dumps(content))["rows"]
    assert row["ours"]["top-1"] == {"1": 50.0}
    assert row["ours"]["I2T R@1"] == {"0": 25.0, "1": 50.0}
    assert row["paper"] == ["–", "76.8", "46.3", "34.6", "28.8"]


@pytest.mark.parametrize(
    ("values", "sign", "text"),
    [([], "", "–"), ([41.23], "", "41.2"), ([40.0, 42.0], "", "41.0 ±1.4"), ([-1.0], "+", "-1.0")],
)
def test_mean_and_spread(values: list[float], sign: str, text: str) -> None:
    assert mean_and_spread(values, sign) == text
