"""A converted Uni-Perceiver v1 as a checkpoint folder, and such a folder as an official file again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file

from uniperceiver.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from uniperceiver.config import ImageSizeConfig, PatchEncoderConfig, TaskConfig
from uniperceiver.convert.uniperceiver_v1 import Conversion, to_uniperceiver_v1
from uniperceiver.convert.uniperceiver_v1_keys import why_unused
from uniperceiver.data.clip_tokenizer import clip_tokenizer, read_merges
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.stored_tasks import StoredTask
from uniperceiver.tensor_files import save_tensors

UNUSED_FILE = "unused.safetensors"
"""Official tensors beside the model that only the way back needs."""
ACCOUNT_FILE = "conversion.txt"
"""What the converted file was, and a line for each of its names."""
ZERO_SHOT_LENGTH_PENALTY = 2.0
"""Of the official zero-shot configurations of captioning; those of fine-tuned and prompt-tuned models have 0."""


def save_conversion(
    conversion: Conversion,
    out: Path,
    vocabulary: Path | None = None,
    answers: tuple[str, ...] = (),
    length_penalty: float = ZERO_SHOT_LENGTH_PENALTY,
) -> None:
    """Write a checkpoint folder with v1's tokenizer and tasks, `ACCOUNT_FILE` and, if there is any, `UNUSED_FILE`.

    ``vocabulary`` is CLIP's file of merges (None: from the package open_clip_torch); ``answers`` are the candidates of
    visual question answering, which without any are given when asked; ``length_penalty`` is captioning's.

    Raises:
        FileNotFoundError: no vocabulary.
        ValueError: the model's vocabulary is of another size than CLIP's with v1's five words.
    """
    tokenizer = Tokenizer(clip_tokenizer(read_merges(vocabulary)))
    words = conversion.model.config.text.vocabulary_size
    if words != tokenizer.vocabulary_size:
        raise ValueError(f"v1's tokenizer has {tokenizer.vocabulary_size} words, but the file's table {words} rows")
    save_checkpoint(Checkpoint(conversion.model, tokenizer, _tasks(conversion.model, answers, length_penalty)), out)
    if conversion.unused:
        save_tensors(conversion.unused, out / UNUSED_FILE)
    lines = [*conversion.notes, "", *explained(conversion)]
    (out / ACCOUNT_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def explained(conversion: Conversion) -> list[str]:
    """One line for each name in the file: what became of it; and one for each tensor that is not from the file."""
    report, names = conversion.report, conversion.names
    used = [f"{theirs} -> {ours}" for theirs, ours in report.matched]
    unused = [
        f"{name} not used: {why_unused(names[name]) if name in names else 'it repeats what is under video_embed'}"
        for name in report.dropped
    ]
    return [*used, *unused, *(f"{name} made anew" for name in report.made)]


def save_official(folder: Path, out: Path) -> list[str]:
    """Write the model of a checkpoint folder as v1's official code loads it; the names of the tensors written.

    ValueError for a model of another family, or a folded one.
    """
    unused = load_file(folder / UNUSED_FILE) if (folder / UNUSED_FILE).is_file() else {}
    tensors = to_uniperceiver_v1(load_checkpoint(folder).model, unused)
    out.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"model": tensors}, out)
    return sorted(tensors)


def _tasks(model: UniPerceiver, answers: tuple[str, ...], length_penalty: float) -> dict[str, StoredTask]:
    """v1's tasks with its settings of evaluation (sections 4 and 5); a linear head's classes, if there is one."""
    assert isinstance(model.config.image, PatchEncoderConfig)
    size = model.config.image.image_size
    image = ImageSizeConfig(train=size, test=size, squeeze=False)
    classes = tuple(name for head in model.config.heads for name in head.classes)
    words = tuple(range(model.config.text.vocabulary_size))
    caption = TaskConfig(kind="captioning", image=image, max_tokens=21, beams=2, length_penalty=length_penalty)
    questions = TaskConfig(kind="visual_question_answering", image=image, max_tokens=23)
    if answers:
        questions = replace(questions, answers=len(answers))
    return {
        "classification": StoredTask(TaskConfig(kind="classification", image=image), classes),
        "captioning": StoredTask(caption, token_ids=words),
        "retrieval": StoredTask(TaskConfig(kind="retrieval", image=image, max_tokens=30)),
        "masked_language_modeling": StoredTask(
            TaskConfig(kind="masked_language_modeling", max_tokens=128), token_ids=words
        ),
        "visual_question_answering": StoredTask(questions, answers),
    }
