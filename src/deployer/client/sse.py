"""Server-Sent Events, parsed as the HTML standard says (9.2.6), from chunks cut anywhere."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Event:
    """One event: `id` is the last id seen up to it."""

    type: str
    data: str
    id: str


class Parser:
    """Turns bytes into events. `last_id` and `retry_ms` are what a client needs to take up a lost stream."""

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self.retry_ms: int | None = None
        self._rest = b""
        self._started = False
        self._id = last_id
        self._type = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Yield the events that this chunk completes. An event cut off by the end of the stream never comes."""
        self._rest += chunk
        if not self._started and not self._skip_bom():
            return
        for line in self._lines():
            event = self._line(line.decode("utf-8", "replace"))
            if event is not None:
                yield event

    def _skip_bom(self) -> bool:
        if len(self._rest) < len(_BOM) and _BOM.startswith(self._rest):
            return False
        self._rest = self._rest.removeprefix(_BOM)
        self._started = True
        return True

    def _lines(self) -> list[bytes]:
        """Whole lines; a CR at the very end may still be half of a CR LF."""
        held = b"\r" if self._rest.endswith(b"\r") else b""
        *lines, rest = _LINE_END.split(self._rest[: len(self._rest) - len(held)])
        self._rest = rest + held
        return lines

    def _line(self, line: str) -> Event | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        self._field(name, value.removeprefix(" "))
        return None

    def _field(self, name: str, value: str) -> None:
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._type = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry_ms = int(value[:9])

    def _dispatch(self) -> Event | None:
        self.last_id = self._id
        data, kind = self._data, self._type or "message"
        self._data, self._type = [], ""
        return Event(kind, "\n".join(data), self.last_id) if data else None
