"""JSON at the edge: the one place where bytes from outside become records (RELIABILITY 3.2, P6).

Size cap, strict UTF-8, one pass that refuses duplicate keys, depth over 32 and what is not JSON, then msgspec.
`NotJson` is for what is not UTF-8 or not JSON (HTTP 400), `Misfit` for JSON that does not fit the record (422).
"""

import json
import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from deployer.protocol.expected import explained

MAX_DEPTH = 32
_PATH = re.compile(r" - at `(?:key` in `)?\$(.*)`\Z")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")

_FIELD = re.compile(r"(?:Object (?:missing required|contains unknown) field )?`([^`]*)`", re.DOTALL)

T = TypeVar("T")


class NotJson(ValueError):  # noqa: N818 (it says what it is)
    """The bytes are not UTF-8 or not JSON."""


class Misfit(ValueError):  # noqa: N818 (it says what it is)
    """JSON that the record does not take, with the place as a JSON pointer (RFC 6901)."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(f"{pointer or '/'}: {message}")
        self.pointer = pointer
        self.message = message


def decode_strict(kind: type[T], body: bytes, *, max_bytes: int) -> T:
    """Decode what a client sent; raises NotJson or Misfit."""
    if len(body) > max_bytes:
        raise NotJson(f"{len(body)} bytes are more than the {max_bytes} allowed")
    check_form(body)
    return decode(kind, body)


def decode(kind: type[T], body: bytes | str) -> T:
    """Decode without the pass over duplicate keys and depth, for posts of an agent's session."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise misfit(kind, error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotJson(_reason(error)) from None


def convert(kind: type[T], value: msgspec.Raw) -> T:
    """Decode a part that was kept raw, its pointer relative to that part."""
    return decode(kind, bytes(value))


def from_builtins(kind: type[T], value: object) -> T:
    """Make a record of what was decoded before."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise misfit(kind, error) from None


def check_form(body: bytes) -> None:
    """Refuse duplicate keys, depth over 32, constants like NaN, bad UTF-8, BOM and trailing text."""
    try:
        value = _scan(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise NotJson(_reason(error)) from None
    if not _shallow(value):
        raise NotJson(f"nested deeper than {MAX_DEPTH}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("an object has the same key twice")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_scan: Callable[[str], Any] = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_int=len, parse_float=len
).decode


def _shallow(value: object) -> bool:
    row = [value]
    for _ in range(MAX_DEPTH + 1):
        row = [child for item in row for child in _children(item)]
        if not row:
            return True
    return False


def _children(item: object) -> list[Any]:
    if isinstance(item, dict):
        return list(item.values())
    return item if isinstance(item, list) else []


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return f"nested deeper than {MAX_DEPTH}"
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start}"
    return str(error)[:200]


def misfit(kind: Any, error: msgspec.ValidationError) -> Misfit:
    """What did not fit, where, and what would."""
    text = str(error)
    match = _PATH.search(text)
    if match is None:
        return Misfit(_missing_pointer("", text), text[:500])
    pointer = "".join("/" + _escape(key or index) for key, index in _STEP.findall(match[1]))
    message = text[: match.start()]
    return Misfit(_missing_pointer(pointer, message), explained(kind, pointer, message[:500]))


def _missing_pointer(pointer: str, message: str) -> str:
    """A missing, unknown or refused field is pointed at by its own name, not by the object around it."""
    match = _FIELD.match(message)
    return pointer if match is None else f"{pointer}/{_escape(match[1])}"


def _escape(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")
