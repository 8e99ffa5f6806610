"""The audit log of a company: read, exported, verified."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Final

from msgspec import Meta, Struct

from deployer.dispatch.auditexport import joined
from deployer.errors import MalformedError
from deployer.model.access import Caller, Permission
from deployer.model.audit import Decision, Entry, read
from deployer.protocol.times import iso
from deployer.rest.answers import Stream
from deployer.rest.endpoint import endpoint
from deployer.rest.moments import Moment, Span
from deployer.rest.paging import Cursor, Limit
from deployer.stores.audit import Audits, Stored

LOOKED_AT: Final = 10_000
"""So many entries are looked at for one page; a filter that lets few through gives short pages."""

_CURSOR: Final = re.compile(r"(\d{1,20})\.(\d{1,20})", re.ASCII)
Text = Annotated[str, Meta(max_length=256)]


class AuditQuery(Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}):
    """Which entries; all that is given must fit."""

    user: Text | None = None
    decision: Decision | None = None
    object: Text | None = None
    since: Moment | None = None
    until: Moment | None = None
    limit: Limit = 100
    cursor: Cursor | None = None


class AuditAnswer(Struct, frozen=True, kw_only=True):
    """An entry. `action`: method and route; `code`: why it was denied; `count`: so many alike within a minute."""

    n: int
    at: str
    user: str
    token: str
    address: str
    action: str
    object: str
    decision: str
    code: str
    request_id: str
    count: int
    hash: str


class AuditPage(Struct, frozen=True):
    """Some entries, the newest first, and where older ones begin."""

    items: list[AuditAnswer]
    next: str | None


class AuditReport(Struct, frozen=True, kw_only=True):
    """Whether each entry follows from the one before it; `broken` is the first that does not, with the reason."""

    intact: bool
    entries: int
    first: int | None
    last: int | None
    broken: int | None
    reason: str


class AuditRoutes:
    """`/api/v1/audit`."""

    def __init__(self, audits: Audits) -> None:
        self._audits = audits

    @endpoint("GET", "/api/v1/audit", needs=Permission.MANAGE, returns=AuditPage, query=AuditQuery)
    async def list_all(self, caller: Caller, query: AuditQuery) -> AuditPage:
        """What was asked for in the company and what was decided, the newest first."""
        span = Span.of(query)
        before = None if query.cursor is None else _position(query.cursor)
        items: list[AuditAnswer] = []
        looked = 0
        while looked < LOOKED_AT:
            page = await self._audits.newest(caller.company, before, min(1000, LOOKED_AT - looked))
            looked += len(page)
            for one in page:
                before = one.id
                entry = _entry(one)
                if entry is not None and _fits(entry, query, span):
                    items.append(_answer(entry, one.link.hash))
                if len(items) == query.limit:
                    return AuditPage(items, before.replace("-", "."))
            if not page:
                return AuditPage(items, None)
        return AuditPage(items, None if before is None else before.replace("-", "."))

    @endpoint("GET", "/api/v1/audit/verify", needs=Permission.MANAGE, returns=AuditReport)
    async def verify(self, caller: Caller) -> AuditReport:
        """Check the hashes of all entries that are left."""
        its = await self._audits.check(caller.company)
        return AuditReport(
            intact=its.broken is None,
            entries=its.entries,
            first=its.first,
            last=its.last,
            broken=its.broken,
            reason=its.why,
        )

    @endpoint("GET", "/api/v1/audit/export", needs=Permission.MANAGE, returns=Stream)
    async def export(self, caller: Caller) -> Stream:
        """All entries, the oldest first, a line of JSON each: its hash and the entry as it was hashed."""
        return Stream("application/x-ndjson", self._lines(caller.company))

    async def _lines(self, company: str) -> AsyncIterator[bytes]:
        async for page in self._audits.pages(company):
            yield joined([one.link for one in page])


def _position(cursor: str) -> str:
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise MalformedError("this cursor was not made here")
    return f"{match[1]}-{match[2]}"


def _entry(stored: Stored) -> Entry | None:
    """One that is damaged is not shown here; a check finds it."""
    try:
        return read(stored.link.text)
    except ValueError:
        return None


def _fits(entry: Entry, query: AuditQuery, span: Span) -> bool:
    deed, at = entry.deed, datetime.fromtimestamp(entry.at / 1000, UTC)
    return (
        (query.user is None or deed.user == query.user)
        and (query.decision is None or deed.decision == query.decision)
        and (query.object is None or deed.object == query.object)
        and span.holds(at)
    )


def _answer(entry: Entry, hash_: str) -> AuditAnswer:
    deed = entry.deed
    return AuditAnswer(
        n=entry.n,
        at=iso(entry.at),
        user=deed.user,
        token=deed.token,
        address=deed.address,
        action=deed.action,
        object=deed.object,
        decision=deed.decision,
        code=deed.code,
        request_id=deed.request_id,
        count=deed.count,
        hash=hash_,
    )
