"""Fixtures that several parts share: a tiny real tokenizer, models, a checkpoint; data are in `fixtures`."""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from tokenizers import Tokenizer as RawTokenizer
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from uniperceiver.checkpoint import Checkpoint, save_checkpoint
from uniperceiver.config import (
    BackboneConfig,
    DenoisingConfig,
    ImageEncoderConfig,
    ImageSizeConfig,
    ModelConfig,
    PatchEncoderConfig,
    ProposalConfig,
    TaskConfig,
    TextEncoderConfig,
    UnifiedDecoderConfig,
    WordEmbeddingConfig,
    to_data,
)
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.stored_tasks import StoredTask

pytest_plugins = ["drawn_data", "tiny_videos"]  # of `fixtures`, which is on the path of tests

SENTENCES = [
    "a red car beside a green tree .",
    "two dogs run on the grass .",
    "a cat sits on a chair next to a small table .",
    "how many birds are there ? three",
    "is there a blue ball ? yes no",
    "the man rides a bicycle along the road .",
]


def write_tokenizer(path: Path) -> Path:
    """A WordPiece tokenizer.json of BERT's shape: the words of `SENTENCES`, and letters that spell any other.

    Not trained: trainers number equally frequent pieces anew in every process, and seeded models would differ.
    """
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = {word for sentence in SENTENCES for word in sentence.split()}
    letters = set(string.ascii_lowercase)
    pieces = sorted(words | letters | {f"##{letter}" for letter in letters})
    vocabulary = {piece: index for index, piece in enumerate(specials + pieces)}
    raw = RawTokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    raw.normalizer = normalizers.BertNormalizer(lowercase=True)
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    raw.decoder = decoders.WordPiece()
    raw.add_special_tokens(specials)
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(token, raw.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    )
    raw.save(str(path))
    return path


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """A tiny real tokenizer."""
    return Tokenizer.from_file(write_tokenizer(tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"))


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def tiny_v1_config(tokenizer: Tokenizer) -> ModelConfig:
    """Patches, words and a decoder of v1 for pictures of 32 pixels and four frames, without experts."""
    decoder = UnifiedDecoderConfig(
        width=16,
        layers=2,
        heads=2,
        feedforward=32,
        drop_path=0.0,
        moe=None,
        type_codes=False,
        text_positions=0,
        own_spe=False,
        input_norm="shared",
    )
    return ModelConfig(
        image=PatchEncoderConfig("patches", image_size=32, position_size=32, frames=4),
        text=WordEmbeddingConfig("words", tokenizer.vocabulary_size, positions=64, spe_id=tokenizer.slot_id),
        decoder=decoder,
        temperatures=("img_cls", "video_cls", "text_mlm", "text_caption", "caption", "retrieve"),
    )


@pytest.fixture(scope="session")
def v1_checkpoint(tiny_v1_config: ModelConfig, tokenizer: Tokenizer) -> Checkpoint:
    """A tiny untrained v1, as if converted: it does not know which frames of videos to look at. Shared likewise."""
    size, words = ImageSizeConfig(train=32, test=32, squeeze=False), tuple(range(5, 60))
    tasks = {
        "classification": StoredTask(TaskConfig("classification", size)),
        "captioning": StoredTask(TaskConfig("captioning", size, max_tokens=6), token_ids=(tokenizer.end_id, *words)),
        "retrieval": StoredTask(TaskConfig("retrieval", size, max_tokens=12)),
        "questions": StoredTask(TaskConfig("visual_question_answering", size, max_tokens=16), texts=("yes", "no")),
    }
    torch.manual_seed(0)
    model = UniPerceiver(replace(tiny_v1_config, temperatures=(*tiny_v1_config.temperatures, "downstream")))
    return Checkpoint(model, tokenizer, tasks)


@pytest.fixture
def write_model(tokenizer: Tokenizer) -> Callable[[ModelConfig, Path], str]:
    """Write a configuration as the YAML file of a model, its tokenizer beside it; gives the file."""

    def write(config: ModelConfig, folder: Path) -> str:
        tokenizer.save(folder / "tokenizer.json")
        content = to_data(config)
        content["text"]["tokenizer"] = str(folder / "tokenizer.json")
        (folder / "model.yaml").write_text(yaml.safe_dump(content))
        return str(folder / "model.yaml")

    return write


@pytest.fixture(scope="session")
def checkpoint(tiny_model_config: ModelConfig, tokenizer: Tokenizer) -> Checkpoint:
    """A tiny untrained model that knows every task; all tests share it, so none may change it."""
    size, words = ImageSizeConfig(train=64, test=64, test_longest=96), tuple(range(5, 60))
    tasks = {
        "names": StoredTask(TaskConfig("classification", size), texts=("cat", "dog", "tree")),
        "objects": StoredTask(TaskConfig("detection", size), texts=("red car", "blue ball")),
        "captions": StoredTask(TaskConfig("captioning", size, max_tokens=6), token_ids=(tokenizer.end_id, *words)),
        "pairs": StoredTask(TaskConfig("retrieval", size, max_tokens=12)),
        "words": StoredTask(TaskConfig("masked_language_modeling", size, max_tokens=12), token_ids=words),
        "questions": StoredTask(
            TaskConfig("visual_question_answering", size, max_tokens=16), texts=("yes", "no", "three")
        ),
    }
    torch.manual_seed(0)
    return Checkpoint(UniPerceiver(tiny_model_config), tokenizer, tasks)


@pytest.fixture(scope="session")
def untrained_v1(v1_checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `v1_checkpoint`, likewise shared."""
    folder = tmp_path_factory.mktemp("untrained_v1") / "v1_base"
    save_checkpoint(v1_checkpoint, folder)
    return folder


@pytest.fixture(scope="session")
def untrained(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `checkpoint`, likewise shared."""
    folder = tmp_path_factory.mktemp("untrained") / "model"
    save_checkpoint(checkpoint, folder)
    return folder
