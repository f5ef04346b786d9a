from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from uniperceiver.evaluation.java_caption_scores import java_caption_score

CASES = json.loads((Path(__file__).parents[1] / "golden" / "caption_scores.json").read_text(encoding="utf-8"))["cases"]
HAS_PACKAGE = importlib.util.find_spec("pycocoevalcap") is not None


@pytest.mark.slow
@pytest.mark.skipif(not HAS_PACKAGE or shutil.which("java") is None, reason="METEOR needs pycocoevalcap and Java")
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{len(case['captions'])} images")
def test_meteor_equals_the_official_pipeline(case: dict) -> None:
    score = java_caption_score("meteor", case["captions"], case["references"])
    assert score == pytest.approx(case["scores"]["meteor"], abs=1e-9)


def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'uniperceiver\[caption\]'"):
        java_caption_score("meteor", ["a cat"], [["a cat"]])


@pytest.mark.skipif(not HAS_PACKAGE, reason="needs pycocoevalcap")
def test_without_java_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(FileNotFoundError, match="no `java`"):
        java_caption_score("spice", ["a cat"], [["a cat"]])


@pytest.mark.skipif(not HAS_PACKAGE, reason="needs pycocoevalcap")
def test_spice_downloads_nothing_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: "java")
    monkeypatch.setattr(Path, "is_file", lambda path: False)
    with pytest.raises(FileNotFoundError, match=r"CoreNLP 3\.6\.0.*Fetch it once"):
        java_caption_score("spice", ["a cat"], [["a cat"]])
