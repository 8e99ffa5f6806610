"""What a process prints becomes messages with levels (DESIGN 4). Pure: bytes in, messages out.

A line `N::text` has level N. `N:::` opens a block that a line of exactly `:::` ends; text after the opening is its
first line, blank lines are kept. Any other line has the level of its stream. The same bytes give the same messages
however they are cut into chunks. A line is cut at 64 kB, a block and a result at 1 MB, never inside a character; cut
pieces keep their level and are flagged.
"""

from collections.abc import Mapping
from typing import Final

from deployer.protocol.levels import RESULTS, VALID
from deployer.protocol.messages import CUT, MAX_BLOCK_BYTES, MAX_LINE_BYTES, UNFINISHED

Output = list[tuple[int, str, int]]
"""Level, text, flags."""

_LEVELS: Final[Mapping[bytes, int]] = {str(level).encode(): level for level in VALID}
_DIGITS: Final = frozenset(b"0123456789")
_BLOCK_END: Final = b":::"
_MAX_LEVEL_BYTES: Final = 2
_MAX_TAIL: Final = 3  # bytes of an unfinished UTF-8 character


class OutputParser:
    """Parses one stream of one process; `level` is that of lines without one (1 for stdout, 2 for stderr)."""

    def __init__(self, level: int) -> None:
        self._level = level
        self._rest = b""  # the line that has not ended yet, without what of it was cut off already
        self._cut: int | None = None  # the level of that line when a part of it was cut off
        self._block: _Block | None = None

    def feed(self, chunk: bytes) -> Output:
        """Parse what was read; an unfinished line waits for its end."""
        lines = (self._rest + chunk).split(b"\n")
        rest = lines.pop()
        out: Output = []
        self._lines(lines, out)
        self._rest = rest
        if len(rest) > MAX_LINE_BYTES:
            self._shorten(out)
        return out

    def finish(self) -> Output:
        """Return what is left at the end of the stream: the last line without newline, the open block."""
        out: Output = []
        if self._rest or self._cut is not None:
            self._line(self._rest, out)
        if self._block is not None:
            out.append(self._block.close(UNFINISHED))
        self._rest, self._cut, self._block = b"", None, None
        return out

    @property
    def open_block(self) -> object | None:
        """The block that is open; another object for another block."""
        return self._block

    def expire(self) -> Output:
        """Return what there is of a block that is open for too long; it goes on."""
        out: Output = []
        if self._block is not None:
            self._block.give_out(out)
        return out

    def _lines(self, lines: list[bytes], out: Output) -> None:
        level, digits, append = self._level, _DIGITS, out.append
        plain = self._block is None and self._cut is None
        for line in lines:
            if plain and len(line) <= MAX_LINE_BYTES and (not line or line[0] not in digits):
                append((level, line.decode("utf-8", "replace"), 0))
            else:
                self._line(line, out)
                plain = self._block is None and self._cut is None

    def _line(self, line: bytes, out: Output) -> None:
        """Take a whole line, or the end of one whose beginning was cut off."""
        if self._block is not None:
            self._block_line(self._block, line, out)
        elif self._cut is not None:
            level, self._cut = self._cut, None
            if line:
                _pieces(level, line, out)
        else:
            self._fresh(line, out)

    def _fresh(self, line: bytes, out: Output) -> None:
        level, start, opens = _opening(line)
        if not opens:
            _pieces(level or self._level, line[start:], out)
            return
        self._block = _Block(level)
        if len(line) > start:
            self._block.add(line[start:], out)

    def _block_line(self, block: "_Block", line: bytes, out: Output) -> None:
        if self._cut is not None:
            self._cut = None
            block.extend(line, out)
        elif line == _BLOCK_END:
            out.append(block.close())
            self._block = None
        else:
            block.add(line, out)

    def _shorten(self, out: Output) -> None:
        """Give out what is certain of a line that is too long to wait for."""
        if self._cut is None and self._block is None:
            if len(self._rest) <= _limit(_opening(self._rest)[0]):
                return
            self._begin_long(out)
        block = self._block
        if block is not None:
            (block.extend if self._cut is not None else block.add)(self._rest, out)
            self._cut, self._rest = block.level, b""
        elif self._cut is not None:
            self._rest = _whole_pieces(self._cut, self._rest, out)

    def _begin_long(self, out: Output) -> None:
        level, start, opens = _opening(self._rest)
        self._cut, self._rest = level or self._level, self._rest[start:]
        if opens:
            self._block = _Block(level)
            self._block.add(b"", out)


class _Block:
    """A multi-line message that is being collected; what is over 1 MB is given out as a message before the end."""

    def __init__(self, level: int) -> None:
        self.level = level
        self._parts: list[bytes] = []
        self._size = 0
        self._begun = False

    def add(self, line: bytes, out: Output) -> None:
        """Take a new line."""
        self.extend(b"\n" + line if self._begun else line, out)

    def extend(self, more: bytes, out: Output) -> None:
        """Take more of the line before."""
        self._begun = True
        self._parts.append(more)
        self._size += len(more)
        if self._size > MAX_BLOCK_BYTES:
            self._flush(out)

    def close(self, flags: int = 0) -> tuple[int, str, int]:
        """Return the message."""
        return self.level, b"".join(self._parts).decode("utf-8", "replace"), flags

    def give_out(self, out: Output) -> None:
        """Give out what there is; the block goes on."""
        if self._parts and self._size:
            out.append(self.close(UNFINISHED))
            self._parts, self._size, self._begun = [], 0, False

    def _flush(self, out: Output) -> None:
        text = b"".join(self._parts)
        while len(text) > MAX_BLOCK_BYTES:
            end = _boundary(text, MAX_BLOCK_BYTES)
            out.append((self.level, text[:end].decode("utf-8", "replace"), UNFINISHED))
            text = text[end:]
        self._parts, self._size = [text], len(text)


def _opening(line: bytes) -> tuple[int, int, bool]:
    """Level (0: none), where the text starts, and whether the line opens a block."""
    colons = line.find(b"::", 1, _MAX_LEVEL_BYTES + 2)
    level = _LEVELS.get(line[:colons], 0) if colons > 0 else 0
    if not level:
        return 0, 0, False
    opens = line[colons + 2 : colons + 3] == b":"
    return level, colons + (3 if opens else 2), opens


def _limit(level: int) -> int:
    """How long a line may be: a result is one message, as long as a block may be."""
    return MAX_BLOCK_BYTES if level in RESULTS else MAX_LINE_BYTES


def _pieces(level: int, text: bytes, out: Output) -> None:
    if len(text) > _limit(level):
        text = _whole_pieces(level, text, out)
    out.append((level, text.decode("utf-8", "replace"), 0))


def _whole_pieces(level: int, text: bytes, out: Output) -> bytes:
    """Give out pieces of full length; the rest, which is never empty, is returned."""
    start, most = 0, _limit(level)
    while len(text) - start > most:
        end = _boundary(text, start + most)
        out.append((level, text[start:end].decode("utf-8", "replace"), CUT))
        start = end
    return text[start:]


def _boundary(text: bytes, end: int) -> int:
    """The last place up to `end` that is not inside a character, as far as the bytes are UTF-8."""
    for back in range(_MAX_TAIL + 1):
        if text[end - back] & 0xC0 != 0x80:  # noqa: PLR2004 (10xxxxxx goes on with a character)
            return end - back
    return end
