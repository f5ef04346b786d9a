"""Uni-Perceiver v2: one model, one set of weights, every pillar task of vision and language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Predictor", "UniPerceiver", "__version__", "load_config"]

if TYPE_CHECKING:
    from uniperceiver.config import load_config
    from uniperceiver.model.uni_perceiver import UniPerceiver
    from uniperceiver.predictor import Predictor

_HOMES = {
    "Predictor": "uniperceiver.predictor",
    "UniPerceiver": "uniperceiver.model.uni_perceiver",
    "load_config": "uniperceiver.config",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: torch takes seconds, and ``uniperceiver --help`` needs none of it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
