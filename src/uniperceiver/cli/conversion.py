"""The commands ``uniperceiver convert …``: weights of other projects as checkpoint folders, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer(help="Make checkpoints of other projects' weights.", no_args_is_help=True)

Positions = Annotated[
    Literal["sine", "interpolate"],
    typer.Option(help="Places of another picture size: computed, as in the official settings, or interpolated."),
]
InputNorm = Annotated[
    Literal["auto", "shared", "per_modality"],
    typer.Option(help="One norm for pictures and texts, or one each. auto: one each where a VQA file has two."),
]
Vocabulary = Annotated[
    Path | None, typer.Option(help="CLIP's bpe_simple_vocab_16e6.txt.gz. Default: of the package open_clip_torch.")
]
Answers = Annotated[
    Path | None, typer.Option(help="Text file of the answers to questions, one a line (v1: 3,129 of VQAv2).")
]
Classes = Annotated[
    Path | None, typer.Option(help="Text file of the classes of a linear head, fc_prompt, one a line in its order.")
]


@app.callback()
def convert() -> None:
    """Make checkpoints of other projects' weights."""


@app.command("uniperceiver-v1")
def uniperceiver_v1(
    file: Annotated[Path, typer.Argument(help="A released Uni-Perceiver or Uni-Perceiver-MoE file, torch or ds.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the checkpoint.")],
    fold: Annotated[
        bool, typer.Option("--fold", help="Merge the experts for deployment: as fast as a model without.")
    ] = False,
    type_embedding: Annotated[
        Literal["auto", "merge", "keep"],
        typer.Option(help="Add the type of pictures to the patch bias. auto: only in raw DeepSpeed files."),
    ] = "auto",
    image_size: Annotated[int | None, typer.Option(min=16, help="Another picture size than the file's.")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Another longest video than the file's.")] = None,
    positions: Positions = "sine",
    input_norm: InputNorm = "auto",
    heads: Annotated[
        int | None, typer.Option(min=1, help="Attention heads. Default: one for each 64 of width.")
    ] = None,
    vocabulary: Vocabulary = None,
    answers: Answers = None,
    classes: Classes = None,
    length_penalty: Annotated[
        float,
        typer.Option(min=0, help="Of captioning: 2 officially zero-shot, 0 for models tuned for captions."),
    ] = 2.0,
) -> None:
    """Convert a file of the official Uni-Perceiver (v1) repository, without executing anything in it."""
    from uniperceiver.convert.uniperceiver_v1 import V1Options, convert_uniperceiver_v1
    from uniperceiver.convert.uniperceiver_v1_checkpoint import ACCOUNT_FILE, save_conversion
    from uniperceiver.convert.uniperceiver_v1_file import ReleaseFile
    from uniperceiver.data.datasets.vqa import read_answers
    from uniperceiver.data.datasets.yolo import read_class_names

    options = V1Options(
        type_embedding=type_embedding,
        image_size=image_size,
        frames=frames,
        positions=positions,
        input_norm=input_norm,
        heads=heads,
        fold=fold,
        classes=read_class_names(classes) if classes else (),
    )
    conversion = convert_uniperceiver_v1(ReleaseFile.read(file), options)
    save_conversion(conversion, out, vocabulary, read_answers(answers) if answers else (), length_penalty)
    for note in conversion.notes:
        typer.echo(note)
    typer.echo(f"names in the file: {conversion.report.summary()}; each of them: {out / ACCOUNT_FILE}")
    typer.echo(f"checkpoint: {out}")


@app.command("to-uniperceiver-v1")
def to_uniperceiver_v1(
    model: Annotated[Path, typer.Argument(help="A checkpoint folder.")],
    out: Annotated[Path, typer.Option("--out", help="The .pth file to write.")],
) -> None:
    """Write a v1 checkpoint as the official repository's code loads it."""
    from uniperceiver.convert.uniperceiver_v1_checkpoint import save_official

    typer.echo(f"{len(save_official(model, out))} tensors: {out}")


@app.command()
def weights(
    source: Annotated[str, typer.Argument(help="Mask DINO, BERT, RoBERTa, timm, MoCo v2 or CLIP: a file or folder.")],
    model: Annotated[str, typer.Option("--model", help="The preset or model YAML that the weights are for.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for model.safetensors and report.json.")],
) -> None:
    """Convert weights for a part of a model, for ``train --init-from``, and say which part they cover."""
    from uniperceiver.convert.initialisation import convert_weights

    report, covered = convert_weights(source, model, out)
    for part, (every, loaded) in covered.items():
        typer.echo(f"{part}: {loaded:,} of {every:,} parameters ({loaded / every:.1%})")
    typer.echo(f"{report.summary()}; each of them: {out / 'report.json'}")
