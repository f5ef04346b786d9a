"""The README's picture: what a model of the demo says about scenes it never saw.

    python benchmarks/demo_picture.py runs/demo/checkpoint docs/images/demo.png

The scenes are the first ones of the held-out part that hold four objects or more, not chosen by what comes out. Boxes
and masks have a score of 30 % or more, unless another is asked for.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from textwrap import wrap

from PIL import Image, ImageDraw, ImageFont

from uniperceiver import Predictor
from uniperceiver.checkpoint import load_checkpoint
from uniperceiver.config import ScenesConfig
from uniperceiver.data.scenes.scene_source import SceneSource
from uniperceiver.render import draw_detection

SIDE = 420
"""Pixels a side of a scene; the model sees it as small as it was trained."""
PANELS = 3
FEWEST_OBJECTS = 4
LINE, MARGIN, CHARACTERS = 20, 10, 52
COLOURS = 128
"""Of the palette: keeps the file below 300 kB."""


def scenes(config: ScenesConfig) -> Iterator[tuple[SceneSource, int]]:
    """The first scenes with enough objects."""
    source = SceneSource(replace(config, size=SIDE))
    rich = (index for index in range(len(source)) if len(source.layout(index).objects) >= FEWEST_OBJECTS)
    return ((source, index) for index in islice(rich, PANELS))


def lines_about(predictor: Predictor, picture: Image.Image, source: SceneSource, index: int) -> list[str]:
    """The caption, and the answer to each question asked of the scene."""
    lines = [f"“{predictor.caption(picture)[0].text}”"]
    for question in source.questions(index):
        answer = predictor.answer(picture, question.text)[0].answers[0]
        verdict = "" if answer == question.answer else f"  (is: {question.answer})"
        lines.append(f"{question.text}  {answer}{verdict}")
    return [part for line in lines for part in wrap(line, CHARACTERS)]


def montage(predictor: Predictor, config: ScenesConfig, score: float) -> Image.Image:
    """Scenes side by side, with what is said about them below."""
    font = ImageFont.load_default(size=15)
    panels = []
    for source, index in scenes(config):
        picture = Image.fromarray(source.paint(source.layout(index)).image)
        found = predictor.detect(picture, threshold=score)[0]
        panels.append((draw_detection(picture, found), lines_about(predictor, picture, source, index)))
    height = SIDE + 2 * MARGIN + LINE * max(len(lines) for _, lines in panels)
    canvas = Image.new("RGB", (len(panels) * (SIDE + MARGIN) - MARGIN, height), "white")
    draw = ImageDraw.Draw(canvas)
    for place, (picture, lines) in enumerate(panels):
        x = place * (SIDE + MARGIN)
        canvas.paste(picture, (x, 0))
        for number, line in enumerate(lines):
            draw.text((x + 2, SIDE + MARGIN + number * LINE), line, fill="black", font=font)
    return canvas.quantize(COLOURS)


def held_out_scenes(checkpoint: Path) -> ScenesConfig:
    """The questioned scenes that the checkpoint was to be evaluated on."""
    training = load_checkpoint(checkpoint).training
    if training is None or not isinstance(config := training.streams["questions"].evaluation, ScenesConfig):
        raise SystemExit(f"{checkpoint} is not a model of the demo")
    return config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="of the demo")
    parser.add_argument("out", type=Path, help="the PNG to write")
    parser.add_argument("--score", type=float, default=0.3, help="least score of a drawn object")
    given = parser.parse_args()
    predictor = Predictor.from_pretrained(given.checkpoint)
    config = held_out_scenes(given.checkpoint)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    montage(predictor, config, given.score).save(given.out, optimize=True)
    print(f"{given.out}: {given.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
