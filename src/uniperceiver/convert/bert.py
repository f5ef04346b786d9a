"""Weights of BERT and RoBERTa in Hugging Face's layout as weights of our `TextEncoder`."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

from uniperceiver.config import TextEncoderConfig
from uniperceiver.convert.key_rules import Rule, check, our_key, rename
from uniperceiver.load_report import LoadReport
from uniperceiver.model.text_encoder import TextEncoder
from uniperceiver.pretrained import config_file, read_weights

_LAYER = r"encoder\.layer\.(\d+)"
RULES: tuple[Rule, ...] = (
    (r"embeddings\.word_embeddings\.weight", r"embedding.words.weight"),
    (r"embeddings\.position_embeddings\.weight", r"embedding.positions.weight"),
    (r"embeddings\.token_type_embeddings\.weight", r"embedding.token_types.weight"),
    (r"embeddings\.LayerNorm\.(weight|bias)", r"embedding.norm.\1"),
    (_LAYER + r"\.attention\.self\.(query|key|value)\.(weight|bias)", r"layers.\1.\2.\3"),
    (_LAYER + r"\.attention\.output\.dense\.(weight|bias)", r"layers.\1.attention_output.\2"),
    (_LAYER + r"\.attention\.output\.LayerNorm\.(weight|bias)", r"layers.\1.attention_norm.\2"),
    (_LAYER + r"\.intermediate\.dense\.(weight|bias)", r"layers.\1.feedforward_input.\2"),
    (_LAYER + r"\.output\.dense\.(weight|bias)", r"layers.\1.feedforward_output.\2"),
    (_LAYER + r"\.output\.LayerNorm\.(weight|bias)", r"layers.\1.feedforward_norm.\2"),
    (r"embeddings\.position_ids", None),
    (r"pooler\..+", None),
    (r"lm_head\..+", None),
    (r"cls\..+", None),
)
"""Whole names there, without a leading ``bert.`` or ``roberta.``, and names here. None: knowingly dropped, being heads
of other tasks, or positions counted up."""

_OLD_NAMES = {"gamma": "weight", "beta": "bias"}
"""Parameters of a LayerNorm as the first BERT files call them."""

_SIZES = {
    "vocab_size": "vocabulary_size",
    "hidden_size": "width",
    "num_hidden_layers": "layers",
    "num_attention_heads": "heads",
    "intermediate_size": "feedforward",
    "max_position_embeddings": "positions",
    "type_vocab_size": "token_types",
    "layer_norm_eps": "layer_norm_eps",
}
"""Fields of ``config.json`` and ours; positions there include RoBERTa's offset."""


class TextWeightsError(ValueError):
    """A language model of another kind or of other sizes than configured; the message lists what differs."""


def load_text_encoder_weights(encoder: TextEncoder, source: str) -> LoadReport:
    """Set every weight of a text encoder, its projection excepted, from a pre-trained BERT or RoBERTa.

    ``source`` is a source string of `uniperceiver.pretrained`. It must have a ``config.json``, because the number of
    heads and the meaning of the first positions cannot be seen in the weights. The encoder is changed only if all fits.

    Raises:
        PretrainedFileError: a file cannot be found.
        TextWeightsError: the sizes in ``config.json`` are not the encoder's.
        KeyMismatchError: tensors are missing, surplus or of another shape.
    """
    check_config(encoder.config, text_encoder_config(config_file(source)), source)
    weights, report = rename(read_weights(source), text_encoder_key)
    state = encoder.state_dict()
    expected = {name: tensor for name, tensor in state.items() if not name.startswith("projection.")}
    report = check(weights, expected, report, source)
    # strict would ask for the projection too; everything else has been checked name by name
    encoder.load_state_dict(weights, strict=False)
    return report


def text_encoder_key(key: str) -> str | None:
    """The name in `TextEncoder` of a Hugging Face key, None where it is dropped; UnknownKeyError without a rule."""
    stem, _, last = re.sub(r"^(bert|roberta)\.", "", key).rpartition(".")
    return our_key(f"{stem}.{_OLD_NAMES.get(last, last)}", RULES)


def text_encoder_config(path: Path) -> TextEncoderConfig:
    """The sizes in a Hugging Face ``config.json`` of a BERT or RoBERTa, as our configuration.

    RoBERTa counts positions from its padding index + 1, so its table has that many rows more than the longest text.

    Raises:
        TextWeightsError: another kind of model, another activation or another kind of positions.
    """
    values = json.loads(path.read_text(encoding="utf-8"))
    absent = [name for name in ("model_type", "pad_token_id", *_SIZES) if name not in values]
    if absent:
        raise TextWeightsError(f"{path} is not the config.json of a BERT or RoBERTa: it has no {', '.join(absent)}")
    kind = values["model_type"]
    if kind not in ("bert", "roberta"):
        raise TextWeightsError(f"{path}: model_type is {kind!r}, expected 'bert' or 'roberta'")
    for name, expected in (("hidden_act", "gelu"), ("position_embedding_type", "absolute")):
        if values.get(name, expected) != expected:
            raise TextWeightsError(f"{path}: {name} is {values[name]!r}, expected {expected!r}")
    offset = values["pad_token_id"] + 1 if kind == "roberta" else 0
    sizes = {ours: values[theirs] for theirs, ours in _SIZES.items()}
    return TextEncoderConfig(**sizes | {"positions": sizes["positions"] - offset}, position_offset=offset)


def check_config(ours: TextEncoderConfig, theirs: TextEncoderConfig, source: str) -> None:
    """Compare the sizes; TextWeightsError lists every field that differs. Where weights come from is no size."""
    sizes = [
        field.name
        for field in fields(TextEncoderConfig)
        if field.name not in ("pretrained", "tokenizer", "frozen", "causal_layers", "keeps_words")
    ]
    differing = [
        f"text.{name} is {getattr(ours, name)} and should be {getattr(theirs, name)}"
        for name in sizes
        if getattr(ours, name) != getattr(theirs, name)
    ]
    if differing:
        raise TextWeightsError(f"the configuration is not that of {source}: {'; '.join(differing)}")
