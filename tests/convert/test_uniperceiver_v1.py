"""Releases of Uni-Perceiver v1 become our model: recorded values, through the converter and the one model class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from uniperceiver.batches import ImageBatch, TextBatch, VideoBatch
from uniperceiver.config import MoEConfig, PatchEncoderConfig, TemperatureGroup, load_config
from uniperceiver.convert.uniperceiver_v1 import (
    V1Options,
    convert_uniperceiver_v1,
    folded,
    to_uniperceiver_v1,
)
from uniperceiver.convert.uniperceiver_v1_checkpoint import explained
from uniperceiver.convert.uniperceiver_v1_configuration import configuration
from uniperceiver.convert.uniperceiver_v1_file import ReleaseFile
from uniperceiver.convert.uniperceiver_v1_keys import TYPE, to_official, to_ours
from uniperceiver.likelihood import similarity
from uniperceiver.load_report import KeyMismatchError
from uniperceiver.model.segments import Segment, TaskAttributes, task_streams
from uniperceiver.model.uni_perceiver import UniPerceiver

GOLDEN = Path(__file__).parents[1] / "golden"
END_ID, VOCABULARY = 996, 1000
CLASSIFY = TaskAttributes(input_image=True, input_text=False)
LANGUAGE = TaskAttributes(input_image=False, input_text=True)
CAPTION = TaskAttributes(input_image=True, input_text=True)


def recorded_values(name: str) -> dict[str, Tensor]:
    """Inputs and outputs of the official code, of two files."""
    more = load_file(GOLDEN / f"uniperceiver_v1_{name}_more.safetensors")
    return load_file(GOLDEN / f"uniperceiver_v1_{name}.safetensors") | more


def parameters(name: str) -> dict[str, Tensor]:
    """The official state dict of a golden file."""
    tensors = load_file(GOLDEN / f"uniperceiver_v1_{name}.safetensors")
    return {key.removeprefix("param/"): value for key, value in tensors.items() if key.startswith("param/")}


def converted(tensors: dict[str, Tensor], **options: object) -> UniPerceiver:
    return convert_uniperceiver_v1(ReleaseFile.from_content(tensors), V1Options(heads=4, **options)).model


class Recorded:
    """A converted golden model and what the official one said."""

    def __init__(self, name: str) -> None:
        self.golden = recorded_values(name)
        self.model = converted(parameters(name))

    def image(self, task: str) -> Segment:
        recorded_for = "imgcls" if task == "imgcls_clamp" else task  # the same pictures
        pixels = self.golden[f"in/{recorded_for}/input0"]
        if pixels.ndim == 5:
            return self.model.encode_video(VideoBatch(pixels))
        padding = torch.zeros(pixels.shape[0], *pixels.shape[2:], dtype=torch.bool)
        return self.model.encode_image(ImageBatch(pixels, padding)).segment

    def text(self, name: str) -> TextBatch:
        ids = self.golden[f"in/{name}"]
        mask_name = name.replace("set_tokens", "set") + "_invalid_mask"
        mask = self.golden.get(f"in/{mask_name}", torch.zeros_like(ids)).bool()
        positions = torch.arange(ids.shape[1]).expand_as(ids)
        return TextBatch(ids, mask, positions, torch.zeros_like(mask))

    def caption(self, task: str) -> TextBatch:
        text = self.text(f"{task}/input1")
        length = text.ids.shape[1] // 2
        places = torch.arange(2 * length)
        return replace(
            text,
            positions=places.remainder(length).expand_as(text.ids),
            is_slot=(places >= length).expand_as(text.ids),
            causal=True,
        )

    def targets(self, text: TextBatch, attributes: TaskAttributes) -> Tensor:
        return self.model.decode(self.model.encode_text(text), attributes=attributes, side="target").spe

    def vocabulary(self, attributes: TaskAttributes) -> Tensor:
        words = torch.arange(VOCABULARY)
        ids = torch.stack([words, torch.full_like(words, END_ID)], dim=1)
        return self.targets(TextBatch.from_ids(ids.tolist(), 0), attributes)

    def logits(self, x: Tensor, y: Tensor, group: TemperatureGroup) -> Tensor:
        return similarity(x, y, self.model.temperature(group))


@pytest.fixture(scope="module", params=["dense", "moe"])
def recorded(request: pytest.FixtureRequest) -> Recorded:
    return Recorded(request.param)


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(("task", "group"), [("imgcls", "img_cls"), ("imgcls_clamp", "downstream")])
def test_classification_of_pictures(recorded: Recorded, task: str, group: TemperatureGroup) -> None:
    golden = recorded.golden
    x = recorded.model.decode(recorded.image(task), attributes=CLASSIFY).spe
    y = recorded.targets(recorded.text(f"{task}/set_tokens"), CLASSIFY)
    close(x, golden[f"out/{task}/input_feats"])
    close(y, golden[f"out/{task}/target_feats"])
    close(recorded.logits(x, y, group), golden[f"out/{task}/logits"])


@pytest.mark.parametrize(("name", "task"), [("dense", "itr"), ("moe", "itr"), ("dense", "vtr")])
def test_retrieval_of_pictures_and_videos(name: str, task: str) -> None:
    recorded = Recorded(name)
    golden = recorded.golden
    x = recorded.model.decode(recorded.image(task), attributes=CLASSIFY).spe
    y = recorded.targets(recorded.text(f"{task}/target0"), CLASSIFY)
    close(F.normalize(x, dim=-1), golden[f"out/{task}/input_feats_l2"])
    close(F.normalize(y, dim=-1), golden[f"out/{task}/target_feats_l2"])
    close(recorded.logits(x, y, "retrieve"), golden[f"out/{task}/train_logits_i2t"])
    close(recorded.logits(y, x, "retrieve"), golden[f"out/{task}/train_logits_t2i"])


def test_captions(recorded: Recorded) -> None:
    text = recorded.caption("cap")
    is_word = recorded.golden["in/cap/target_idx"] != -1
    decoded = recorded.model.decode(recorded.image("cap"), recorded.model.encode_text(text), attributes=CAPTION)
    slots = decoded.segments[1][:, -is_word.shape[1] :][is_word]
    logits = recorded.logits(slots, recorded.vocabulary(CAPTION), "caption")
    close(logits, recorded.golden["out/cap/train_logits"])


def test_masked_words_are_compared_with_the_vocabulary_of_captions(recorded: Recorded) -> None:
    """The vocabulary's bits do not depend on the task (``targets_have_image_bit``)."""
    golden = recorded.golden
    segment = recorded.model.encode_text(recorded.text("mlm/input0"))
    x = recorded.model.decode(segment, attributes=LANGUAGE).segments[0][golden["in/mlm/target_idx"] != -1]
    y = recorded.vocabulary(LANGUAGE)
    close(x, golden["out/mlm/input_feats"])
    close(y[::10], golden["out/mlm/target_feats"])
    close(recorded.logits(x, y, "text_mlm"), golden["out/mlm/logits"])


def test_classification_of_texts(recorded: Recorded) -> None:
    golden = recorded.golden
    segment = recorded.model.encode_text(recorded.text("glue/input0"))
    places = (torch.arange(3), golden["in/glue/spe_index"])
    x = recorded.model.decode(segment, attributes=LANGUAGE).segments[0][places]
    y = recorded.targets(recorded.text("glue/set_tokens"), LANGUAGE)
    close(recorded.logits(x, y, "text_mlm"), golden["out/glue/logits"])


def test_visual_question_answering() -> None:
    recorded = Recorded("dense")
    question = recorded.model.encode_text(recorded.text("vqa/input1"))
    decoded = recorded.model.decode(recorded.image("vqa"), question, attributes=CAPTION)
    x = decoded.segments[1][torch.arange(3), recorded.golden["in/vqa/spe_index"]]
    y = recorded.targets(recorded.text("vqa/set_tokens"), CAPTION)
    close(recorded.logits(x, y, "downstream"), recorded.golden["out/vqa/logits"])


def image_logits(recorded: Recorded, model: UniPerceiver) -> Tensor:
    recorded.model = model
    x = model.decode(recorded.image("imgcls"), attributes=CLASSIFY).spe
    return recorded.logits(x, recorded.targets(recorded.text("imgcls/set_tokens"), CLASSIFY), "img_cls")


@pytest.mark.parametrize("name", ["dense", "moe"])
def test_merging_the_type_of_pictures_equals_adding_it(name: str) -> None:
    recorded = Recorded(name)
    model = converted(parameters(name), type_embedding="merge")
    close(image_logits(recorded, model), recorded.golden["out/imgcls/logits_add_type_embed"])


@pytest.mark.parametrize("name", ["dense", "moe"])
def test_another_word_may_stand_before_every_sequence(name: str) -> None:
    recorded = Recorded(name)
    config = recorded.model.config
    model = UniPerceiver(replace(config, text=replace(config.text, prefix_word=7))).eval()
    model.load_state_dict(recorded.model.state_dict())
    close(image_logits(recorded, model), recorded.golden["out/imgcls/logits_new_spe"])


def test_folded_experts_say_the_same() -> None:
    recorded = Recorded("moe")
    whole, lean = recorded.model, folded(recorded.model)
    assert lean.config.decoder.moe is not None
    assert len(lean.config.decoder.moe.folded) == len(task_streams(True)) == 8
    assert not any("expert" in name or "gate" in name for name in lean.state_dict())
    for task in ("imgcls", "cap"):
        recorded.model = whole
        expected = recorded.model.decode(recorded.image(task), attributes=CLASSIFY).spe
        recorded.model = lean
        close(recorded.model.decode(recorded.image(task), attributes=CLASSIFY).spe, expected)
    rebuilt = UniPerceiver(lean.config).eval()
    rebuilt.load_state_dict(lean.state_dict())
    close(image_logits(recorded, rebuilt), recorded.golden["out/imgcls/logits"])


@pytest.mark.parametrize("name", ["dense", "moe"])
def test_the_way_back_gives_the_same_file(name: str) -> None:
    tensors = parameters(name)
    conversion = convert_uniperceiver_v1(ReleaseFile.from_content({"model": tensors}), V1Options(heads=4))
    back = to_uniperceiver_v1(conversion.model, conversion.unused)
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[key], tensors[key]) for key in tensors)


def test_a_raw_deepspeed_file_is_read_and_its_type_merged() -> None:
    tensors = parameters("dense")
    raw = {to_raw(key): value[None, None] if "gamma" in key else value for key, value in tensors.items()}
    raw = {key: value.half() for key, value in raw.items()} | {"visual_embed.patch_embed.weight": torch.zeros(1)}
    release = ReleaseFile.from_content({"module": raw, "optimizer": None})
    assert (release.container, release.is_raw, release.beside) == ("deepspeed", True, ("optimizer",))
    assert release.dropped == ("visual_embed.patch_embed.weight",)
    conversion = convert_uniperceiver_v1(release, V1Options(heads=4))
    bias = tensors["video_embed.embeddings.bias"].half().float() + tensors[TYPE][0].half().float()
    assert torch.equal(conversion.model.f_image.patches.bias, bias)
    assert any("now added" in note for note in conversion.notes)


def to_raw(name: str) -> str:
    """The name that a dense tensor has in the earlier code base."""
    for current, raw in (
        ("fused_encoder.", "encoder."),
        ("self_attn.in_proj_", "attention.self.qkv_proj."),
        ("self_attn.out_proj", "attention.output.dense"),
        ("gamma_1", "attention_output.residual_scale"),
        ("gamma_2", "ffn_output.residual_scale"),
        ("linear1.", "ffn.dense."),
        ("linear2.", "ffn.dense2."),
        ("norm1.", "LayerNormModules.0."),
        ("norm2.", "LayerNormModules.1."),
        ("loss_prepare.", "predictor."),
    ):
        name = name.replace(current, raw)
    return name


def test_dense_models_may_spell_their_attention_as_those_with_experts() -> None:
    tensors = {
        key.replace("in_proj_", "qkv_proj.").replace("out_proj", "dense"): value
        for key, value in parameters("dense").items()
    }
    recorded = Recorded("dense")
    close(image_logits(recorded, converted(tensors)), recorded.golden["out/imgcls/logits"])


@pytest.mark.parametrize("name", ["v1_base", "v1_large", "v1_moe_base", "v1_moe_large"])
def test_shipped_configurations_are_what_their_files_imply(name: str) -> None:
    """Official names of the whole model, without numbers, give the configuration that made them (but its tokenizer)."""
    config = load_config(name)
    with torch.device("meta"):
        weights = UniPerceiver(config).state_dict()
        names = to_official(weights, packed_attention=config.decoder.moe is None)
        official = {theirs: weights[ours] for theirs, ours in names.items()}
        official = {key: value for key, value in official.items() if not key.startswith("token_embed.embeddings_norm")}
        ours, _ = to_ours(official)
        assert ours.keys() == weights.keys()
        assert configuration(ours) == replace(config, text=replace(config.text, tokenizer=None))


def test_places_of_another_size_follow_the_official_formulas() -> None:
    golden = load_file(GOLDEN / "uniperceiver_v1_misc.safetensors")
    tensors = parameters("dense")
    key = "video_embed.embeddings_st_pos.{}_pos_embed.weight"
    tensors[key.format("spatial")] = golden["in/resize/spatial_3x3"]
    tensors[key.format("temporal")] = golden["in/resize/temporal_5"]
    model = converted(tensors, image_size=64, frames=8, positions="interpolate")
    close(model.f_image.spatial_positions, golden["out/resize/spatial_4x4"])
    close(model.f_image.temporal_positions.weight, golden["out/resize/temporal_8"])
    large = converted(tensors, image_size=384)
    assert isinstance(large.config.image, PatchEncoderConfig)
    assert large.f_image.spatial_positions.shape == (576, 64)


def test_what_does_not_fit_is_said() -> None:
    tensors = parameters("dense")
    with pytest.raises(ValueError, match="only Uni-Perceiver-MoE has experts"):
        converted(tensors, fold=True)
    without = {key: value for key, value in tensors.items() if key != TYPE}
    with pytest.raises(ValueError, match=r"no video_embed\.embeddings_type"):
        converted(without, type_embedding="merge")
    with pytest.raises(KeyMismatchError, match=r"1 missing.*g\.proj\.bias"):
        converted({key: value for key, value in tensors.items() if key != "loss_prepare.proj.bias"})
    with pytest.raises(KeyMismatchError, match=r"f_text\.words\.weight"):
        converted({key: value for key, value in tensors.items() if key != "token_embed.embeddings.weight"})
    with pytest.raises(KeyMismatchError, match=r"1 surplus.*fused_encoder\.layers\.0\.extra"):
        converted(tensors | {"fused_encoder.layers.0.extra": torch.zeros(1)})


NORMS = [f"{embed}.embeddings_norm.{part}" for embed in ("video_embed", "token_embed") for part in ("weight", "bias")]


def with_two_norms() -> dict[str, Tensor]:
    """A file as those of visual question answering (SHARE_LAYERNORM and LEARN_TEMP False) are."""
    torch.manual_seed(0)
    learnt = {name: tensor for name, tensor in parameters("dense").items() if "logit_scale_" not in name}
    return learnt | {name: torch.rand(64) for name in NORMS}


def norms(model: UniPerceiver) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in model.state_dict().items() if "norm." in name and "layers" not in name}


def test_pictures_and_texts_keep_a_norm_each_where_they_differ() -> None:
    tensors = with_two_norms()
    conversion = convert_uniperceiver_v1(ReleaseFile.from_content(tensors), V1Options(heads=4))
    ours = ("g.image_norm.weight", "g.image_norm.bias", "g.text_norm.weight", "g.text_norm.bias")
    found = norms(conversion.model)
    assert found.keys() == set(ours)
    assert all(torch.equal(found[name], tensors[theirs]) for name, theirs in zip(ours, NORMS, strict=True))
    assert any("--input-norm shared" in note for note in conversion.notes)
    assert "token_embed.embeddings_norm.bias -> g.text_norm.bias" in explained(conversion)
    back = to_uniperceiver_v1(conversion.model, conversion.unused)
    assert {key for key in back if "logit_scale_" not in key} == tensors.keys()
    assert all(torch.equal(back[key], tensors[key]) for key in tensors)


def test_of_two_copies_the_pictures_counts_as_in_the_official_loader() -> None:
    """A file with temperatures is of a model that shares the norm."""
    tensors = parameters("dense") | {"token_embed.embeddings_norm.weight": torch.rand(64)}
    conversion = convert_uniperceiver_v1(ReleaseFile.from_content(tensors), V1Options(heads=4))
    recorded = Recorded("dense")
    close(image_logits(recorded, conversion.model), recorded.golden["out/imgcls/logits"])
    assert any("--input-norm per_modality" in note for note in conversion.notes)


def test_patches_have_the_norm_of_pictures_and_words_and_spe_that_of_texts() -> None:
    """The same as normalising them by hand before a decoder without norms."""
    tensors, recorded = with_two_norms(), Recorded("dense")
    recorded.model = model = converted(tensors)
    config = model.config
    bare = UniPerceiver(replace(config, decoder=replace(config.decoder, input_norm=None))).eval()
    bare.load_state_dict({name: tensor for name, tensor in model.state_dict().items() if name not in norms(model)})

    def normalised(x: Tensor, embed: str) -> Tensor:
        return F.layer_norm(x, (64,), *(tensors[f"{embed}.embeddings_norm.{part}"] for part in ("weight", "bias")))

    image, question = recorded.image("vqa"), model.encode_text(recorded.text("vqa/input1"))
    found = model.decode(image, question, attributes=CAPTION)
    segments = (
        replace(image, tokens=normalised(image.tokens, "video_embed")),
        replace(question, tokens=normalised(question.tokens, "token_embed")),
    )
    spe = normalised(tensors["token_embed.embeddings.weight"][VOCABULARY - 1], "token_embed")
    expected = bare.g(segments, CAPTION, "input", spe)
    close(found.spe, expected.spe)
    close(found.segments[1], expected.segments[1])


def test_one_norm_or_two_can_be_asked_for() -> None:
    tensors = with_two_norms()
    conversion = convert_uniperceiver_v1(ReleaseFile.from_content(tensors), V1Options(heads=4, input_norm="shared"))
    assert norms(conversion.model).keys() == {"g.norm.weight", "g.norm.bias"}
    assert conversion.model.g.norm is not None
    assert torch.equal(conversion.model.g.norm.weight, tensors["video_embed.embeddings_norm.weight"])
    assert any("--input-norm per_modality" in note for note in conversion.notes)

    recorded, given = Recorded("dense"), parameters("dense")
    two = convert_uniperceiver_v1(ReleaseFile.from_content(given), V1Options(heads=4, input_norm="per_modality"))
    assert len(norms(two.model)) == 4
    assert not any("norm" in note for note in two.notes)
    close(image_logits(recorded, two.model), recorded.golden["out/imgcls/logits"])
    back = to_uniperceiver_v1(two.model, two.unused)
    assert all(torch.equal(back[key], given[key]) for key in given)


def test_a_model_that_learnt_no_temperature_has_the_constant_of_its_official_configuration() -> None:
    """vqa_finetuning_debug: LEARN_TEMP False, PRED_TEMPERATURE 0.03, so no logit_scale_* in the file."""
    tensors = {key: value for key, value in parameters("dense").items() if "logit_scale" not in key}
    conversion = convert_uniperceiver_v1(ReleaseFile.from_content(tensors), V1Options(heads=4))
    assert conversion.model.temperature("downstream").item() == pytest.approx(0.03)
    assert len(conversion.report.made) == len(conversion.model.log_inverse_temperatures) == 11
    assert any(note.startswith("no temperatures") for note in conversion.notes)
    assert "log_inverse_temperatures.downstream made anew" in explained(conversion)


def test_folding_is_part_of_the_configuration() -> None:
    with pytest.raises(ValueError, match="pattern"):
        MoEConfig(folded=("1201",))
