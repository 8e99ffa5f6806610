"""Settings from three places into one frozen record: the command line over the environment over a TOML file."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from deployer.kit.files import TooOpen, read_ours

T = TypeVar("T", bound=Struct)
_PASSWORD = re.compile(r"(://[^/@:\"']*):[^\s\"']*@")
"""Up to the last @: a password may have anything in it that should have been encoded."""


class SettingsError(Exception):
    """A setting is wrong: which, where, and why."""


class Settings(Struct, Generic[T], frozen=True):
    """The record, and for each of its fields where the value came from."""

    values: T
    sources: Mapping[str, str]

    def describe(self) -> str:
        """One line for each setting: name, value, source."""
        fields = msgspec.structs.asdict(self.values)
        return "\n".join(f"{name} = {_hidden(value)!r}  # {self.sources[name]}" for name, value in fields.items())


def _hidden(value: Any) -> Any:
    """A URL is shown without its password."""
    return _PASSWORD.sub(r"\1:…@", value) if isinstance(value, str) else value


def load(
    kind: type[T], *, file: Path | None, environment: Mapping[str, str], prefix: str, options: Mapping[str, Any]
) -> Settings[T]:
    """Read all three; `prefix` is in front of the environment's names. SettingsError for what does not fit."""
    names = kind.__struct_fields__
    layers = {
        "default": {},
        f"file {file}": _from_file(file),
        "environment": {n: environment[v] for n in names if (v := prefix + n.upper()) in environment},
        "command line": {n: v for n, v in options.items() if v is not None},
    }
    merged: dict[str, Any] = {}
    sources = dict.fromkeys(names, "default")
    for source, layer in layers.items():
        _require_known(layer, names, source)
        merged.update(layer)
        sources.update(dict.fromkeys(layer, source))
    return Settings(_convert(kind, merged, sources), sources)


def _from_file(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        return tomllib.loads(read_ours(file, secret=_has_password).decode("utf-8"))
    except TooOpen as error:
        raise SettingsError(str(error)) from error
    except OSError as error:
        raise SettingsError(f"cannot read {file}: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(f"{file} is not TOML: {error}") from error


def _has_password(content: bytes) -> bool:
    lines = content.decode("utf-8", "replace").splitlines()
    return any(_PASSWORD.search(line) for line in lines if not line.lstrip().startswith("#"))


def _require_known(layer: Mapping[str, Any], names: tuple[str, ...], source: str) -> None:
    unknown = sorted(set(layer) - set(names))
    if unknown:
        raise SettingsError(f"{source}: no setting is named {', '.join(unknown)}")


def _convert(kind: type[T], merged: dict[str, Any], sources: Mapping[str, str]) -> T:
    try:
        return msgspec.convert({name: _listed(kind, name, value) for name, value in merged.items()}, kind, strict=False)
    except msgspec.ValidationError as error:
        text = str(error)
        name = text.rpartition("`$.")[2].partition("`")[0].partition("[")[0]
        raise SettingsError(f"{name or kind.__name__} ({sources.get(name, 'settings')}): {text}") from error


def _listed(kind: type[T], name: str, value: Any) -> Any:
    """A single text, where a list is asked for, is a list of one (environment and short forms)."""
    wants_list = "list" in str(kind.__annotations__.get(name)) or "tuple" in str(kind.__annotations__.get(name))
    return [value] if wants_list and isinstance(value, str) else value
