"""Who may import whom (docs/architecture.md), read from the source with `ast`."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "uniperceiver"
LEAVES = {
    "config",
    "batches",
    "predictions",
    "likelihood",
    "boxes",
    "distributed",
    "pretrained",
    "linear",
    "load_report",
    "left_out",
    "render",
    "run_lengths",
    "text_predictions",
}

ALLOWED: dict[str, set[str]] = {
    "model": LEAVES | {"model"},
    "losses": LEAVES | {"losses", "model.proposals.outputs", "model.proposals.denoising"},
    "data": LEAVES | {"data"},
    "tasks": LEAVES | {"model", "losses", "data", "tasks"},
    "training": LEAVES
    | {"model", "tasks", "data", "checkpoint", "adapter", "training", "convert", "evaluation.evaluate"},
    "evaluation": LEAVES | {"tasks", "data", "model", "evaluation", "checkpoint", "adapter", "render", "run_lengths"},
    "reproduction": LEAVES | {"training", "evaluation", "reproduction"},
    "checkpoint": LEAVES | {"model", "data.tokenizer"},
    "adapter": LEAVES | {"model", "checkpoint"},
    "convert": LEAVES | {"model", "convert", "checkpoint", "data.tokenizer", "data.clip_tokenizer"},
    "predictor": LEAVES | {"tasks", "checkpoint", "adapter", "data", "model", "predictor"},
    "picture_sources": LEAVES | {"data.images"},
    "prediction_files": LEAVES | {"picture_sources"},
    "retrieval_index": LEAVES | {"predictor", "data.images", "picture_sources", "retrieval_index"},
    "model_info": LEAVES | {"model"},
    "serve": LEAVES | {"predictor", "data.images", "picture_sources", "serve"},
    "export": LEAVES | {"predictor", "tasks", "model", "data.tokenizer", "export"},
}
SOURCES = sorted(ROOT.rglob("*.py"))


def module_name(path: Path) -> str:
    """`model.segments` for src/uniperceiver/model/segments.py."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path) -> set[str]:
    """Modules of this package that a file imports, as dotted names below `uniperceiver`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide who imports whom"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("uniperceiver.") for name in found if name.startswith("uniperceiver.")}


def is_within(name: str, allowed: set[str]) -> bool:
    """Whether a dotted name is, or lies in, one of the allowed modules."""
    return any(name == module or name.startswith(f"{module}.") for module in allowed)


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_imports_follow_the_architecture(path: Path) -> None:
    """Every import is one that the layer may make."""
    layer = module_name(path).split(".")[0]
    if layer in LEAVES:
        assert all(is_within(name, LEAVES) for name in imported(path)), f"{path} is a leaf and imports {imported(path)}"
    elif layer in ALLOWED:
        surplus = {name for name in imported(path) if not is_within(name, ALLOWED[layer])}
        assert not surplus, f"{path} must not import {surplus}"


@pytest.mark.parametrize("path", sorted((ROOT / "tasks").glob("*.py")), ids=module_name)
def test_tasks_never_import_each_other(path: Path) -> None:
    """A task file knows no other task; `tasks/__init__` alone knows them all."""
    tasks = {
        "classification",
        "detection",
        "captioning",
        "retrieval",
        "masked_language_modeling",
        "visual_question_answering",
        "text_classification",
        "language_modeling",
    }
    if path.stem != "__init__":
        others = {name for name in imported(path) if name.split(".")[0] == "tasks" and name.split(".")[1] in tasks}
        assert not others


def test_names_say_what_files_are() -> None:
    """No module is named for being a leftover."""
    vague = {"utils", "util", "misc", "common", "helpers", "helper", "base"}
    assert not [path for path in SOURCES if path.stem in vague or path.parent.name in vague]


def test_only_tasks_dispatch_on_a_task_name() -> None:
    """Comparisons with a task's name occur in tasks/__init__ alone (house rule 6)."""
    kinds = {"classification", "detection", "captioning", "retrieval", "masked_language_modeling"}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                constants = {c.value for c in node.comparators if isinstance(c, ast.Constant)}
                assert not constants & kinds, f"{path}:{node.lineno} compares with a task's name"
