"""The commands ``uniperceiver score …``: files of predictions against files of annotations, without a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from uniperceiver.evaluation.file_scores import FileScores

app = typer.Typer(help="Score files of predictions in the official formats.", no_args_is_help=True)

Predictions = Annotated[Path, typer.Option("--predictions", help="The JSON list that the official evaluation reads.")]
Annotations = Annotated[Path, typer.Option("--annotations", help="The official annotation file.")]
Out = Annotated[Path | None, typer.Option("--json", help="Also write the scores to this file.")]


@app.callback()
def score() -> None:
    """Score files of predictions in the official formats."""


@app.command()
def detections(
    predictions: Predictions,
    annotations: Annotations,
    training: Annotated[
        Path | None,
        typer.Option("--training", help="Training annotations: also AP of rare, common and frequent classes."),
    ] = None,
    json_file: Out = None,
) -> None:
    """COCO's box and mask AP of a results file."""
    from uniperceiver.evaluation.detection_files import score_detections

    _show(score_detections(predictions, annotations, training), json_file)


@app.command()
def captions(
    predictions: Predictions,
    annotations: Annotations,
    split: Annotated[str | None, typer.Option("--split", help="Of Karpathy's file, e.g. test.")] = None,
    meteor: Annotated[
        bool, typer.Option("--meteor", help="Also METEOR; needs Java and uniperceiver\\[caption].")
    ] = False,
    spice: Annotated[bool, typer.Option("--spice", help="Also SPICE; needs Java and uniperceiver\\[caption].")] = False,
    json_file: Out = None,
) -> None:
    """BLEU, ROUGE-L and CIDEr-D of one caption for each image; COCO's or Karpathy's annotations."""
    from uniperceiver.evaluation.java_caption_scores import JavaMetric
    from uniperceiver.evaluation.text_files import score_captions

    asked: dict[JavaMetric, bool] = {"meteor": meteor, "spice": spice}
    java = [metric for metric, is_wanted in asked.items() if is_wanted]
    _show(score_captions(predictions, annotations, split, java), json_file)


@app.command()
def answers(predictions: Predictions, annotations: Annotations, json_file: Out = None) -> None:
    """Official VQA accuracy of one answer for each question."""
    from uniperceiver.evaluation.text_files import score_answers

    _show(score_answers(predictions, annotations), json_file)


def _show(scores: FileScores, json_file: Path | None) -> None:
    from rich.console import Console

    Console().print(scores.table())
    if json_file is not None:
        scores.write(json_file)
