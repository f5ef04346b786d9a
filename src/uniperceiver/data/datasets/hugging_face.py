"""Data sets that Hugging Face ``datasets`` saved to disk, read with pyarrow: no code of theirs runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from uniperceiver.config import HuggingFaceConfig
from uniperceiver.data.datasets.annotation_files import DatasetError, is_in_fold, read_json_object
from uniperceiver.data.images import decode_image, read_image
from uniperceiver.data.records import CaptionedImage, LabelledImage, LabelledText, QuestionedImage, Record, TextRecord


class HuggingFace:
    """Records of one split; Arrow files are mapped into memory, so that only what is asked for is read."""

    names: tuple[str, ...]
    """Class names of the views ``labels`` and ``labelled_texts``; empty in others."""

    def __init__(self, config: HuggingFaceConfig) -> None:
        """Open the Arrow files.

        Raises:
            DatasetError: no such data set or split, no such column, a class column without names, an index of rows.
            ImportError: without the extra ``arrow``.
        """
        self.config = config
        self.folder = saved_folder(Path(config.path), config.split)
        self.features = saved_features(self.folder)
        self.names = ()
        for column in [*_columns_beside(config), config.target]:
            if column not in self.features:
                raise DatasetError(f"{self.folder} has no column {column!r}: it has {', '.join(self.features)}")
        if config.view in {"labels", "labelled_texts"}:
            self.names = class_names(self.features, config.target, self.folder)
        self._table: Any = None
        rows = self._opened().num_rows
        self._chosen = np.array([row for row in range(rows) if is_in_fold(row, config.fold)], dtype=np.int64)
        if not len(self._chosen):
            raise DatasetError(f"{self.folder} holds no record")

    def _opened(self) -> Any:
        if self._table is None:
            self._table = _read_table(self.folder)
        return self._table

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_table": None}  # a loading process maps the files itself

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < len(self._chosen):
            raise IndexError(f"record {index} of {len(self._chosen)}")
        number = int(self._chosen[index])
        target = self._value(self.config.target, number)
        where = f"{self.folder}, row {number}"
        if self.config.view == "texts":
            return TextRecord(_texts(target, where)[0])
        if self.config.view == "labelled_texts":
            return self._labelled_text(number, self._label(target, where), where)
        image, image_id = self._picture(number, where), str(number)
        if self.config.view == "captions":
            return CaptionedImage(image, image_id, _texts(target, where))
        if self.config.view == "questions":
            question = str(self._value(self.config.question, number))
            return QuestionedImage(image, image_id, question, _texts(target, where))
        return LabelledImage(image, image_id, self._label(target, where))

    def _labelled_text(self, number: int, label: int, where: str) -> LabelledText:
        config = self.config
        (text,) = _texts(self._value(config.text, number), where)
        second = None if config.second is None else _texts(self._value(config.second, number), where)[0]
        return LabelledText(text, second, str(number), label)

    def _label(self, target: Any, where: str) -> int:
        if not isinstance(target, int) or not 0 <= target < len(self.names):
            raise DatasetError(f"{where} has the class {target}, but there are {len(self.names)} names")
        return target

    def texts(self) -> Iterator[str]:
        """Every text or caption, without decoding a picture."""
        for texts in self.answers():
            yield from texts

    def answers(self) -> Iterator[tuple[str, ...]]:
        """The texts in the target column, record by record, without decoding a picture."""
        for number in self._chosen.tolist():
            yield _texts(self._value(self.config.target, number), f"{self.folder}, row {number}")

    def _value(self, column: str, number: int) -> Any:
        return self._opened().column(column)[number].as_py()

    def _picture(self, number: int, where: str) -> Any:
        stored = self._value(self.config.image, number)
        if isinstance(stored, dict) and stored.get("bytes"):
            return decode_image(stored["bytes"], where)
        if isinstance(stored, dict) and stored.get("path"):
            return read_image(stored["path"])
        raise DatasetError(f"{where} has no picture in {self.config.image!r}: expected the datasets feature Image")

    def __repr__(self) -> str:
        return f"hugging_face {self.folder} ({len(self)} records, {self.config.view})"


def _columns_beside(config: HuggingFaceConfig) -> list[str]:
    """The columns that a view reads besides its target."""
    match config.view:
        case "labels" | "captions":
            return [config.image]
        case "questions":
            return [config.image, config.question]
        case "labelled_texts":
            return [config.text, *([] if config.second is None else [config.second])]
        case "texts":
            return []


def saved_folder(path: Path, split: str | None) -> Path:
    """The folder of one split of what ``save_to_disk`` wrote.

    Raises:
        DatasetError: no such data set, several splits and none named, a split that is not there.
    """
    if (path / "dataset_dict.json").is_file():
        splits = read_json_object(path / "dataset_dict.json", "splits")["splits"]
        if split not in splits:
            raise DatasetError(f"{path} has the splits {', '.join(map(str, splits))}: `split` should be one of them")
        return path / str(split)
    if not (path / "dataset_info.json").is_file() or not (path / "state.json").is_file():
        raise DatasetError(f"{path} should be a folder that datasets' save_to_disk wrote (state.json, *.arrow)")
    if split is not None:
        raise DatasetError(f"{path} is one data set without splits: remove `split`, got {split!r}")
    return path


def saved_features(folder: Path) -> dict[str, Any]:
    """Column → feature, as ``dataset_info.json`` has it.

    Raises:
        DatasetError: it has none.
    """
    features = read_json_object(folder / "dataset_info.json").get("features")
    if not isinstance(features, dict) or not features:
        raise DatasetError(f"{folder / 'dataset_info.json'} names no features")
    return features


def class_names(features: dict[str, Any], column: str, folder: Path) -> tuple[str, ...]:
    """The names of a ``ClassLabel`` column.

    Raises:
        DatasetError: it is no such column.
    """
    feature = features[column]
    names = feature.get("names") if isinstance(feature, dict) else None
    if not isinstance(names, list) or not names:
        raise DatasetError(
            f"{folder}: the column {column!r} is no ClassLabel, so classes have no names; cast it to one"
        )
    return tuple(map(str, names))


def _arrow() -> ModuleType:
    try:
        import pyarrow
    except ImportError as error:
        raise ImportError("saved Hugging Face data sets need pyarrow: pip install 'uniperceiver[arrow]'") from error
    return pyarrow


def _read_table(folder: Path) -> Any:
    arrow = _arrow()
    state = read_json_object(folder / "state.json", "_data_files")
    if state.get("_indices_files"):
        raise DatasetError(f"{folder} was saved with an index of rows: call flatten_indices() before save_to_disk")
    tables = []
    for entry in state["_data_files"]:
        path = folder / Path(str(entry.get("filename", ""))).name
        try:
            with arrow.memory_map(str(path)) as file:
                tables.append(arrow.ipc.open_stream(file).read_all())
        except (OSError, arrow.ArrowInvalid) as error:
            raise DatasetError(f"cannot read the Arrow file {path}: {error}; save the data set again") from None
    if not tables:
        raise DatasetError(f"{folder / 'state.json'} names no Arrow file")
    return arrow.concat_tables(tables)


def _texts(given: Any, where: str) -> tuple[str, ...]:
    texts = tuple(str(text).strip() for text in (given if isinstance(given, list) else [given]) if text is not None)
    if not texts or not all(texts):
        raise DatasetError(f"{where} has no text, or an empty one: got {json.dumps(given)[:60]}")
    return texts
