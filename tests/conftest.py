"""Fixtures that several parts share: a tiny real tokenizer and a tiny real model configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer as RawTokenizer
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from uniperceiver.config import (
    BackboneConfig,
    DenoisingConfig,
    ImageEncoderConfig,
    ModelConfig,
    ProposalConfig,
    TextEncoderConfig,
    UnifiedDecoderConfig,
)
from uniperceiver.data.tokenizer import Tokenizer

SENTENCES = [
    "a red car beside a green tree .",
    "two dogs run on the grass .",
    "a cat sits on a chair next to a small table .",
    "how many birds are there ? three",
    "is there a blue ball ? yes no",
    "the man rides a bicycle along the road .",
]


def write_tokenizer(path: Path) -> Path:
    """A WordPiece tokenizer.json of BERT's shape, trained on `SENTENCES`."""
    raw = RawTokenizer(models.WordPiece(unk_token="[UNK]"))
    raw.normalizer = normalizers.BertNormalizer(lowercase=True)
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    raw.decoder = decoders.WordPiece()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    raw.train_from_iterator(SENTENCES, trainers.WordPieceTrainer(vocab_size=200, special_tokens=specials))
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(token, raw.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    )
    raw.save(str(path))
    return path


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """A tiny real tokenizer."""
    return Tokenizer.from_file(write_tokenizer(tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"))


@pytest.fixture
def tiny_model_config(tokenizer: Tokenizer) -> ModelConfig:
    """Every part of the v2 network, small enough for 64-pixel pictures on one core."""
    return ModelConfig(
        image=ImageEncoderConfig(
            backbone=BackboneConfig(name="resnet10t"),
            proposals=ProposalConfig(
                width=32,
                heads=4,
                points=2,
                encoder_layers=1,
                decoder_layers=2,
                feedforward=48,
                mask_width=16,
                queries=12,
                kept=8,
                denoising=DenoisingConfig(queries=8, categories=10),
            ),
            attention_pools=2,
        ),
        text=TextEncoderConfig(
            vocabulary_size=tokenizer.vocabulary_size,
            width=24,
            layers=2,
            heads=4,
            feedforward=48,
            positions=40,
            position_offset=0,
            token_types=2,
            layer_norm_eps=1e-12,
        ),
        decoder=UnifiedDecoderConfig(width=40, layers=2, heads=4, feedforward=64, text_positions=64),
    )
