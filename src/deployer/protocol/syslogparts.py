"""What every dialect of syslog has in common: its parts, and how text from a network is made harmless. Pure.

Control characters are written as rsyslog does, `#` and three octal digits, and the line ends of Unicode as `#u2028`: a
datagram is one message, and nothing in it looks like the beginning of another (RELIABILITY U6).
"""

import re
from functools import lru_cache
from typing import Final

from msgspec import Struct

MAX_DATAGRAM_BYTES: Final = 64 * 1024
MAX_NAME_CHARS: Final = 128
MAX_FIELDS: Final = 64
MAX_KEY_CHARS: Final = 64
MAX_VALUE_CHARS: Final = 1024
MAX_FIELDS_CHARS: Final = 8192

_CONTROL: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

Fields = tuple[tuple[str, str], ...]


class Parts(Struct, frozen=True, gc=False):
    """A message in its parts. `epoch`: its own time in ms, None where it has none; an empty `host` is not given."""

    epoch: int | None
    host: str
    app: str
    procid: str
    msgid: str
    text: str
    fields: Fields = ()


def clean(text: str) -> str:
    """Text in which nothing ends a line or steers a terminal; tabs stay."""
    return text if text.isprintable() else _CONTROL.sub(_written, text)


@lru_cache(maxsize=8192)
def name_of(text: str) -> str:
    """A name (of a host, program, process) as it is kept: clean and short; nil is none. Few are said, and often."""
    return "" if text == "-" else clean(text[:MAX_NAME_CHARS]).replace("\t", "#011")[:MAX_NAME_CHARS]


def bounded(fields: Fields) -> dict[str, str]:
    """As many fields as a message may have; `fields_dropped` says how many found no room, `…` ends what was cut."""
    kept: dict[str, str] = {}
    room = MAX_FIELDS_CHARS
    for key, value in fields[:MAX_FIELDS]:
        name, text = clean(key[:MAX_KEY_CHARS]), clean(value[:MAX_VALUE_CHARS])
        if len(value) > MAX_VALUE_CHARS:
            text += "…"
        room -= len(name) + len(text)
        if room < 0:
            break
        kept[name] = text
    if len(kept) < len(fields):
        kept["fields_dropped"] = str(len(fields) - len(kept))
    return kept


def _written(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"#{code:03o}" if code < 0x100 else f"#u{code:04x}"  # noqa: PLR2004 (what three octal digits are for)
