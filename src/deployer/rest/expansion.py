"""`?expand=host,tasks`: what an answer refers to by `href` is put in its place (seed 002, DESIGN 7)."""

from collections.abc import Awaitable, Callable, Iterator
from functools import lru_cache
from typing import Any, Final, get_args, get_type_hints

import msgspec
from msgspec import Struct

from deployer.errors import MalformedError
from deployer.rest.answers import Answer

PARAMETER: Final = "expand"
MOST: Final = 100
"""So many different references are followed for one answer; the rest stays as it is."""

Resolve = Callable[[str], Awaitable[Any]]
"""What is at an `href` for this caller, as plain values; None when there is nothing (for it)."""


@lru_cache
def expandable(kind: Any) -> frozenset[str]:
    """The fields of an answer, or of a list's items, that refer to something."""
    hints = get_type_hints(kind) if isinstance(kind, type) and issubclass(kind, Struct) else {}
    found = {name for name, hint in hints.items() if any(_is_reference(one) for one in _structs(hint))}
    inner = [expandable(one) for one in _structs(hints.get("items"))]
    return frozenset(found - {"items"}).union(*inner)


def _structs(hint: Any) -> Iterator[type[Struct]]:
    """The records within a type: X, list[X], X | None."""
    if isinstance(hint, type) and issubclass(hint, Struct):
        yield hint
    for one in get_args(hint):
        yield from _structs(one)


def _is_reference(kind: type[Struct]) -> bool:
    return "href" in kind.__struct_fields__


def wanted(text: str, kind: Any) -> tuple[str, ...]:
    """The names in the parameter; MalformedError for one that is no reference of this answer."""
    known = expandable(kind)
    names = tuple(dict.fromkeys(text.split(",")))
    for name in names:
        if name not in known:
            raise MalformedError(f"{name[:64]!r} cannot be expanded here, only {', '.join(sorted(known)) or 'nothing'}")
    return names


async def expanded(answer: Any, names: tuple[str, ...], resolve: Resolve) -> Answer:
    """The same answer with what these refer to."""
    outer = answer if isinstance(answer, Answer) else Answer(answer)
    plain = builtins(outer.record)
    found: dict[str, Any] = {}
    for one in plain["items"] if isinstance(plain.get("items"), list) else [plain]:
        for name in names:
            one[name] = await _put(one.get(name), found, resolve)
    headers = [(name, text) for name, text in outer.headers if name != "etag"]  # which knows nothing of the rest
    return msgspec.structs.replace(outer, record=plain, headers=headers)


async def _put(reference: Any, found: dict[str, Any], resolve: Resolve) -> Any:
    if isinstance(reference, list):
        return [await _put(one, found, resolve) for one in reference]
    if not isinstance(reference, dict) or not isinstance(href := reference.get("href"), str):
        return reference
    if href not in found and len(found) < MOST:
        found[href] = await resolve(href)
    its = found.get(href)
    return {**reference, **its} if isinstance(its, dict) else reference


def builtins(record: Any) -> Any:
    """A record as plain values; by JSON, since it may hold some already."""
    return msgspec.json.decode(msgspec.json.encode(record))
