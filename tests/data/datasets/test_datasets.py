from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import TypeAdapter

from uniperceiver.config import DatasetConfig, ImageFolderConfig
from uniperceiver.data.datasets import DATASETS, open_dataset

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "data.md"
EXAMPLES = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", DOCUMENTATION.read_text(), re.DOTALL)]


def test_every_kind_of_the_configuration_has_a_class() -> None:
    configs = get_args(get_args(DatasetConfig)[0])
    assert {config.__dataclass_fields__["kind"].default for config in configs} == set(DATASETS)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_documented_examples_are_configurations(example: dict[str, Any]) -> None:
    assert TypeAdapter(DatasetConfig).validate_python(example).kind == example["kind"]


def test_every_kind_is_documented() -> None:
    assert {example["kind"] for example in EXAMPLES} == set(DATASETS)


def test_open_dataset(image_folder: Path) -> None:
    assert len(open_dataset(ImageFolderConfig(str(image_folder)))) == 10
