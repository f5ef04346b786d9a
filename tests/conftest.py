"""Fixtures that several parts share: a tiny real tokenizer, model, data in four formats, and training."""

from __future__ import annotations

import io
import json
import shutil
import string
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image, ImageDraw
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
def untrained(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `checkpoint`, likewise shared."""
    folder = tmp_path_factory.mktemp("untrained") / "model"
    save_checkpoint(checkpoint, folder)
    return folder


DRAWN_NAMES = ("red car", "blue ball")


def draw_pictures(folder: Path, number: int = 6) -> list[dict[str, Any]]:
    """Pictures of one red square or blue circle each, and what is in them."""
    folder.mkdir(parents=True)
    drawn: list[dict[str, Any]] = []
    for index in range(number):
        picture = Image.new("RGB", (64, 48), (200, 200, 180))
        x, y, side = 4 + 5 * index, 6 + 2 * index, 20
        box = (x, y, x + side, y + side)
        is_square = index % 2 == 0
        draw = ImageDraw.Draw(picture)
        (draw.rectangle if is_square else draw.ellipse)(box, fill=(200, 20, 20) if is_square else (20, 20, 200))
        picture.save(folder / f"{index}.png")
        drawn.append({"file": f"{index}.png", "box": box, "label": 0 if is_square else 1})
    return drawn


def coco_instances(drawn: list[dict[str, Any]]) -> dict[str, Any]:
    """The drawn objects as COCO annotates them; classes and pictures count from 1."""
    annotations = []
    for number, entry in enumerate(drawn, start=1):
        x0, y0, x1, y1 = entry["box"]
        annotations.append(
            {
                "id": number, "image_id": number, "category_id": entry["label"] + 1, "iscrowd": 0,
                "bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0),
                "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]],
            }
        )  # fmt: skip
    return {
        "images": [{"id": n, "file_name": e["file"], "height": 48, "width": 64} for n, e in enumerate(drawn, start=1)],
        "categories": [{"id": number, "name": name} for number, name in enumerate(DRAWN_NAMES, start=1)],
        "annotations": annotations,
    }


def karpathy_captions(drawn: list[dict[str, Any]]) -> dict[str, Any]:
    """Two sentences about every picture; the first four are for training."""
    rows = []
    for index, entry in enumerate(drawn):
        sentences = [f"a {DRAWN_NAMES[entry['label']]} on the road .", "two dogs sits beside a table ."]
        split = "train" if index < 4 else "test"
        row = {"imgid": index, "filename": entry["file"], "split": split}
        rows.append(row | {"sentences": [{"raw": sentence} for sentence in sentences]})
    return {"images": rows}


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same few pictures in four formats: COCO, Karpathy, class folders and tar shards."""
    root = tmp_path_factory.mktemp("data")
    drawn = draw_pictures(root / "images")
    (root / "instances.json").write_text(json.dumps(coco_instances(drawn)))
    (root / "captions.json").write_text(json.dumps(karpathy_captions(drawn)))
    (root / "classes.txt").write_text("\n".join(DRAWN_NAMES))
    with tarfile.open(root / "shard-000.tar", "w") as shard:
        for index, entry in enumerate(drawn):
            shard.add(root / "images" / entry["file"], f"{index}.png")
            label = tarfile.TarInfo(f"{index}.cls")
            label.size = 1
            shard.addfile(label, io.BytesIO(str(entry["label"]).encode()))
    for entry in drawn:
        folder = root / "folders" / DRAWN_NAMES[entry["label"]]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / "images" / entry["file"], folder / entry["file"])
    write_tokenizer(root / "tokenizer.json")
    return root


@pytest.fixture
def train_yaml(data: Path, tiny_model_config: ModelConfig, tmp_path: Path) -> Path:
    """A training configuration of a tiny model on `data`, five tasks in four formats, 8 steps."""
    model = to_data(tiny_model_config)
    model["text"]["tokenizer"] = str(data / "tokenizer.json")
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(model))
    image = {"train": 64, "test": 64, "test_longest": 96, "scale": [0.6, 1.0]}
    coco = {"kind": "coco_instances", "annotations": "${root}/instances.json", "images": "${root}/images"}
    karpathy = {"kind": "karpathy_captions", "annotations": "${root}/captions.json", "images": "${root}/images"}
    shards = {"kind": "webdataset", "shards": "${root}/shard-*.tar", "classes": "${root}/classes.txt"}
    folders = {"kind": "image_folder", "root": "${root}/folders"}
    words = {"vocabulary_from_data": True, "max_tokens": 12}
    text = {"kind": "plain_text", "path": "${root}/captions.json"}

    def row(kind: str, dataset: Any, evaluation: Any, **task: Any) -> dict[str, Any]:
        task = {"kind": kind, "image": image} | task
        return {"task": task, "dataset": dataset, "evaluation": evaluation, "batch_size": 2, "sampling_weight": 1.0}

    train, test = {"splits": ["train"]}, {"splits": ["test"]}
    config = {
        "model": str(tmp_path / "model.yaml"),
        "schedule": {"steps": 8, "warmup_steps": 2},
        "optimizer": {"learning_rate": 1.0e-3},
        "proposal_loss": {"points": 32},
        "log_every": 4,
        "checkpoint_every": 4,
        "workers": 0,
        "streams": {
            "shards": row("classification", shards, shards),
            "folders": row("classification", folders, folders),
            "objects": row("detection", coco, coco),
            "captions": row("captioning", karpathy | train, karpathy | test, **words),
            "pairs": row("retrieval", karpathy | train, karpathy | test, max_tokens=12),
            "language": row("masked_language_modeling", text | train, text | test, **words),
        },
    }
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def _encode_video(path: Path, frames: np.ndarray, rate: int) -> None:
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


@pytest.fixture(scope="session")
def write_video() -> Callable[..., Path]:
    """Writes a video of 16 × 32 pixels whose frames get brighter by 20 each, in one colour; skips without PyAV."""

    def write(path: Path, frames: int = 10, colour: tuple[int, int, int] = (1, 1, 1), rate: int = 10) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        levels = (20 * np.arange(frames)).clip(0, 255)[:, None, None, None]
        pixels = np.broadcast_to(levels * np.array(colour), (frames, 16, 32, 3)).astype(np.uint8)
        _encode_video(path, np.ascontiguousarray(pixels), rate)
        return path

    return write
