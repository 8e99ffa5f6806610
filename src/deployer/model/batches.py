"""Many tasks of one command: the items of a batch, and where they go in (seed 002). Pure.

A batch is a list of numbers and texts, or a range: `{"from": 1, "to": 10, "by": 3}` is 1, 4, 7, 10. `$item` in the
arguments of a command becomes the item; `$$item` is `$item` as it stands.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

MOST_CHARS: Final = 1000
_FAR: Final = 10**15
Number = Annotated[int, Meta(ge=-_FAR, le=_FAR)]
Item = Number | Annotated[str, Meta(pattern="^[^\\x00\\ud800-\\udfff]{0,1000}\\Z")]
_PLACE: Final = re.compile(r"\$\$item\b|\$item\b")


class Range(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"first": "from", "last": "to"}):
    """Numbers from the first to the last, which is among them when a step ends there."""

    first: Number
    last: Number
    by: Number = 1


class BadBatch(ValueError):  # noqa: N818 (it says what it is)
    """It has no items, or more than a job may have."""


def items(batch: Range | Sequence[Item], most: int) -> list[Item]:
    """The items in their order; BadBatch when there are none or more than `most`."""
    if isinstance(batch, Range) and batch.by == 0:
        raise BadBatch("a step of 0 comes to no end")
    found = _numbers(batch) if isinstance(batch, Range) else batch
    if not found:
        raise BadBatch("it has no items")
    if len(found) > most:
        raise BadBatch(f"its {len(found)} items are more than the {most} tasks that a job may have")
    return list(found)


def _numbers(batch: Range) -> range:
    return range(batch.first, batch.last + (1 if batch.by > 0 else -1), batch.by)


def has_place(args: bytes) -> bool:
    """Whether the list `args` of arguments (JSON) has a place for the item."""
    some = msgspec.json.decode(args).get("args")
    return isinstance(some, list) and any(isinstance(one, str) and filled(one, 0) != filled(one, 1) for one in some)


def longest_filled(args: bytes, found: Sequence[Item]) -> int:
    """How long arguments (JSON) become with the longest of these items in all their places, in characters."""
    some = msgspec.json.decode(args).get("args")
    texts = [one for one in some if isinstance(one, str)] if isinstance(some, list) else []
    places = sum(len(_PLACE.findall(one)) for one in texts)
    return len(args) + places * max((len(str(one)) for one in found), default=0)


def with_item(args: bytes, item: Item) -> bytes:
    """Arguments (JSON) with the item in every text of their list `args`."""
    read: dict[str, Any] = msgspec.json.decode(args)
    if isinstance(some := read.get("args"), list):
        read["args"] = [filled(one, item) if isinstance(one, str) else one for one in some]
    return msgspec.json.encode(read)


def filled(text: str, item: Item) -> str:
    """A text with the item in its places."""
    return _PLACE.sub(lambda match: "$item" if match[0].startswith("$$") else str(item), text)
