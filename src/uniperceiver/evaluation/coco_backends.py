"""The two programs that compute COCO's average precision, behind one door."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
from types import ModuleType
from typing import Any, Literal

Backend = Literal["hotcoco", "pycocotools"]


def available_backend() -> Backend:
    """hotcoco where it is installed, else pycocotools.

    Raises:
        ModuleNotFoundError: neither is.
    """
    names: tuple[Backend, ...] = ("hotcoco", "pycocotools")
    for name in names:
        if importlib.util.find_spec(name) is not None:
            return name
    raise ModuleNotFoundError("COCO average precision needs hotcoco or pycocotools: pip install 'uniperceiver[coco]'")


def load_backend(backend: Backend) -> tuple[Any, Any]:
    """Data set constructor from a dict, and evaluator, of a backend."""
    if backend == "hotcoco":
        module: ModuleType = importlib.import_module("hotcoco")
        return module.COCO, module.COCOeval
    coco_class = importlib.import_module("pycocotools.coco").COCO

    def from_dict(dataset: dict[str, Any]) -> Any:
        with contextlib.redirect_stdout(io.StringIO()):
            coco = coco_class()
            coco.dataset = dataset
            coco.createIndex()
        return coco

    return from_dict, importlib.import_module("pycocotools.cocoeval").COCOeval


def mask_codec() -> ModuleType:
    """The available backend's run-length codec."""
    return importlib.import_module(f"{available_backend()}.mask")
