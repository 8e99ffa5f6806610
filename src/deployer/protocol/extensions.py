"""Commands that an agent's own file defines: a program with arguments into which the job's values are put.

Beside the arguments of every run (`RunArgs`) such a command takes values of any name; `{name}` in the extension's
arguments is replaced by them, once (PROTOCOLS 14); `{domain}` and `{name}` are those of the run.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import Meta, Raw

from deployer.protocol import codecs
from deployer.protocol.commands import RunArgs, Text, VariableName

ExtensionName = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}\Z")]
Value = Text | int | float | bool

_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]{0,127})\}")


class ExtensionArgs(RunArgs, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Arguments of an extension: how it is run, and the values."""

    values: Annotated[dict[VariableName, Value], Meta(max_length=1000)] = {}  # noqa: RUF012 (msgspec copies it)

    def __post_init__(self) -> None:
        """Refuse what only the values together tell."""
        RunArgs.__post_init__(self)


class Misses(ValueError):  # noqa: N818 (it says what it is)
    """A value that the extension's arguments name was not given."""


def read(raw: Raw) -> ExtensionArgs:
    """Take the arguments apart; codecs.NotJson or codecs.Misfit when they do not fit."""
    given: dict[str, object] = codecs.convert(dict, raw)
    known = {name: value for name, value in given.items() if name in _KNOWN}
    values = {name: value for name, value in given.items() if name not in _KNOWN}
    if values:
        known["values"] = {**values, **_mapping(known.get("values"))}
    return codecs.from_builtins(ExtensionArgs, known)


def fill(text: str, values: Mapping[str, Value]) -> str:
    """Replace each `{name}`, once: what a value brings in is not looked at again (J5). Misses names what is missing."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise Misses(f"it needs the argument `{match[1]}`")
        return _text(values[match[1]])

    return _PLACEHOLDER.sub(value, text)


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


_KNOWN: Final = frozenset(ExtensionArgs.__struct_fields__)
