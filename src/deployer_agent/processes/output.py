"""Output into messages by level (seed 001, DESIGN 4). Pure: bytes in whatever chunks, the same messages out.

`N::text` has level N; `N:::` opens a block that a line of exactly `:::` ends; anything else has the stream's level.
A number that is no level is text. A line over 64 kB comes in parts of its level, a block over 1 MB in parts of its own.
"""

import re
from typing import Final

from deployer.protocol.levels import VALID
from deployer.protocol.messages import MAX_BLOCK_BYTES, MAX_LINE_BYTES

Output = tuple[int, str]
"""Level and text."""

_MARK: Final = re.compile(rb"(\d{1,2})(:::?)", re.DOTALL)
_DIGITS: Final = frozenset(b"0123456789")
_END: Final = b":::"
_CONTINUATION: Final = 0x80


class OutputParser:
    """One stream of one process."""

    def __init__(self, level: int) -> None:
        self._default = level
        self._rest = b""
        self._long: int | None = None  # the level of a line whose first part has gone out
        self._block: list[bytes] | None = None
        self._block_level = level
        self._block_bytes = 0

    def feed(self, data: bytes) -> list[Output]:
        """Take the next bytes; the messages that are complete with them."""
        out: list[Output] = []
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        level = self._default
        for line in lines:
            if self._block is None and self._long is None and len(line) <= MAX_LINE_BYTES and line[:1] not in _STARTS:
                out.append((level, line.decode("utf-8", "replace")))
            else:
                self._line(line, out)
        if len(self._rest) > MAX_LINE_BYTES:
            self._rest = self._part(self._rest, out)
        return out

    def close(self) -> list[Output]:
        """The stream has ended: what was not terminated goes out too."""
        out: list[Output] = []
        if self._rest:
            self._line(self._rest, out)
            self._rest = b""
        self._flush(out)
        return out

    def _line(self, line: bytes, out: list[Output]) -> None:
        if len(line) > MAX_LINE_BYTES:
            line = self._part(line, out)
        if self._long is not None:
            out.append((self._long, _text(line)))
            self._long = None
        elif self._block is not None:
            self._in_block(line, out)
        else:
            self._marked(line, out)

    def _marked(self, line: bytes, out: list[Output]) -> None:
        level, opens, text = self._split(line)
        if opens:
            self._block, self._block_level, self._block_bytes = [text] if text else [], level, len(text)
        else:
            out.append((level, _text(text)))

    def _split(self, line: bytes) -> tuple[int, bool, bytes]:
        """Level, whether it opens a block, and the text."""
        match = _MARK.match(line) if line and line[0] in _DIGITS else None
        if match is None or (level := int(match[1])) not in VALID:
            return self._default, False, line
        return level, match[2] == _END, line[match.end() :]

    def _in_block(self, line: bytes, out: list[Output]) -> None:
        if line == _END:
            self._flush(out)
            return
        assert self._block is not None  # noqa: S101 (for the type checker: _line looked)
        if self._block and self._block_bytes + len(line) > MAX_BLOCK_BYTES:
            level = self._block_level
            self._flush(out)
            self._block, self._block_level, self._block_bytes = [], level, 0
        self._block.append(line)
        self._block_bytes += len(line) + 1

    def _flush(self, out: list[Output]) -> None:
        if self._block is not None:
            out.append((self._block_level, _text(b"\n".join(self._block))))
            self._block = None

    def _part(self, line: bytes, out: list[Output]) -> bytes:
        """Send full parts of a line that is too long; what is left of it."""
        if self._block is not None:
            return self._block_part(line, out)
        if self._long is None:
            level, opens, text = self._split(line)
            if opens:
                self._marked(line[: len(line) - len(text)], out)
                return self._part(text, out) if len(text) > MAX_LINE_BYTES else text
            self._long, line = level, text
        while len(line) > MAX_LINE_BYTES:
            cut = _boundary(line)
            out.append((self._long, _text(line[:cut])))
            line = line[cut:]
        return line

    def _block_part(self, line: bytes, out: list[Output]) -> bytes:
        while len(line) > MAX_LINE_BYTES:
            cut = _boundary(line)
            self._in_block(line[:cut], out)
            line = line[cut:]
        return line


_STARTS: Final = frozenset(bytes([digit]) for digit in _DIGITS)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace")


def _boundary(line: bytes) -> int:
    """Where to cut so that no character is torn."""
    cut = MAX_LINE_BYTES
    while cut > MAX_LINE_BYTES - 4 and line[cut] & 0xC0 == _CONTINUATION:
        cut -= 1
    return cut
