"""What README and docs show exists as written: commands, benchmarks, Python; and the Python of the README runs."""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from uniperceiver import Predictor, cli
from uniperceiver.config import ImageTextPairsConfig, VideoCaptionsConfig
from uniperceiver.data.datasets import open_dataset

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
END_OF_COMMAND = {"&", "&&", "|", ">", "…"}
COMMAND: Any = typer.main.get_command(cli.app)
ARGPARSE = {"nargs", "action", "required", "default"}
"""What decides how arguments are parsed, apart from their types."""


def blocks(page: Path, *languages: str) -> list[str]:
    """The contents of fenced blocks of some languages; ``""`` is the one without a name."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return [content for language, content in found if language in languages]


def lines(page: Path) -> Iterator[list[str]]:
    """The command lines of the bash and nameless blocks of a page in words, continued lines joined."""
    for block in blocks(page, "bash", ""):
        for line in block.replace("\\\n", " ").splitlines():
            if re.match(r"(\w+=\S+ )*(uniperceiver|python3?|torchrun) ", line):
                yield shlex.split(line, comments=True)


def commands() -> list[tuple[str, list[str]]]:
    """Page and words of everything that is given to `uniperceiver`, by its name or as a module."""
    found = []
    for page in PAGES:
        for words in lines(page):
            if "uniperceiver" in words:
                given = words[words.index("uniperceiver") + 1 :]
                ends = [place for place, word in enumerate(given) if word in END_OF_COMMAND]
                found.append((page.name, given[: min(ends, default=len(given))]))
    return found


def benchmark_lines() -> list[tuple[str, list[str]]]:
    """Page and words after ``python``, of blocks and of code within sentences and tables."""
    found = []
    for page in PAGES:
        text = re.sub(r"\s+", " ", re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE))
        within = [shlex.split(code) for code in re.findall(r"`((?:\w+=\S+ )*python benchmarks/[^`]+)`", text)]
        for words in (*lines(page), *within):
            place = next((i for i, word in enumerate(words) if word.startswith("benchmarks/")), None)
            if place is not None:
                found.append((page.name, words[place:]))
    return found


def leaves(command: Any, *path: str) -> Iterator[tuple[str, ...]]:
    """The words that call each command: ``("index", "build")``."""
    if not isinstance(command, TyperGroup):
        yield path
        return
    for name, below in command.commands.items():
        yield from leaves(below, *path, name)


def titles(found: list[tuple[str, list[str]]]) -> list[str]:
    """Names for the tests of command lines."""
    return [" ".join(words)[:50] for _, words in found]


def test_the_readme_shows_every_command_and_the_docs_every_one_of_a_group() -> None:
    every = list(leaves(COMMAND))
    assert ("convert", "to-uniperceiver-v1") in every
    assert {path[0] for path in every} <= {words[0] for page, words in commands() if page == "README.md"}
    assert set(every) <= {tuple(words[:length]) for _, words in commands() for length in (1, 2)}


def parse(words: list[str]) -> None:
    """Let the command line take words; nothing runs."""
    command, rest = COMMAND, list(words)
    while isinstance(command, TyperGroup):
        command = command.commands[rest.pop(0)]
    command.make_context(words[0], rest)


@pytest.mark.parametrize(("page", "words"), commands(), ids=titles(commands()))
def test_commands_parse(page: str, words: list[str]) -> None:
    """Command, options and arguments are ones that the command line takes."""
    parse(words)


@pytest.mark.parametrize(
    "words",
    [
        ["score", "captions", "--no-such-flag"],
        ["index", "build", "photos", "--out", "x", "--nosuch"],
        ["data", "compose"],
        ["convert", "weights", "--model"],
    ],
)
def test_a_wrong_line_below_a_group_is_found(words: list[str]) -> None:
    with pytest.raises(Exception, match=r"(?i)no such option|missing|requires an argument"):
        parse(words)


def benchmark_parser(script: Path) -> argparse.ArgumentParser:
    """The parser of a benchmark, from its source: some import what is installed for measuring alone."""
    parser = argparse.ArgumentParser()
    source = script.read_text(encoding="utf-8")
    if re.search(r"from measuring import .*\barguments\b", source):
        source += script.with_name("measuring.py").read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument":
            given = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg in ARGPARSE}
            options = {name: v.value if isinstance(v, ast.Constant) else "…" for name, v in given.items() if name}
            parser.add_argument(*(ast.literal_eval(argument) for argument in node.args), **options)
    return parser


@pytest.mark.parametrize(("page", "words"), benchmark_lines(), ids=titles(benchmark_lines()))
def test_benchmarks_take_what_is_shown(page: str, words: list[str]) -> None:
    script = ROOT / words[0]
    assert script.is_file()
    if "sys.argv" not in script.read_text(encoding="utf-8"):
        benchmark_parser(script).parse_args(words[1:])


def test_a_wrong_line_of_a_benchmark_is_found() -> None:
    for words in (["http://127.0.0.1:8000", "--labels", "dog"], ["a", "b", "c", "--no-such-flag"]):
        with pytest.raises(SystemExit):
            benchmark_parser(ROOT / "benchmarks" / "page_picture.py").parse_args(words)


PYTHON = [(page.name, code) for page in PAGES for code in blocks(page, "python")]


@pytest.mark.parametrize(("page", "code"), PYTHON, ids=[page for page, _ in PYTHON])
def test_the_python_of_the_docs_names_what_exists(page: str, code: str) -> None:
    """Imports are there, and functions and methods of what is imported take the arguments that they are given."""
    tree = ast.parse(code)
    known: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            module = importlib.import_module(node.module)
            known |= {alias.name: getattr(module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and len(node.targets) == 1:
            made_by = ast.unparse(node.value.func).split(".")[0]  # x = Predictor.from_pretrained(…)
            if isinstance(known.get(made_by), type) and isinstance(node.targets[0], ast.Name):
                known[node.targets[0].id] = known[made_by]
    for call in [node for node in ast.walk(tree) if isinstance(node, ast.Call)]:
        name, _, method = ast.unparse(call.func).partition(".")
        if name in known and not (method and "." in method):
            check_arguments(call, known[name], method, is_instance=known[name].__name__ != name)


def check_arguments(call: ast.Call, owner: Any, method: str, is_instance: bool) -> None:
    """TypeError or AttributeError for arguments or a method that there are not."""
    function = getattr(owner, method) if method else owner
    is_bound = not method or inspect.ismethod(function) or not is_instance
    given = ([] if is_bound else [owner]) + list(call.args)
    inspect.signature(function).bind(*given, **{keyword.arg: None for keyword in call.keywords if keyword.arg})


def test_the_python_of_the_readme_runs(data: Path, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "photo.jpg").write_bytes((data / "images" / "0.png").read_bytes())
    monkeypatch.chdir(tmp_path)
    (code,) = blocks(ROOT / "README.md", "python")
    names: dict[str, object] = {}
    exec(code, names)
    assert isinstance(names["predictor"], Predictor)


def test_the_commands_about_video_files_run(
    untrained_v1: Path,
    write_video: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As docs/uniperceiver_v1.md shows them, with a tiny model of the name."""
    write_video(tmp_path / "clip.mp4")
    write_video(tmp_path / "videos" / "other.mp4", colour=(1, 0, 0))
    (tmp_path / "v1_base").symlink_to(untrained_v1)
    monkeypatch.chdir(tmp_path)
    shown = [words for page, words in commands() if page == "uniperceiver_v1.md" and "clip.mp4" in words]
    assert {words[0] for words in shown} == {"classify", "caption", "match", "embed", "index"}
    for words in [["index", "build", "videos", "--out", "videos.index", "--model", "v1_base"], *shown]:
        with pytest.raises(SystemExit) as end:
            cli.main(words)
        assert not end.value.code, words
        said = capsys.readouterr().out
        assert ("clip.mp4#0" if "--every" in words else "clip.mp4") in said or words[0] == "index"
        assert "clip.mp4#" not in said or "--every" in words


def test_the_python_about_data_runs(data: Path, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir()
        for number in range(4):
            content = (data / "images" / f"{number}.png").read_bytes()
            (tmp_path / "photos" / name / f"{number}.png").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    _, code = blocks(ROOT / "docs" / "data.md", "python")
    names: dict[str, Any] = {}
    exec(code, names)
    assert len(names["records"]) == 8


def test_the_python_about_official_files_makes_what_is_read(data: Path, tmp_path: Path) -> None:
    code, _ = blocks(ROOT / "docs" / "data.md", "python")
    names: dict[str, Any] = {}
    exec(code, names)
    for place, part in enumerate(("train", "val")):
        (tmp_path / f"{part}{place}.avi").touch()
        content = {
            "images": [{"id": place, "file_name": f"{part}{place}"}],
            "annotations": [{"image_id": place, "id": place, "caption": f"a {part}"}],
        }
        (tmp_path / f"{part}.json").write_text(json.dumps(content))
    names["join"]([tmp_path / "train.json", tmp_path / "val.json"], tmp_path / "whole.json")
    videos = open_dataset(VideoCaptionsConfig(str(tmp_path / "whole.json"), str(tmp_path)))
    assert list(videos.texts()) == ["a train", "a val"]
    sbu = json.dumps({"0.png": "a car, red", "1.png": "a ball"})
    cc3m = [{"image": "train_image.zip@0.png", "caption": ["a", "car", ",", "red"]}, {"image": "1.png", "caption": "x"}]
    for official, first in ((sbu, "a car, red"), ("\n".join(map(json.dumps, cc3m)), "a car , red")):
        (tmp_path / "official.json").write_text(official)
        names["pairs"](tmp_path / "official.json", tmp_path / "pairs.csv")
        pictures = open_dataset(ImageTextPairsConfig(str(tmp_path / "pairs.csv"), str(data / "images")))
        assert (pictures[0].captions, len(pictures)) == ((first,), 2)
