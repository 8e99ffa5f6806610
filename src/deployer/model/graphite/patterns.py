"""Patterns of paths: `agents.1.*.host.{cpu,mem*}`; `* ? [a-z] [!a]` stay within a part, `{a,b}` are alternatives.

Nothing here backtracks: `fnmatch` makes each star an atomic group, so a part of n characters costs n steps a star.
"""

import re
from collections.abc import Callable
from fnmatch import translate
from functools import lru_cache
from typing import Final

from deployer.model.graphite.problems import TooMuchError, WrongTargetError
from deployer.model.series import MAX_PARTS, MAX_SERIES_CHARS

MAX_VARIANTS: Final = 256
"""Of one pattern: `{a,b}{c,d}` has four."""
_WILD: Final = re.compile(r"[*?\[]")

Matcher = Callable[[str], bool]


def parts_of(pattern: str) -> list[str]:
    """The parts of a pattern; dots in braces divide nothing. WrongTargetError for one that is too long."""
    if len(pattern) > MAX_SERIES_CHARS:
        raise WrongTargetError(f"a pattern has {len(pattern)} characters, more than {MAX_SERIES_CHARS}")
    parts, depth, begin = [], 0, 0
    for index, char in enumerate(pattern):
        depth += (char == "{") - (char == "}")
        if char == "." and depth <= 0:
            parts.append(pattern[begin:index])
            begin = index + 1
    parts.append(pattern[begin:])
    if len(parts) > MAX_PARTS:
        raise WrongTargetError(f"a pattern has {len(parts)} parts, more than {MAX_PARTS}")
    return parts


def variants(pattern: str) -> list[str]:
    """A pattern without braces for each combination of alternatives."""
    found = [""]
    for piece in re.split(r"(\{[^{}]*\})", pattern):
        ends = piece[1:-1].split(",") if piece.startswith("{") and piece.endswith("}") else [piece]
        if len(found) * len(ends) > MAX_VARIANTS:
            raise TooMuchError(f"a pattern has more than {MAX_VARIANTS} combinations of alternatives in braces")
        found = [begin + end for begin in found for end in ends]
    return list(dict.fromkeys(found))


@lru_cache(maxsize=512)
def part_matcher(part: str) -> Matcher | str:
    """What tells whether a part of a path fits; the text itself where only that does. No braces are left in it."""
    if not _WILD.search(part):
        return part
    match = re.compile(translate(part)).match
    return lambda text: match(text) is not None
