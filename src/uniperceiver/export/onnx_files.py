"""Writing `uniperceiver.export.parts` as ONNX, each with a JSON beside it that says how to use it."""

from __future__ import annotations

import json
import logging
import re
import shutil
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import onnx
import onnxscript  # noqa: F401  # what torch's exporter writes with: missing is said at once
import torch
from torch import Tensor, nn

from uniperceiver.batches import SIZE_DIVISOR, padded_length
from uniperceiver.config import TaskKind
from uniperceiver.export.parts import Classifier, Detector, ImageSide, TextSide
from uniperceiver.predictor import Predictor
from uniperceiver.predictor.prepared_tasks import PreparedTasks
from uniperceiver.tasks.classification import ClassificationTask
from uniperceiver.tasks.detection import DetectionTask
from uniperceiver.tasks.retrieval import RetrievalTask

ExportedVerb = Literal["embed_image", "embed_text", "classify", "detect"]
VERBS: tuple[ExportedVerb, ...] = get_args(ExportedVerb)
OPSET = 20
"""The first with a GELU; 16 is the first with the grid sampling of deformable attention."""
KINDS: dict[ExportedVerb, TaskKind] = {
    "embed_image": "retrieval",
    "embed_text": "retrieval",
    "classify": "classification",
    "detect": "detection",
}
LARGEST_BATCH = 4096


@dataclass(frozen=True)
class Usage:
    """What a program needs to know to feed a file and to read its answers."""

    verb: ExportedVerb
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: dict[str, list[int | str]]
    """Of inputs and outputs; a name stands for any number."""
    height: int | None
    """Of the picture: fixed. Bring it to this size (bicubic), colours RGB, divided by 255."""
    width: int | None
    image_mean: tuple[float, ...]
    """Then subtract, and divide by ``image_std``."""
    image_std: tuple[float, ...]
    labels: tuple[str, ...]
    """Fixed, in the order of the last dimension of probabilities and scores."""
    max_tokens: int | None
    """Of a text, start and end included; the tokenizer lies beside the file."""
    padding_id: int | None
    model: str
    """`Predictor.fingerprint`."""
    opset: int = OPSET


@dataclass(frozen=True)
class Exported:
    """A file, and what it was made from."""

    path: Path
    usage: Usage
    part: nn.Module
    examples: tuple[Tensor, ...]
    """Inputs of a batch of two."""


def parse_verbs(given: Sequence[str] | None) -> tuple[ExportedVerb, ...] | None:
    """Verbs by name; None: not said. ValueError for an unknown one."""
    unknown = [name for name in given or () if name not in VERBS]
    if unknown:
        raise ValueError(f"--verb {unknown[0]} cannot be exported: expected some of {', '.join(VERBS)}")
    return tuple(verb for verb in VERBS if verb in given) if given else None


def parse_size(text: str) -> tuple[int, int]:
    """Height and width of ``"320x416"``; ValueError for anything else than multiples of 32."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    size = (int(match[1]), int(match[2])) if match else (0, 0)
    if not all(size) or any(side % SIZE_DIVISOR for side in size):
        raise ValueError(f"--size wants HEIGHTxWIDTH, both multiples of {SIZE_DIVISOR}, got {text!r}")
    return size


def export_onnx(
    predictor: Predictor,
    out: Path,
    verbs: Sequence[ExportedVerb] | None = None,
    labels: Sequence[str] | None = None,
    size: tuple[int, int] | None = None,
) -> Iterator[Exported]:
    """Write one file for each verb, by default for all that the model was trained for; its tokenizer beside texts'.

    Args:
        predictor: the model, in float32 on a processor.
        out: the folder; a file of the same verb is replaced when the new one is complete.
        verbs: which.
        labels: of ``classify`` and ``detect``; None: those it was trained with.
        size: (H, W) of the pictures, multiples of 32; None: that of the task's evaluation, a square.

    Raises:
        ValueError: the model was not trained for a verb.
    """
    tasks = PreparedTasks(predictor.checkpoint, share_encoding=False)
    trained = {task.config.kind for task in predictor.checkpoint.tasks.values()}
    chosen = verbs or [verb for verb in VERBS if KINDS[verb] in trained]
    if not chosen:
        raise ValueError(f"this checkpoint was trained for nothing that can be exported ({', '.join(VERBS)})")
    for verb in chosen:
        tasks.find(KINDS[verb], None)  # ValueError before the first file is written
    out.mkdir(parents=True, exist_ok=True)
    for verb in chosen:
        exported = _export(predictor, tasks, verb, out, labels, size)
        if verb == "embed_text":
            predictor.checkpoint.tokenizer.save(out / "tokenizer.json")
        yield exported


def _export(
    predictor: Predictor,
    tasks: PreparedTasks,
    verb: ExportedVerb,
    out: Path,
    labels: Sequence[str] | None,
    size: tuple[int, int] | None,
) -> Exported:
    model = predictor.model
    prepared = tasks.find(KINDS[verb], labels if verb in ("classify", "detect") else None).task
    candidates, config = prepared.candidates, prepared.setting.config
    part: nn.Module
    with torch.no_grad():
        match verb:
            case "embed_image":
                part = ImageSide(model, RetrievalTask.attributes)
            case "embed_text":
                part = TextSide(model, RetrievalTask.attributes)
            case "classify":
                part = Classifier(model, ClassificationTask.attributes, candidates)
            case "detect":
                part = Detector(model, DetectionTask.attributes, candidates)
    is_text = verb == "embed_text"
    side = padded_length(config.image.test)
    height, width = size or (side, side)
    longest = min(config.max_tokens, model.config.text.positions)
    examples = _texts(longest, predictor) if is_text else (torch.zeros(2, 3, height, width),)
    inputs = ("ids", "is_padding") if is_text else ("pixels",)
    outputs = {"classify": ("probabilities",), "detect": ("boxes", "scores", "mask_logits")}.get(verb, ("vectors",))
    path = out / f"{verb}.onnx"
    _write(part.eval(), examples, inputs, outputs, path)
    usage = Usage(
        verb=verb,
        inputs=inputs,
        outputs=outputs,
        shapes=_shapes(path),
        height=None if is_text else height,
        width=None if is_text else width,
        image_mean=() if is_text else tuple(model.config.pixels.image_mean),
        image_std=() if is_text else tuple(model.config.pixels.image_std),
        labels=candidates.texts if verb in ("classify", "detect") else (),
        max_tokens=longest if is_text else None,
        padding_id=predictor.checkpoint.tokenizer.padding_id if is_text else None,
        model=predictor.fingerprint,
    )
    path.with_suffix(".json").write_text(json.dumps(asdict(usage), indent=1, ensure_ascii=False), encoding="utf-8")
    return Exported(path, usage, part, examples)


def _texts(longest: int, predictor: Predictor) -> tuple[Tensor, Tensor]:
    """Two texts, one with padding."""
    tokenizer = predictor.checkpoint.tokenizer
    ids = torch.full((2, min(7, longest)), tokenizer.end_id)
    is_padding = torch.zeros_like(ids, dtype=torch.bool)
    is_padding[1, -1] = True
    return ids, is_padding


def _write(
    part: nn.Module, examples: tuple[Tensor, ...], inputs: Sequence[str], outputs: Sequence[str], path: Path
) -> None:
    """The file, whole or not at all; weights above the 2 GiB that ONNX allows inside lie beside it."""
    batch = torch.export.Dim("batch", min=1, max=LARGEST_BATCH)
    axes: dict[int, Any] = {0: batch}
    if len(inputs) == 2:
        axes[1] = torch.export.Dim("length")
    fresh = path.with_name(f".{path.stem}.writing")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            part,
            examples,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=tuple(dict(axes) for _ in inputs),
            verbose=False,
        )
    assert program is not None
    size = sum(parameter.nbytes for parameter in (*part.parameters(), *part.buffers()))
    program.save(str(fresh / path.name), external_data=size > 2**30)
    for file in fresh.iterdir():
        file.replace(path.with_name(file.name))
    fresh.rmdir()


def _shapes(path: Path) -> dict[str, list[int | str]]:
    graph = onnx.load(str(path), load_external_data=False).graph
    return {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
