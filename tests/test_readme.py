"""The README's commands exist as written, and its Python runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from uniperceiver import Predictor, cli

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands() -> list[tuple[str, list[str]]]:
    """Every `uniperceiver …` line of the bash blocks of README and docs, continued lines joined."""
    found = []
    for page in PAGES:
        for block in re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words and words[0] == "uniperceiver":
                    found.append((page.name, words[1:]))
    return found


def test_the_readme_shows_every_command() -> None:
    shown = {words[0] for page, words in commands() if page == "README.md"}
    names = {command.callback.__name__ for command in cli.app.registered_commands if command.callback}
    assert shown >= {name.replace("_", "-") for name in names}


@pytest.mark.parametrize(("page", "words"), commands(), ids=[" ".join(words)[:50] for _, words in commands()])
def test_commands_parse(page: str, words: list[str]) -> None:
    """Command, options and arguments are ones that the command line takes; nothing runs."""
    group: Any = typer.main.get_command(cli.app)
    given = [word for word in words[1:] if word != "…"]
    group.commands[words[0]].make_context(words[0], given)


def test_the_python_of_the_readme_runs(train_yaml: Path, data: Path, tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(SystemExit):
        cli.main(["train", str(train_yaml), "--out", str(tmp_path / "runs/realdata"), "--path", f"root={data}"])
    (tmp_path / "photo.jpg").write_bytes((data / "images" / "0.png").read_bytes())
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    assert isinstance(names["predictor"], Predictor)
