"""Levels of messages (seed 001): what a number before `::` means, and expressions that name some of them."""

import re
from typing import Final

STDOUT: Final = 1
STDERR: Final = 2
PUBLIC: Final = 3
OPERATOR: Final = 4
LOG: Final = 5
STRUCTURED_LOG: Final = 6
WARNING: Final = 7
OPERATIONS_ERROR: Final = 8
CRITICAL: Final = 9
STATSD: Final = 10
DEBUG: Final = 11
RESULT_JSON: Final = 20
RESULT_YAML: Final = 21
RESULT_TOML: Final = 22
RESULT_HRD: Final = 23
JOB: Final = 30

VALID: Final = frozenset({*range(1, 12), *range(20, 24), 30})
RESULTS: Final = frozenset({20, 21, 22, 23, 30})

_PART: Final = re.compile(r"([0-9]{1,2})(?:-([0-9]{1,2}))?", re.ASCII)
HIGHEST: Final = 30


def parse(expression: str) -> frozenset[int]:
    """The levels that an expression names; ValueError says what of it is none (J8).

    Numbers between the levels that exist name nothing, so that `1-30` is all of them.
    """
    if expression == "*":
        return VALID
    return frozenset(level for part in expression.split(",") for level in _range(part)) & VALID


def parse_named(name: str, expression: str) -> frozenset[int]:
    """The same; the error names the argument."""
    try:
        return parse(expression)
    except ValueError as error:
        raise ValueError(f"`{name}`: {error}") from None


def _range(part: str) -> range:
    match = _PART.fullmatch(part)
    if match is None:
        raise ValueError(f"{part[:20]!r} is neither `*` alone, nor a level, nor a range as 1-5")
    first, last = int(match[1]), int(match[2] or match[1])
    if not 1 <= first <= last <= HIGHEST:
        raise ValueError(f"{part!r}: levels go from 1 to {HIGHEST}, a range from the lower to the higher")
    return range(first, last + 1)
