from __future__ import annotations

import json
from math import exp
from pathlib import Path

import numpy as np
import pytest

from uniperceiver.evaluation.caption_scores import bleu, caption_scores, central_caption, cider_d, rouge_l

CASES = json.loads((Path(__file__).parents[1] / "golden" / "caption_scores.json").read_text(encoding="utf-8"))["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{len(case['captions'])} images")
def test_scores_equal_the_official_ones(case: dict) -> None:
    ours, official = caption_scores(case["captions"], case["references"]), case["scores"]
    np.testing.assert_allclose(ours.bleu, official["bleu"], rtol=1e-12, atol=1e-15)
    assert ours.rouge_l == pytest.approx(official["rouge_l"], rel=1e-12)
    assert ours.cider_d == pytest.approx(official["cider_d"], rel=1e-12)
    np.testing.assert_allclose(ours.cider_d_per_image, official["cider_d_per_image"], rtol=1e-9, atol=1e-12)


def test_bleu_by_hand() -> None:
    # Matches: the, cat (clipped to one "the"); bigrams: "the cat". Five words, nearest reference has six.
    references = ["the cat sat on a mat", "a b c d e f g h"]
    scores = bleu([["the", "the", "cat", "is", "here"]], [[reference.split() for reference in references]])
    brevity = exp(1 - 6 / 5)
    assert scores[0] == pytest.approx(2 / 5 * brevity, rel=1e-6)
    assert scores[1] == pytest.approx((2 / 5 * 1 / 4) ** 0.5 * brevity, rel=1e-6)
    assert scores[3] < 1e-3


def test_of_two_references_equally_near_the_shorter_counts() -> None:
    longer = bleu([list("abcd")], [[list("abcde"), list("abc")]])
    assert longer[0] == pytest.approx(1, rel=1e-6)  # no brevity penalty: compared with three words


def test_rouge_l_by_hand() -> None:
    # Longest common subsequence a c e: precision 3/4, recall 3/5.
    precision, recall = 3 / 4, 3 / 5
    expected = (1 + 1.44) * precision * recall / (recall + 1.44 * precision)
    assert rouge_l(list("acex"), [list("abcde")]) == pytest.approx(expected)
    assert rouge_l(list("xyz"), [list("abc")]) == 0
    assert rouge_l([], [list("abc")]) == 0


def test_cider_d_of_a_copied_reference_is_ten() -> None:
    sentences = [["a", "b", "c", "d", "e"], ["f", "g", "h", "i", "j"]]
    np.testing.assert_allclose(cider_d(sentences, [[s] for s in sentences]), 10)


def test_cider_d_punishes_repetition_and_is_zero_for_common_words() -> None:
    references = [["a", "red", "car", "parks"]], [["a", "blue", "bird", "sings"]]
    good = cider_d([["a", "red", "car", "parks"], ["x"]], references)[0]
    repeated = cider_d([["a", "red", "car", "parks"] * 3, ["x"]], references)[0]
    common = cider_d([["a"], ["x"]], references)[0]
    assert good > repeated > common == 0


def test_trivial_caption_is_the_most_frequent_or_the_most_central() -> None:
    assert central_caption(["a dog", "a cat", "a cat"]) == "a cat"
    different = ["a dog runs on grass", "two birds sing", "a dog runs on sand", "a black dog runs on grass", "stop"]
    assert "dog runs" in central_caption(different)
    assert central_caption(["only"]) == "only"
    with pytest.raises(ValueError, match="no captions"):
        central_caption([])


def test_missing_captions_are_an_error() -> None:
    with pytest.raises(ValueError, match="0 captions and 0 lists"):
        caption_scores([], [])
    with pytest.raises(ValueError, match="1 of them empty"):
        caption_scores(["a"], [[]])
