"""Sizes on the command line."""

import re
from collections.abc import Mapping
from typing import Final

import click

_SIZE: Final = re.compile(r"([0-9]{1,18})([KMGT]?)(?:i?B)?", re.ASCII | re.IGNORECASE)
_UNITS: Final[Mapping[str, int]] = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


def size(text: str) -> int | None:
    """Bytes of `1000`, `512M`, `2G` (1024^3), `2GiB`; None when it is something else. Pure."""
    match = _SIZE.fullmatch(text)
    return None if match is None else int(match[1]) * _UNITS[match[2].upper()]


class Size(click.ParamType[int]):
    """Bytes, or a number with K, M, G or T behind it."""

    name = "SIZE"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """In bytes, at least one."""
        found = size(str(value))
        if not found:
            self.fail(f"{value!r} is no size as 1000000, 512M or 2G", param, ctx)
        return found
