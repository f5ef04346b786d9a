"""Exported files say what PyTorch says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from uniperceiver import Predictor
from uniperceiver.checkpoint import Checkpoint
from uniperceiver.config import ImageSizeConfig, ModelConfig, TaskConfig
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.export.onnx_files import Exported, export_onnx, parse_size, parse_verbs
from uniperceiver.export.verification import verify
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.stored_tasks import StoredTask

SIZE = ImageSizeConfig(train=64, test=64, test_longest=96)


@pytest.fixture
def predictor(tiny_model_config: ModelConfig, tokenizer: Tokenizer) -> Predictor:
    tasks = {
        "names": StoredTask(TaskConfig("classification", SIZE), texts=("cat", "dog", "tree")),
        "objects": StoredTask(TaskConfig("detection", SIZE), texts=("red car", "blue ball")),
        "pairs": StoredTask(TaskConfig("retrieval", SIZE, max_tokens=12)),
    }
    torch.manual_seed(0)
    return Predictor(Checkpoint(UniPerceiver(tiny_model_config), tokenizer, tasks))


def run(exported: Exported, *inputs: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(str(exported.path), providers=["CPUExecutionProvider"])
    found = session.run(None, dict(zip(exported.usage.inputs, inputs, strict=True)))
    return [np.asarray(output) for output in found]


def test_texts_of_any_number_and_length(predictor: Predictor, tmp_path: Path) -> None:
    (exported,) = export_onnx(predictor, tmp_path, ["embed_text"])
    assert verify(exported).is_equal
    texts = ["a red car", "two dogs run on the grass"]
    tokenizer = Tokenizer.from_file(tmp_path / "tokenizer.json")
    for text in texts:
        ids = np.array([tokenizer.encode(text)])
        (embedding,) = run(exported, ids, np.zeros(ids.shape, dtype=bool))
        np.testing.assert_allclose(embedding, predictor.embed_text([text]), atol=1e-5)
    usage = json.loads((tmp_path / "embed_text.json").read_text())
    assert usage["shapes"]["ids"] == ["batch", "length"]
    assert usage["max_tokens"] == 12


def test_detection_with_fixed_labels(predictor: Predictor, tmp_path: Path) -> None:
    (exported,) = export_onnx(predictor, tmp_path, ["detect"], labels=["dog", "red car", "tree"], size=(64, 96))
    assert not (tmp_path / "tokenizer.json").exists()  # it reads no text
    comparison = verify(exported)
    assert comparison.is_equal, comparison.lines()
    usage = json.loads((tmp_path / "detect.json").read_text())
    assert usage["labels"] == ["dog", "red car", "tree"]
    assert usage["shapes"]["pixels"] == ["batch", 3, 64, 96]
    assert usage["shapes"]["scores"] == ["batch", 8, 3]

    # A picture that is of the fixed size already is not resized by the Predictor either.
    pixels = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    (expected,) = predictor.detect(Image.fromarray(pixels), usage["labels"], threshold=0)
    normalised = (pixels / 255 - usage["image_mean"]) / usage["image_std"]
    boxes, scores, masks = run(exported, normalised.transpose(2, 0, 1)[None].astype(np.float32))
    regions, labels = np.unravel_index(np.argsort(-scores[0], axis=None), scores[0].shape)
    assert [usage["labels"][label] for label in labels] == list(expected.names)
    np.testing.assert_allclose(scores[0, regions, labels], expected.scores, atol=1e-4)
    np.testing.assert_allclose(boxes[0, regions] * [96, 64, 96, 64], expected.boxes, atol=0.05)
    assert masks.shape == (1, 8, 16, 24)


def test_images_and_classes(predictor: Predictor, tmp_path: Path) -> None:
    for exported in export_onnx(predictor, tmp_path, ["embed_image", "classify"]):
        assert verify(exported).is_equal
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_changed_file_is_found_out(predictor: Predictor, tmp_path: Path) -> None:
    (exported,) = export_onnx(predictor, tmp_path, ["embed_text"])
    with torch.no_grad():
        for parameter in exported.part.parameters():
            parameter.add_(0.1)
    comparison = verify(exported)
    assert not comparison.is_equal
    assert "DIFFERENT" in comparison.lines()[0]


def test_what_cannot_be_exported(predictor: Predictor, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected some of embed_image"):
        parse_verbs(["caption"])
    assert parse_verbs(None) is None
    assert parse_size("320x416") == (320, 416)
    for size in ("320", "0x32", "100x100", "-32x32"):
        with pytest.raises(ValueError, match="multiples of 32"):
            parse_size(size)
    checkpoint = Checkpoint(predictor.model, predictor.checkpoint.tokenizer, {})
    with pytest.raises(ValueError, match="nothing that can be exported"):
        list(export_onnx(Predictor(checkpoint), tmp_path))
