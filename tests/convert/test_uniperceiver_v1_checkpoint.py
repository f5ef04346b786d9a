"""From an official file to a folder that answers, by the command line, and back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from uniperceiver import Predictor, cli
from uniperceiver.checkpoint import load_checkpoint
from uniperceiver.config import PatchEncoderConfig, load_config
from uniperceiver.convert.uniperceiver_v1 import to_uniperceiver_v1
from uniperceiver.convert.uniperceiver_v1_keys import TYPE
from uniperceiver.data.clip_tokenizer import MERGES, _byte_letters
from uniperceiver.model.uni_perceiver import UniPerceiver


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many merges as CLIP has, of bytes only: a text becomes pairs of letters."""
    letters = _byte_letters()
    pairs = [f"{first} {second}" for first in letters for second in letters][:MERGES]
    path = tmp_path_factory.mktemp("vocabulary") / "merges.txt"
    path.write_text("\n".join(["#version", *pairs]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as v1-MoE's are: the official names and vocabulary, everything else small."""
    torch.manual_seed(0)
    config = load_config("v1_moe_base")
    assert isinstance(config.image, PatchEncoderConfig)
    small = replace(
        config,
        image=replace(config.image, image_size=32, position_size=32, frames=2),
        text=replace(config.text, positions=40),
        decoder=replace(config.decoder, width=16, layers=2, heads=2, feedforward=32),
    )
    tensors = to_uniperceiver_v1(UniPerceiver(small), {TYPE: torch.randn(1, 16)})
    path = tmp_path_factory.mktemp("official") / "model.pth"
    torch.save({"model": tensors, "iteration": 7}, path)
    return path


def run(*arguments: str | Path) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["convert", *map(str, arguments)])
    assert not ended.value.code


@pytest.mark.parametrize("fold", [[], ["--fold"]])
def test_a_converted_file_answers(
    fold: list[str], official: Path, vocabulary: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "answers.txt").write_text("yes\nno\n\nred\n")
    options = ["--vocabulary", vocabulary, "--heads", "2", "--answers", tmp_path / "answers.txt", *fold]
    run("uniperceiver-v1", official, "--out", tmp_path / "v1", *options)
    said = capsys.readouterr().out
    assert "Uni-Perceiver-MoE" in said
    assert "training file; beside the weights, not used: iteration" in said
    assert "type of pictures" in said
    assert "token_embed.embeddings.weight -> f_text.words.weight" in (tmp_path / "v1/conversion.txt").read_text()
    predictor = Predictor.from_pretrained(tmp_path / "v1")
    picture = Image.new("RGB", (40, 30), "red")
    assert set(predictor.classify(picture, ["a cat", "a dog"])[0].names) == {"a cat", "a dog"}
    assert len(predictor.match(picture, ["a cat", "a red car"])[0].probabilities) == 2
    assert predictor.answer(picture, "red ?")[0].answers
    assert isinstance(predictor.caption(picture)[0].text, str)


def test_answers_and_the_length_penalty_are_settings(official: Path, vocabulary: Path, tmp_path: Path) -> None:
    """Questions can be asked without --answers at conversion, among answers that are given then."""
    options = ["--vocabulary", vocabulary, "--heads", "2"]
    run("uniperceiver-v1", official, "--out", tmp_path / "v1", *options)
    run("uniperceiver-v1", official, "--out", tmp_path / "tuned", *options, "--length-penalty", "0")
    folders = (tmp_path / "v1", tmp_path / "tuned")
    penalties = [load_checkpoint(folder).tasks["captioning"].config.length_penalty for folder in folders]
    assert penalties == [2.0, 0.0]
    predictor, picture = Predictor.from_pretrained(tmp_path / "v1"), Image.new("RGB", (40, 30), "red")
    assert set(predictor.answer(picture, "red ?", ["yes", "no"])[0].answers) == {"yes", "no"}
    with pytest.raises(ValueError, match="no candidates of its own for visual_question_answering: say which"):
        predictor.answer(picture, "red ?")
    with pytest.raises(ValueError, match="no candidates of its own for classification: say which"):
        predictor.classify(picture)


def test_a_linear_head_comes_with_its_classes(official: Path, vocabulary: Path, tmp_path: Path) -> None:
    tensors = torch.load(official, weights_only=True)["model"]
    head = {"fc_prompt.weight": torch.zeros(2, 16), "fc_prompt.bias": torch.tensor([0.0, 90.0])}
    torch.save(tensors | head | {"similarity_weight": torch.ones(())}, tmp_path / "tuned.pth")
    (tmp_path / "classes.txt").write_text("a cat\na dog\n")
    options = ["--vocabulary", vocabulary, "--heads", "2", "--classes", tmp_path / "classes.txt"]
    run("uniperceiver-v1", tmp_path / "tuned.pth", "--out", tmp_path / "v1", *options)
    best = Predictor.from_pretrained(tmp_path / "v1").classify(Image.new("RGB", (40, 30), "red"))[0]
    assert best.names[0] == "a dog"
    assert best.probabilities[0] > 0.999
    run("to-uniperceiver-v1", tmp_path / "v1", "--out", tmp_path / "back.pth")
    back = torch.load(tmp_path / "back.pth", weights_only=True)["model"]
    assert torch.equal(back["fc_prompt.bias"], head["fc_prompt.bias"])
    assert back.keys() == tensors.keys() | head.keys() | {"similarity_weight"}


def test_the_way_back_by_the_command_line(official: Path, vocabulary: Path, tmp_path: Path) -> None:
    run("uniperceiver-v1", official, "--out", tmp_path / "v1", "--vocabulary", vocabulary, "--heads", "2")
    run("to-uniperceiver-v1", tmp_path / "v1", "--out", tmp_path / "back.pth")
    given = torch.load(official, weights_only=True)["model"]
    back = torch.load(tmp_path / "back.pth", weights_only=True)["model"]
    assert back.keys() == given.keys()
    assert all(torch.equal(back[name], given[name]) for name in given)


def test_a_folded_model_has_no_way_back(
    official: Path, vocabulary: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("uniperceiver-v1", official, "--out", tmp_path / "v1", "--vocabulary", vocabulary, "--heads", "2", "--fold")
    assert load_checkpoint(tmp_path / "v1").model.config.decoder.moe.folded
    with pytest.raises(SystemExit) as ended:
        cli.main(["convert", "to-uniperceiver-v1", str(tmp_path / "v1"), "--out", str(tmp_path / "back.pth")])
    assert ended.value.code == 2
    assert "has no experts to give back" in capsys.readouterr().err
