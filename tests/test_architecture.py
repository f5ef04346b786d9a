"""docs/architecture.md is what the source does: who imports whom, read with `ast`, and which files there are."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from uniperceiver.config import TaskKind

PAGE = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
ROOT = Path(__file__).parents[1] / "src" / "uniperceiver"
SOURCES = sorted(ROOT.rglob("*.py"))
LAYERS = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
"""Modules and packages right below `uniperceiver`."""
KINDS = set(get_args(TaskKind))


def quoted(text: str) -> set[str]:
    """What stands in backticks."""
    return set(re.findall(r"`([^`]+)`", text))


def cells(first: str) -> list[list[str]]:
    """The rows below a header of the page whose first column is called ``first``, in cells."""
    (table,) = re.findall(rf"^\| {first} \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, flags=re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()]


LEAVES = quoted(PAGE.partition("Leaves import only leaves")[2].partition("\n\n")[0])
ALLOWED = {layer.strip("`"): LAYERS if given == "everything" else quoted(given) for layer, given, _ in cells("layer")}
"""Layer → what it may import beside leaves and itself."""


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


def test_every_layer_is_in_one_of_the_tables() -> None:
    assert LEAVES | set(ALLOWED) == LAYERS
    assert not LEAVES & set(ALLOWED)


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_imports_follow_the_architecture(path: Path) -> None:
    """Every import is one that the layer may make."""
    layer = module_name(path).split(".")[0]
    allowed = LEAVES | {layer} | (set() if layer in LEAVES else ALLOWED[layer])
    surplus = {name for name in imported(path) if not is_within(name, allowed)}
    assert not surplus, f"{path} must not import {surplus}"


@pytest.mark.parametrize("layer", [layer for layer in ALLOWED if layer != "cli"])
def test_every_permission_is_needed(layer: str) -> None:
    found = set().union(*(imported(path) for path in SOURCES if module_name(path).split(".")[0] == layer))
    unneeded = {module for module in ALLOWED[layer] if not any(is_within(name, {module}) for name in found)}
    assert not unneeded, f"{layer} may import {unneeded} and does not"


@pytest.mark.parametrize("path", sorted((ROOT / "tasks").glob("*.py")), ids=module_name)
def test_tasks_never_import_each_other(path: Path) -> None:
    """A task file knows no other task; `tasks/__init__` alone knows them all."""
    if path.stem != "__init__":
        others = {name for name in imported(path) if name.split(".")[0] == "tasks" and name.split(".")[1] in KINDS}
        assert not others


def test_every_kind_of_task_has_a_file() -> None:
    assert {path.stem for path in (ROOT / "tasks").glob("*.py")} >= KINDS


def test_the_files_that_the_page_names_exist() -> None:
    named = {name for row in cells("folder or file") for name in quoted(row[0])}
    assert not {name for name in named if not (ROOT / name).exists()}
    elsewhere = {name for name in quoted(PAGE) if re.fullmatch(r"[\w/]+(/|\.py)", name)} - named
    assert not {name for name in elsewhere if not any((root / name).exists() for root in (ROOT, ROOT.parents[1]))}


def test_the_page_names_every_file() -> None:
    named = {name.strip("/").removesuffix(".py") for row in cells("folder or file") for name in quoted(" ".join(row))}
    assert LAYERS - {"__init__"} <= named


def test_the_page_names_every_table_of_tasks() -> None:
    """A constant that speaks of kinds of tasks is in one of the files that the page lists for that."""
    tables = {
        str(path.relative_to(ROOT))
        for path in SOURCES
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.AnnAssign) and "TaskKind" in ast.unparse(node.annotation)
    }
    named = {name for row in cells("table of tasks") for name in quoted(row[0])}
    assert tables <= named
    assert all("TaskKind" in (ROOT / name).read_text(encoding="utf-8") for name in named)


def test_names_say_what_files_are() -> None:
    """No module is named for being a leftover."""
    vague = {"utils", "util", "misc", "common", "helpers", "helper", "base"}
    assert not [path for path in SOURCES if path.stem in vague or path.parent.name in vague]


def comparisons_with_kinds(tree: ast.AST) -> Iterator[int]:
    """Lines that compare with a task's name: ``==``, ``in`` a literal collection, ``case``."""
    for node in ast.walk(tree):
        compared: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            compared = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            compared = [node.value]
        for side in compared:
            constants = side.elts if isinstance(side, ast.Tuple | ast.List | ast.Set) else [side]
            if any(isinstance(constant, ast.Constant) and constant.value in KINDS for constant in constants):
                yield side.lineno


@pytest.mark.parametrize(
    "code",
    [
        'kind == "detection"',
        '"language_modeling" != kind',
        'kind in ("captioning", "other")',
        'kind not in {"text_classification"}',
        'match kind:\n    case "other" | "visual_question_answering":\n        pass',
    ],
)
def test_every_way_to_compare_is_seen(code: str) -> None:
    assert list(comparisons_with_kinds(ast.parse(code)))


def test_only_tasks_dispatch_on_a_task_name() -> None:
    """Nothing compares with a task's name: tables, in `tasks/__init__` first of all, say what it means."""
    for path in SOURCES:
        lines = list(comparisons_with_kinds(ast.parse(path.read_text(encoding="utf-8"))))
        assert not lines, f"{path}:{lines[0]} compares with a task's name"
