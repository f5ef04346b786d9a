"""``export`` run as a user runs it; tests/serve/test_running.py does so with ``serve``."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from uniperceiver import cli


def run(*arguments: str | Path) -> int:
    """Exit code of the command line."""
    with pytest.raises(SystemExit) as end:
        cli.main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


def test_export_writes_and_verifies(untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "exported"
    assert run("export", untrained, "--to", "onnx", "--out", out, "--verb", "embed_text", "--verify") == 0
    said = capsys.readouterr().out
    assert "embed_text.onnx" in said
    assert "equal: largest differences to PyTorch" in said
    assert json.loads((out / "embed_text.json").read_text())["verb"] == "embed_text"
    assert (out / "tokenizer.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "MODEL", "--out", "x", "--verb", "caption"], "expected some of embed_image"),
        (["export", "MODEL", "--out", "x", "--size", "100"], "multiples of 32"),
        (["export", "/no/such/model", "--out", "x"], "no model /no/such/model"),
        (["serve", "--model", "/no/such/model", "--port", "0"], "no model /no/such/model"),
        (["serve", "--model", "MODEL", "--queue", "0"], "the limit queue must be above 0"),
        (["serve", "--model", "MODEL", "--window-seconds", "0"], "the limit window_seconds must be above 0"),
        (["serve", "--model", "MODEL", "--seconds", "inf"], "the limit seconds must be above 0 and finite"),
        (["serve", "--model", "MODEL", "--upload-mib", "nan"], "--upload-mib must be above 0 and finite, got nan"),
        (["serve", "--model", "/no/such/model", "--host", "host.invalid"], "cannot listen at --host host.invalid"),
    ],
)
def test_mistakes_end_in_one_line(
    untrained: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*(str(untrained) if argument == "MODEL" else argument for argument in arguments)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_a_port_in_use_is_noticed_before_the_model_is_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert run("serve", "--model", "/no/such/model", "--port", port) == 2
    assert f"cannot listen at --host 127.0.0.1, --port {port}: Address already in use" in capsys.readouterr().err
