"""Configurations from and to plain data and YAML."""

from __future__ import annotations

import re
from dataclasses import field
from functools import reduce
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any, Literal, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from uniperceiver.config.constraints import STRICT
from uniperceiver.config.model import ModelConfig
from uniperceiver.config.training import TrainConfig

T = TypeVar("T")
_BEGIN, _END = "\N{WHITE SQUARE}", "\N{BLACK SQUARE}"
"""Around the name of a place while YAML is read."""


class ConfigError(ValueError):
    """A configuration that cannot be used; the message says which key, what was given and what was expected."""


class _Alone(str):
    """A place that stands alone, without quotes."""


class _Loader(yaml.SafeLoader):
    """Reads places that stand alone, without quotes, as `_Alone`."""


def _alone(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> _Alone:
    return _Alone(loader.construct_scalar(node))


_Loader.add_implicit_resolver("!place", re.compile(f"^{_BEGIN}\\w+{_END}$"), [_BEGIN])
_Loader.add_constructor("!place", _alone)


def shipped(folder: Literal["model", "train"]) -> list[str]:
    """Names of the configurations that come with the package."""
    files = resources.files("uniperceiver").joinpath("configs", folder).iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


def is_checkpoint_folder(model: str) -> bool:
    """Whether the ``model`` of a training is a folder with weights.

    A shipped name is not, whatever happens to lie in the current folder under it; ``./nano`` is.
    """
    return model not in shipped("model") and Path(model).is_dir()


def read_yaml(
    name_or_path: str,
    folder: Literal["model", "train"],
    values: dict[str, str] | None = None,
    defaults: dict[str, str] | None = None,
) -> Any:
    """The content of a shipped configuration or of a YAML file, ``${name}`` replaced from ``values`` or ``defaults``.

    A key ``extends: {config: OTHER, values: {name: value}}`` starts from another configuration: mappings are merged key
    by key, everything else replaces what is there.

    Raises:
        ConfigError: no such configuration, one that is not YAML, a ``${name}`` without a value, a value without a
            ``${name}``, or an ``extends`` of another form or of itself.
    """
    content = _filled(name_or_path, folder, values or {}, defaults or {})
    names, changes = [name_or_path], []
    while isinstance(content, dict) and "extends" in content:
        start = from_data(_Extends, content.pop("extends"), f"extends of {names[-1]}")
        if start.config in names:
            raise ConfigError(f"{names[-1]} extends {start.config}, which is made from it: name another configuration")
        names.append(start.config)
        changes.append(content)
        content = _filled(start.config, folder, start.values, {})
    return reduce(_merged, reversed(changes), content)


def _filled(
    name_or_path: str, folder: Literal["model", "train"], values: dict[str, str], defaults: dict[str, str]
) -> Any:
    """The content of one configuration, without what it extends."""
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"}:
        if not path.is_file():
            raise ConfigError(f"no configuration file {path}")
        text = path.read_text(encoding="utf-8")
    elif name_or_path in shipped(folder):
        text = resources.files("uniperceiver").joinpath("configs", folder, f"{name_or_path}.yaml").read_text("utf-8")
    else:
        raise ConfigError(
            f"no {folder} configuration {name_or_path!r}: give a .yaml file or one of {', '.join(shipped(folder))}"
        )
    template = Template(text)
    places, filled = set(template.get_identifiers()), defaults | values
    missing, unknown = sorted(places - filled.keys()), sorted(set(values) - places)
    if missing:
        options = " ".join(f"--{'set' if name == 'model' else 'path'} {name}=…" for name in missing)
        raise ConfigError(
            f"{name_or_path} needs {', '.join(missing)}: give {options} (--set NAME=… for what is no file or folder)"
        )
    if unknown:
        has = f"it has {', '.join(sorted(places))}" if places else "it has none"
        raise ConfigError(
            f"{name_or_path} has no place ${{{unknown[0]}}}: {has}. Other settings are changed in a YAML of your own "
            f"that begins with extends: {{config: {name_or_path}}} (docs/training.md)"
        )
    try:
        marked = template.substitute({name: f"{_BEGIN}{name}{_END}" for name in places})
        return _with_values(yaml.load(marked, _Loader), filled)
    except yaml.YAMLError as error:
        raise ConfigError(f"{name_or_path} is not YAML: {error}") from None
    except ValueError as error:
        raise ConfigError(f"{name_or_path}: {error}: a $ that begins no ${{name}} is written $$") from None


def _with_values(content: Any, values: dict[str, str]) -> Any:
    """``content`` with the values of its places, put in after YAML is read: a ``#`` or quote in them is none of YAML's.

    Only a place that stands alone, without quotes, may become a number, say.
    """
    match content:
        case dict():
            return {_text(key, values): _with_values(value, values) for key, value in content.items()}
        case list():
            return [_with_values(entry, values) for entry in content]
        case _Alone():
            return _read_alone(_text(content, values))
    return _text(content, values)


def _text(content: Any, values: dict[str, str]) -> Any:
    if not isinstance(content, str):
        return content
    return re.sub(f"{_BEGIN}(\\w+){_END}", lambda place: values[place[1]], content)


def _read_alone(value: str) -> Any:
    """A number, a truth value, nothing or a list in brackets, where YAML reads one; else the text as it is."""
    try:
        read = yaml.safe_load(value)
    except yaml.YAMLError:
        return value
    is_text = isinstance(read, str | dict) or (isinstance(read, list) and not value.startswith("["))
    return value if is_text else read


@dataclass(frozen=True, config=STRICT)
class _Extends:
    """What a configuration starts from."""

    config: str
    values: dict[str, str] = field(default_factory=dict)
    """Of its ``${name}`` places."""


def _merged(old: Any, new: Any) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return old | {key: _merged(old[key], value) if key in old else value for key, value in new.items()}


def from_data(kind: type[T], data: Any, source: str) -> T:
    """Plain YAML data as a configuration of type ``kind``; ``source`` is named in errors.

    Raises:
        ConfigError: with one line per wrong key.
    """
    try:
        return TypeAdapter(kind).validate_python(data)
    except ValidationError as error:
        lines = [f"  {_place(e['loc'])}: {e['msg']}, got {e['input']!r:.80}" for e in error.errors()]
        raise ConfigError(f"{source} is not a valid {kind.__name__}:\n" + "\n".join(lines)) from None


def _place(keys: tuple[int | str, ...]) -> str:
    """Keys joined by dots, without the ``kind=…`` that says which of several classes was chosen."""
    return ".".join(key for key in map(str, keys) if not key.startswith("kind=")) or "(top)"


def to_data(config: Any) -> Any:
    """A configuration as plain data for YAML or JSON."""
    return TypeAdapter(type(config)).dump_python(config, mode="json")


def load_config(name_or_path: str) -> ModelConfig:
    """A model configuration: the name of a preset, or the path of a YAML file."""
    return from_data(ModelConfig, read_yaml(name_or_path, "model"), name_or_path)


def load_train_config(
    name_or_path: str, values: dict[str, str] | None = None, defaults: dict[str, str] | None = None
) -> TrainConfig:
    """A training configuration; ``values`` fills its ``${name}`` places (paths of data, usually).

    ``defaults`` fills those that ``values`` leaves open, and may have others besides.
    """
    return from_data(TrainConfig, read_yaml(name_or_path, "train", values, defaults), name_or_path)
