"""The audit log: who asked for what and what was decided, each entry bound to the one before it by a hash.

An entry is kept as the JSON bytes that were hashed. Its hash is SHA-256 over the hash before it and these bytes, so
that nothing can be changed, left out or put in between without breaking all that follows (RELIABILITY 3.2).
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

MAX_TEXT: Final = 256
"""Characters of each text of an entry; the rest is cut."""

Decision = Literal["allowed", "denied"]


class Deed(Struct, frozen=True, kw_only=True):
    """What is to be noted: `action` is method and route, `object` what it is about, `code` why it was denied.

    `count`: so many alike within the minute, where nobody was identified.
    """

    user: str = ""
    token: str = ""
    address: str = ""
    action: str
    object: str = ""
    decision: Decision
    code: str = ""
    request_id: str = ""
    count: Annotated[int, Meta(ge=1)] = 1


class Entry(Struct, frozen=True, kw_only=True):
    """A deed at its place in the log: the `n`-th, at a time in epoch ms."""

    n: int
    at: int
    deed: Deed


class Head(Struct, frozen=True):
    """How far a log goes: the number of its last entry and its hash."""

    n: int
    hash: str

    def __str__(self) -> str:
        """As it is stored."""
        return f"{self.n}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> "Head":
        """Read what is stored; ValueError when it is no head."""
        number, _, known = text.partition(":")
        if len(bytes.fromhex(known)) != hashlib.sha256().digest_size:
            raise ValueError("this is no head of an audit log")
        return cls(int(number), known)


class Link(Struct, frozen=True):
    """An entry as it is stored."""

    text: bytes
    hash: str


class Report(Struct, frozen=True):
    """What a check of a log found: `broken` is the number of the first entry that does not follow, None for none."""

    entries: int
    first: int | None
    last: int | None
    broken: int | None
    why: str = ""


def start(company: str) -> Head:
    """What the first entry of a company's log follows."""
    return Head(0, hashlib.sha256(b"deployer audit of " + company.encode()).hexdigest())


def follow(head: Head, at: int, deeds: Sequence[Deed]) -> tuple[Head, list[Link]]:
    """Put deeds behind a head, all at one time."""
    links: list[Link] = []
    for deed in deeds:
        text = _encode(Entry(n=head.n + 1, at=at, deed=_cut(deed)))
        head = Head(head.n + 1, _hash(head.hash, text))
        links.append(Link(text, head.hash))
    return head, links


class Checker:
    """Goes through a log from its first entry that is left; what came before it is believed."""

    def __init__(self, company: str) -> None:
        self._before: Head | None = None
        self._company = company
        self._count = 0
        self._first: int | None = None
        self._wrong: tuple[int, str] | None = None

    def take(self, links: Iterable[Link]) -> None:
        """Check what follows; after the first that is wrong nothing more is."""
        for link in links:
            if self._wrong is not None:
                return
            self._take(link)

    def report(self, head: Head | None) -> Report:
        """What was found; `head` is how far the log is said to go."""
        last = None if self._before is None or not self._count else self._before.n
        wrong = self._wrong
        if wrong is None and self._count and head != self._before:
            wrong = (head.n if head is not None else 0, "the log does not end where it is said to")
        if wrong is None and not self._count and head is not None and head.n:
            wrong = (head.n, "entries are missing")
        return Report(self._count, self._first, last, *(wrong or (None, "")))

    def _take(self, link: Link) -> None:
        try:
            number = read(link.text).n
        except ValueError:
            self._wrong = ((self._before.n if self._before else 0) + 1, "an entry cannot be read")
            return
        before = self._before or self._beginning(number)
        if before is not None and number != before.n + 1:
            self._wrong = (number, f"it comes after entry {before.n}")
        elif before is not None and _hash(before.hash, link.text) != link.hash:
            self._wrong = (number, "its hash does not follow from the one before it")
        else:
            self._count += 1
            self._first = self._first or number
            self._before = Head(number, link.hash)

    def _beginning(self, number: int) -> Head | None:
        """What the first entry of all follows; None where older ones have gone."""
        return start(self._company) if number == 1 else None


def _cut(deed: Deed) -> Deed:
    texts = {
        name: getattr(deed, name) for name in ("user", "token", "address", "action", "object", "code", "request_id")
    }
    long = {name: text[:MAX_TEXT] for name, text in texts.items() if len(text) > MAX_TEXT}
    return msgspec.structs.replace(deed, **long) if long else deed


def _hash(before: str, text: bytes) -> str:
    return hashlib.sha256(bytes.fromhex(before) + text).hexdigest()


def read(text: bytes) -> Entry:
    """The entry; ValueError when it is none."""
    try:
        return _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"this is no entry of an audit log: {error}") from None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode
