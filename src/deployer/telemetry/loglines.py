"""Messages of many streams as one log: each has a place, and a filter says which are wanted."""

import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from deployer.protocol.messages import StoredMessage
from deployer.stores.logs import LogEntry

LONGEST_NUMBER: Final = 19
_MARK_DIGITS: Final = 8


class Place(Struct, frozen=True, order=True):
    """Where a message stands among those of all streams: its entry's two numbers, its stream, the place in the entry.

    Written `<ms>-<n>.<index>.<mark of the stream>`.
    """

    ms: int
    number: int
    mark: str
    index: int

    def __str__(self) -> str:
        """The form of cursors and of SSE ids."""
        return f"{self.ms}-{self.number}.{self.index}.{self.mark}"

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Read what `str()` wrote; ValueError for anything else."""
        entry, _, rest = text.partition(".")
        index, _, mark = rest.partition(".")
        ms, _, number = entry.partition("-")
        if not all(part.isascii() and part.isdigit() and len(part) <= LONGEST_NUMBER for part in (ms, number, index)):
            raise ValueError(f"{text[:40]!r} is no place in the logs")
        if len(mark) != _MARK_DIGITS or not set(mark) <= set("0123456789abcdef"):
            raise ValueError(f"{text[:40]!r} is no place in the logs")
        return cls(int(ms), int(number), mark, int(index))


class Named(Struct, frozen=True):
    """A stream, and what its name says."""

    stream: str
    domain: str
    name: str
    mark: str


@lru_cache(maxsize=65536)
def named(stream: str) -> Named | None:
    """Read the key of a stream; None for what is none."""
    _, log, rest = stream.partition("log.") if not stream.startswith("log.") else ("", "log.", stream[4:])
    domain, dot, name = rest.partition(".")
    if not log or not dot:
        return None
    return Named(stream, _plain(domain), _plain(name), f"{zlib.crc32(stream.encode('utf-8', 'replace')):08x}")


def _plain(node: str) -> str:
    return "" if node == "unknown" else unquote(node, errors="replace")


class Line(Struct, frozen=True):
    """One message with its place, and the domain and name of its stream."""

    at: Place
    domain: str
    name: str
    message: StoredMessage


@lru_cache(maxsize=1)
def _folded(text: str) -> str:
    """Kept: many who follow ask the same of one message."""
    return text.casefold()


class Filter(Struct, frozen=True, kw_only=True):
    """Which messages; None, or an empty text, is any.

    `agents` (as `gid:nid`) and `hosts` are alternatives; `allowed`: the agents that the reader may see anything of.
    `text` is looked for in the message, whatever the case of its letters.
    """

    levels: frozenset[int] | None = None
    text: str = ""
    agents: frozenset[str] | None = None
    hosts: frozenset[str] | None = None
    allowed: frozenset[str] | None = None
    job: str = ""
    domain: str | None = None
    name: str | None = None

    def takes_stream(self, its: Named) -> bool:
        """Whether any message of a stream can be wanted."""
        return self.domain in {None, its.domain} and self.name in {None, its.name}

    def takes_line(self, domain: str, name: str, message: StoredMessage) -> bool:
        """Whether a message of a stream is wanted."""
        return self.domain in {None, domain} and self.name in {None, name} and self.takes(message)

    def takes(self, message: StoredMessage) -> bool:
        """Whether a message is wanted."""
        if self.levels is not None and message.level not in self.levels:
            return False
        if self.allowed is not None and message.agent not in self.allowed:
            return False
        if (self.agents is not None or self.hosts is not None) and not self._is_from(message):
            return False
        if self.job and message.task.partition(":")[0] != self.job:
            return False
        return not self.text or self.text.casefold() in _folded(message.data)

    def _is_from(self, message: StoredMessage) -> bool:
        if message.agent:
            return self.agents is not None and message.agent in self.agents
        return self.hosts is not None and message.host.casefold() in self.hosts

    def may_be_in(self, raw: bytes) -> bool:
        """Whether the text can be in an entry at all, found out without decoding it."""
        text = self.text
        if not text or not text.isascii() or not text.isprintable() or '"' in text or "\\" in text:
            return True
        return text.lower().encode() in raw.lower()


def lines(its: Named, entry: LogEntry, wanted: Filter) -> Iterator[Line]:
    """What of an entry is wanted, in its order. What is no list of messages was written by somebody else."""
    if not wanted.may_be_in(entry.messages):
        return
    try:
        messages = _messages(entry.messages)
    except (ValueError, RecursionError):
        return
    ms, _, number = entry.id.partition("-")
    places: Sequence[int] = entry.places or range(len(messages))
    for index, message in zip(places, messages, strict=False):
        if wanted.takes(message):
            yield Line(Place(int(ms), int(number), its.mark, index), its.domain, its.name, message)


_messages: Any = msgspec.json.Decoder(list[StoredMessage]).decode
