"""The audit log in Redis: appended by several masters at once, checked, exported."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults

from deployer.dispatch.audit import MOST_SOURCES, MOST_WAITING, AuditTrail
from deployer.dispatch.auditexport import AuditExport
from deployer.errors import UnavailableError
from deployer.kit.threads import Threads
from deployer.model.audit import Deed, read
from deployer.stores import keys
from deployer.stores.audit import PAGE, Audits
from deployer.stores.installation import Installations
from deployer.stores.redis import Redis
from support.seeded import COMPANY, Seeded

DEED = Deed(user="eve", action="POST /api/v1/jobs", decision="allowed")


async def together(*work: Awaitable[Any]) -> list[Any]:
    done: list[Any] = await gatherResults([Deferred.fromCoroutine(one) for one in work])  # type: ignore[arg-type]
    return done


async def test_masters_that_write_at_once_make_one_chain(seeded: Seeded) -> None:
    logs = [Audits(seeded.redis) for _ in range(5)]

    async def write(audits: Audits) -> None:
        for number in range(10):
            await audits.append(COMPANY, 7, [DEED] * (number % 3 + 1))

    await together(*map(write, logs))
    report = await logs[0].check(COMPANY)
    assert (report.entries, report.first, report.last, report.broken) == (95, 1, 95, None)


async def test_companies_have_logs_of_their_own(seeded: Seeded) -> None:
    audits = Audits(seeded.redis)
    await audits.append(COMPANY, 7, [DEED])
    assert (await audits.check("other")).entries == 0
    assert await audits.head("other") is None


async def test_a_change_in_redis_is_found(seeded: Seeded) -> None:
    audits = Audits(seeded.redis)
    await audits.append(COMPANY, 7, [DEED] * 4)
    second = (await audits.newest(COMPANY, None, 10))[2]
    await seeded.redis.call("XDEL", keys.audit(COMPANY), second.id)
    report = await audits.check(COMPANY)
    assert (report.broken, report.why) == (3, "it comes after entry 1")


@pytest.mark.parametrize("damage", [b"\xff", b"7", b""])
async def test_a_log_goes_on_where_its_head_is_damaged(seeded: Seeded, damage: bytes) -> None:
    await Audits(seeded.redis).append(COMPANY, 7, [DEED] * 3)
    await seeded.redis.call("SET", keys.audit_head(COMPANY), damage)
    audits = Audits(seeded.redis)
    await audits.append(COMPANY, 8, [DEED])
    report = await audits.check(COMPANY)
    assert (report.entries, report.broken) == (4, None)


async def test_a_log_of_another_type_begins_anew(seeded: Seeded) -> None:
    await seeded.redis.call("SET", keys.audit(COMPANY), "x")
    audits = Audits(seeded.redis)
    await audits.append(COMPANY, 7, [DEED])
    assert (await audits.check(COMPANY)).entries == 1


async def test_pages_go_through_all_in_order(seeded: Seeded) -> None:
    audits = Audits(seeded.redis)
    await audits.append(COMPANY, 7, [DEED] * (PAGE + 10))
    numbers = [read(one.link.text).n async for page in audits.pages(COMPANY) for one in page]
    assert numbers == list(range(1, PAGE + 11))
    newest = await audits.newest(COMPANY, None, 2)
    older = await audits.newest(COMPANY, newest[-1].id, 1)
    assert [read(one.link.text).n for one in (*newest, *older)] == [PAGE + 10, PAGE + 9, PAGE + 8]


async def test_deeds_that_come_together_are_stored_together(seeded: Seeded) -> None:
    audits = _Counted(seeded.redis)
    trail = AuditTrail(audits, COMPANY, lambda: 7.0)
    await together(*(trail.note(COMPANY, DEED) for _ in range(150)))
    assert audits.writes <= 3
    assert (await audits.check(COMPANY)).entries == 150


class _Counted(Audits):
    writes = 0

    async def append(self, company: str, at: int, deeds: Any) -> None:
        self.writes += 1
        await super().append(company, at, deeds)


class _Broken(Audits):
    """Which cannot be written to, or not yet."""

    def __init__(self, redis: Redis, ready: Callable[[], Awaitable[None]]) -> None:
        super().__init__(redis)
        self._ready = ready

    async def append(self, company: str, at: int, deeds: Any) -> None:
        await self._ready()


async def test_a_deed_that_cannot_be_stored_is_not_to_be_done(seeded: Seeded) -> None:
    async def away() -> None:
        raise UnavailableError("Redis is away")

    trail = AuditTrail(_Broken(seeded.redis, away), COMPANY, lambda: 7.0)
    with pytest.raises(UnavailableError, match="Redis is away"):
        await trail.note(COMPANY, DEED)


async def test_too_many_that_wait_are_refused(seeded: Seeded) -> None:
    open_: Deferred[None] = Deferred()

    async def late() -> None:
        await open_

    trail = AuditTrail(_Broken(seeded.redis, late), COMPANY, lambda: 7.0)
    first = Deferred.fromCoroutine(trail.note(COMPANY, DEED))
    others = [Deferred.fromCoroutine(trail.note(COMPANY, DEED)) for _ in range(MOST_WAITING)]
    with pytest.raises(UnavailableError, match="too much waits"):
        await trail.note(COMPANY, DEED)
    others[0].cancel()  # a client that leaves
    others[0].addErrback(lambda _: None)
    open_.callback(None)
    await gatherResults([first, *others[1:]])
    await trail.stop()


async def test_what_nobody_identified_did_is_counted_by_source_and_minute(seeded: Seeded) -> None:
    audits = Audits(seeded.redis)
    trail = AuditTrail(audits, COMPANY, lambda: 7.0)
    for _ in range(1000):
        trail.refused("192.0.2.7", "unauthorized")
    trail.refused("192.0.2.8", "unauthorized")
    await trail.tick()
    await trail.tick()
    found = [read(one.link.text).deed for one in await audits.newest(COMPANY, None, 10)]
    assert {(deed.address, deed.count, deed.decision) for deed in found} == {
        ("192.0.2.7", 1000, "denied"),
        ("192.0.2.8", 1, "denied"),
    }


async def test_a_flood_of_sources_is_bounded(seeded: Seeded) -> None:
    audits = Audits(seeded.redis)
    trail = AuditTrail(audits, COMPANY, lambda: 7.0)
    for number in range(MOST_SOURCES + 500):
        trail.refused(f"192.0.2.{number}", "unauthorized")
    await trail.tick()
    assert (await audits.check(COMPANY)).entries == MOST_SOURCES + 1
    assert read((await audits.newest(COMPANY, None, 1))[0].link.text).deed.count == 500


async def test_the_oldest_are_exported_before_they_go(seeded: Seeded, tmp_path: Path) -> None:
    from twisted.internet import reactor  # noqa: PLC0415, TID251 (files are written in its threads)

    audits = Audits(seeded.redis)
    await seeded.redis.call("SADD", "dpl:companies", COMPANY)
    await audits.append(COMPANY, 7, [DEED] * (PAGE + 20))
    installations = Installations(seeded.redis)
    export = AuditExport(audits, installations, tmp_path, Threads(reactor), owner="m1", most=5)
    other = AuditExport(audits, installations, tmp_path / "2", Threads(reactor), owner="m2", most=5)
    await export.round()
    await other.round()
    file = tmp_path / "audit" / f"{COMPANY}.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["entry"]["n"] for line in lines] == list(range(1, PAGE + 16))
    assert not (tmp_path / "2").exists()
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    report = await audits.check(COMPANY)
    assert (report.entries, report.first, report.broken) == (5, PAGE + 16, None)
