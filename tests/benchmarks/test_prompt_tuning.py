"""The benchmark of prompt tuning runs from shards to its table, once per seed, and takes up where it stopped."""

from __future__ import annotations

import io
import sys
import tarfile
from pathlib import Path

import pytest
from PIL import Image

FOLDER = Path(__file__).parents[2] / "benchmarks"
NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def write_shard(path: Path, of_each: int) -> None:
    """Pictures of one colour per class."""
    with tarfile.open(path, "w:gz") as tar:
        for label in range(len(NAMES)):
            buffer = io.BytesIO()
            Image.new("RGB", (32, 32), (25 * label, 0, 0)).save(buffer, "JPEG")
            for number in range(of_each):
                for suffix, content in (("jpg", buffer.getvalue()), ("cls", str(label).encode())):
                    member = tarfile.TarInfo(f"{label}-{number}.{suffix}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Enough for every part: validation takes pictures from the hundredth of each class on."""
    folder = tmp_path / "shards"
    folder.mkdir()
    (folder / "classes.txt").write_text("\n".join(NAMES))
    for name, of_each in (("train-0", 12), ("train-1", 102), ("test-0", 2)):
        write_shard(folder / f"{name}.tar.gz", of_each)
    return folder


def test_every_seed_has_its_runs_and_the_table_their_mean(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    import prompt_tuning

    monkeypatch.setattr(prompt_tuning, "SHARES", (0.01,))
    monkeypatch.setattr(prompt_tuning, "RATES", {"PT": (1e-4, 1e-3)})
    out = tmp_path / "out"
    arguments = ["x", str(shards), "--out", str(out), "--steps", "2", "--tuning-steps", "2", "--seeds", "3", "4"]
    monkeypatch.setattr(sys, "argv", arguments)
    prompt_tuning.main()
    assert {path.name for path in (out / "data" / "first").iterdir()} == set(prompt_tuning.SEEN)
    assert {path.name for path in (out / "data" / "1%").iterdir()} == set(NAMES)
    runs = sorted(path.parent.relative_to(out).as_posix() for path in out.glob("seed-*/*/accuracy.json"))
    assert runs == [f"seed-{seed}/{name}" for seed in (3, 4) for name in ("PT-1%-0.0001", "PT-1%-0.001", "first")]
    capsys.readouterr()
    for seed, test in ((3, 0.25), (4, 0.75)):  # the rate is chosen by validation, and what is done is read again
        for name, validation, figure in (("PT-1%-0.0001", 0.2, test), ("PT-1%-0.001", 0.1, 1.0)):
            kept = out / f"seed-{seed}" / name / "accuracy.json"
            kept.write_text(f'{{"validation": {validation}, "test": {figure}}}')
    prompt_tuning.main()
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "PT (1%)" in line]
    assert [cell.strip() for cell in row.split("│")[2:6]] == ["0.0001, 0.0001", "50.0", "25.0", "75.0"]
