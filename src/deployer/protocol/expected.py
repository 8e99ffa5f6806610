"""What would have fitted where something did not: the values that may stand there, the form in words."""

from collections.abc import Iterable
from importlib import import_module
from typing import Any, Final

ENUM: Final = "Invalid enum value"
PATTERN: Final = "Expected `str` matching regex"


def explained(kind: Any, pointer: str, message: str) -> str:
    """A message of msgspec about a place (a JSON pointer) of a type, with what is expected there where it is known."""
    if not message.startswith((ENUM, PATTERN)):
        return message
    inspect = import_module("msgspec.inspect")  # only where something is wrong
    types = [inspect.type_info(kind)]
    for step in pointer.split("/")[1:]:
        types = [inner for one in types for inner in _inside(inspect, one, step.replace("~1", "/").replace("~0", "~"))]
    if message.startswith(PATTERN):
        words = [text for one in types for text in _words(inspect, one)]
        return f"must be {words[0]}" if words else message
    values = [value for one in types for value in _values(inspect, one)]
    return f"{message}: must be one of {', '.join(values)}" if values else message


def _values(inspect: Any, of: Any) -> list[str]:
    found: list[str] = []
    for one in _plain(inspect, [of]):
        if isinstance(one, inspect.LiteralType):
            found += map(str, one.values)
        elif isinstance(one, inspect.EnumType):
            found += [str(member.value) for member in one.cls]
    return found


def _words(inspect: Any, of: Any) -> list[str]:
    """Descriptions, also those of the parts of a union."""
    if isinstance(of, inspect.UnionType):
        return [text for one in of.types for text in _words(inspect, one)]
    if isinstance(of, inspect.Metadata):
        own = (of.extra_json_schema or {}).get("description")
        return [str(own)] if own else _words(inspect, of.type)
    return []


def _plain(inspect: Any, types: Iterable[Any]) -> list[Any]:
    """Without what is said of them, and unions as their parts."""
    found: list[Any] = []
    for one in types:
        if isinstance(one, inspect.Metadata):
            found += _plain(inspect, [one.type])
        elif isinstance(one, inspect.UnionType):
            found += _plain(inspect, one.types)
        else:
            found.append(one)
    return found


def _inside(inspect: Any, of: Any, step: str) -> list[Any]:
    found: list[Any] = []
    for one in _plain(inspect, [of]):
        if isinstance(one, inspect.StructType):
            found += [field.type for field in one.fields if field.encode_name == step]
        elif isinstance(one, inspect.DictType):
            found.append(one.value_type)
        elif isinstance(one, inspect.ListType):
            found.append(one.item_type)
    return found
