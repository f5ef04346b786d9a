"""Weights that exist already are recognised by their names and set, with a report of every one."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from uniperceiver import cli
from uniperceiver.config import BackboneConfig, ImageEncoderConfig, ModelConfig, ProposalConfig, to_data
from uniperceiver.convert.initialisation import converted, coverage, initialise
from uniperceiver.convert.resnet50_pretraining import clip_key
from uniperceiver.load_report import KeyMismatchError
from uniperceiver.model.uni_perceiver import UniPerceiver

GOLDEN = Path(__file__).parents[1] / "golden"


def with_backbone(config: ModelConfig, name: str, proposals: ProposalConfig | None = None) -> UniPerceiver:
    image = ImageEncoderConfig(backbone=BackboneConfig(name=name), proposals=proposals)
    return UniPerceiver(replace(config, image=image))


def resnet50(seed: int = 0) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return timm.create_model("resnet50").state_dict()


def test_moco_sets_the_backbone_from_the_query_encoder(tiny_model_config: ModelConfig, tmp_path: Path) -> None:
    plain = {name: tensor for name, tensor in resnet50().items() if not name.startswith("fc.")}
    released = {f"module.encoder_q.{name}": tensor for name, tensor in plain.items()}
    released |= {f"module.encoder_k.{name}": torch.zeros(1) for name in plain}
    released |= {"module.encoder_q.fc.0.weight": torch.zeros(1), "module.queue": torch.zeros(1)}
    torch.save({"epoch": 200, "arch": "resnet50", "state_dict": released}, tmp_path / "moco_v2.pth.tar")
    model = with_backbone(tiny_model_config, "resnet50")
    report = initialise(model, str(tmp_path / "moco_v2.pth.tar"))
    assert torch.equal(model.f_image.backbone.network.state_dict()["conv1.weight"], plain["conv1.weight"])
    assert ("module.encoder_q.conv1.weight", "f_image.backbone.network.conv1.weight") in report.matched
    assert len(report.matched) + len(report.dropped) == len(released)
    assert coverage(model, report).keys() == {"f_image.backbone"}


def clip_names() -> dict[str, str]:
    """timm's name → CLIP's, of every tensor of its modified ResNet-50 but the attention pool."""
    names = {}
    with torch.device("meta"):
        whole = timm.create_model("resnet50_clip").state_dict()
    places = {"conv1_1x1": "1", "conv2_kxk": "2", "conv3_1x1": "3"}
    for name in whole:
        parts = name.split(".")
        if parts[0] == "stem":
            kind = "conv" if parts[2] == "conv" else "bn"
            names[name] = f"visual.{kind}{parts[1][-1]}.{parts[-1]}"
        elif parts[0] == "stages":
            block = f"visual.layer{int(parts[1]) + 1}.{parts[2]}"
            if parts[3] == "shortcut":
                names[name] = f"{block}.downsample.{0 if parts[5] == 'conv' else 1}.{parts[-1]}"
            else:
                kind = "conv" if parts[4] == "conv" else "bn"
                names[name] = f"{block}.{kind}{places[parts[3]]}.{parts[-1]}"
    return names


def test_clip_names_are_those_of_timms_network() -> None:
    assert all(clip_key(theirs) == ours for ours, theirs in clip_names().items())
    assert clip_key("visual.attnpool.q_proj.weight") is None
    assert clip_key("transformer.resblocks.0.ln_1.weight") is None


def test_clip_sets_its_modified_resnet(tiny_model_config: ModelConfig, tmp_path: Path) -> None:
    torch.manual_seed(3)
    whole = timm.create_model("resnet50_clip").state_dict()
    released = {theirs: whole[ours].contiguous() for ours, theirs in clip_names().items()}
    save_file(released | {"logit_scale": torch.zeros(1)}, tmp_path / "clip.safetensors")
    model = with_backbone(tiny_model_config, "resnet50_clip")
    report = initialise(model, str(tmp_path / "clip.safetensors"))
    own = model.f_image.backbone.network.state_dict()
    assert {ours.removeprefix("f_image.backbone.network.") for _, ours in report.matched} == set(own)
    network = timm.create_model("resnet50_clip", features_only=True).eval()
    network.load_state_dict(
        {n.replace("stem.", "stem_").replace("stages.", "stages_"): t for n, t in whole.items()}, strict=False
    )
    picture = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model.f_image.backbone(picture)[-1], network(picture)[-1], rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match=r"resnet50_clip, but it is resnet50"):
        initialise(with_backbone(tiny_model_config, "resnet50"), str(tmp_path / "clip.safetensors"))


def test_any_timm_network_sets_a_backbone_of_its_name(tiny_model_config: ModelConfig, tmp_path: Path) -> None:
    whole = timm.create_model("resnet10t").state_dict()
    save_file({name: tensor.contiguous() for name, tensor in whole.items()}, tmp_path / "weights.safetensors")
    model = UniPerceiver(tiny_model_config)
    report = initialise(model, str(tmp_path / "weights.safetensors"))
    assert set(report.dropped) == {"fc.weight", "fc.bias"} | {n for n in whole if n.endswith("num_batches_tracked")}
    with pytest.raises(ValueError, match=r"none of Mask DINO.*resnet50"):
        initialise(with_backbone(tiny_model_config, "resnet50"), str(tmp_path / "weights.safetensors"))


def test_mask_dino_warm_starts_uni_perceivers_shape(tiny_model_config: ModelConfig, tmp_path: Path) -> None:
    """Six of nine layers, one class of eighty, learned queries and H near nothing (A2, A5, A8)."""
    entries = json.loads((GOLDEN / "maskdino_keys_r50.json").read_text(encoding="utf-8"))
    released = {k: torch.zeros((), dtype=getattr(torch, d)).expand(s) for k, s, d, _ in entries}
    torch.save({"model": released, "iteration": 90000}, tmp_path / "maskdino.pth")
    model = with_backbone(tiny_model_config, "resnet50", ProposalConfig(queries=20))
    report = initialise(model, str(tmp_path / "maskdino.pth"))
    assert "f_image.proposals.selection.learned" in report.made
    assert model.f_image.proposals.selection.learned.std().item() < 0.03
    parts = coverage(model, report)
    assert parts["f_image.backbone"][0] == parts["f_image.backbone"][1]
    assert parts["f_image.proposals"][1] / parts["f_image.proposals"][0] > 0.98
    kept = converted(model, report)
    assert set(report.made) <= set(kept)


def test_a_part_under_our_names_is_taken_and_what_does_not_fit_is_named(
    tiny_model_config: ModelConfig, tmp_path: Path
) -> None:
    model, other = UniPerceiver(tiny_model_config), UniPerceiver(tiny_model_config)
    part = {name: t.clone() for name, t in other.state_dict().items() if name.startswith("g.layers.0.")}
    save_file(part, tmp_path / "model.safetensors")
    report = initialise(model, str(tmp_path))
    assert {ours for _, ours in report.matched} == set(part)
    assert len(report.missing) == len(model.state_dict()) - len(part)
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in part.items())
    save_file({"g.proj.bias": torch.zeros(3), "g.surplus": torch.zeros(1)}, tmp_path / "bad.safetensors")
    with pytest.raises(KeyMismatchError, match=r"(?s)surplus.*g\.surplus.*g\.proj\.bias: given \(3,\)"):
        initialise(model, str(tmp_path / "bad.safetensors"))


class Wicked:
    """A pickle that would run code when it is read."""

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("executed"),))


def test_nothing_in_a_file_is_executed(tiny_model_config: ModelConfig, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = UniPerceiver(tiny_model_config)
    torch.save({"model": Wicked()}, "wicked.pth")
    Path("wicked.pkl").write_bytes(pickle.dumps(Wicked()))
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), "scripted.pt")
    for name, message in (
        ("wicked.pth", "more than tensors"),
        ("wicked.pkl", "more than"),
        ("scripted.pt", "holds code"),
    ):
        with pytest.raises(ValueError, match=message):
            initialise(model, str(tmp_path / name))
    assert not Path("executed").exists()


def test_the_command_converts_and_init_from_takes_it(
    tiny_model_config: ModelConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(5)
    whole = {name: tensor.contiguous() for name, tensor in timm.create_model("resnet10t").state_dict().items()}
    save_file(whole, tmp_path / "weights.safetensors")
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(to_data(tiny_model_config)))
    arguments = [str(tmp_path / "weights.safetensors"), "--model", str(tmp_path / "model.yaml")]
    with pytest.raises(SystemExit) as ended:
        cli.main(["convert", "weights", *arguments, "--out", str(tmp_path / "converted")])
    assert not ended.value.code
    assert "f_image.backbone" in capsys.readouterr().out
    report = json.loads((tmp_path / "converted" / "report.json").read_text())
    assert report["surplus"] == report["missing"] == []
    model = UniPerceiver(tiny_model_config)
    initialise(model, str(tmp_path / "converted"))
    for name, tensor in load_file(tmp_path / "converted" / "model.safetensors").items():
        assert torch.equal(model.state_dict()[name], tensor)
