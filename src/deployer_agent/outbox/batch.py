"""What is posted together: messages of several tasks, encoded, frozen until the master has them."""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Raw, Struct

from deployer.protocol.ids import Name
from deployer.protocol.messages import Owner


class Source(Struct, frozen=True):
    """Whose messages these are; an empty `task`: the agent's own."""

    task: Owner
    domain: Name
    name: Name


class Piece(Struct, frozen=True, eq=False):
    """Messages of one source, encoded without the brackets around them; `first` and `last` are their times (ms)."""

    source: Source
    encoded: bytes
    count: int
    first: int
    last: int


class Share(Struct, frozen=True, array_like=True):
    """What of a batch is one source's: so many pieces, so many messages, from when to when (epoch ms)."""

    source: Source
    pieces: int
    count: int
    first: int
    last: int


class Batch(Struct, eq=False):
    """One post. `body` None: it is on the disk and not in memory."""

    boot: str
    seq: int
    size: int
    shares: Sequence[Share]
    body: bytes | None
    storing: bool = False
    stored: bool = False
    gone: bool = False


class _Group(Struct, frozen=True):
    task: str
    domain: str
    name: str
    messages: Raw


class _LogBatch(Struct, frozen=True):
    """A `LogBatch` whose messages are encoded already."""

    boot: str
    seq: int
    groups: list[_Group]


def freeze(boot: str, seq: int, pieces: Sequence[Piece]) -> Batch:
    """Make a post of pieces, in their order."""
    by_source: dict[Source, list[Piece]] = {}
    for piece in pieces:
        by_source.setdefault(piece.source, []).append(piece)
    groups = [_group(source, its) for source, its in by_source.items()]
    shares = [_share(source, its) for source, its in by_source.items()]
    size = sum(len(piece.encoded) for piece in pieces)
    return Batch(boot, seq, size, shares, _encode(_LogBatch(boot, seq, groups)))


def _group(source: Source, pieces: Iterable[Piece]) -> _Group:
    messages = Raw(b"[" + b",".join(piece.encoded for piece in pieces) + b"]")
    return _Group(source.task, source.domain, source.name, messages)


def _share(source: Source, pieces: Sequence[Piece]) -> Share:
    count = sum(piece.count for piece in pieces)
    return Share(source, len(pieces), count, pieces[0].first, pieces[-1].last)


_encode = msgspec.json.Encoder().encode
