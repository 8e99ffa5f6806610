from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from deployer.errors import UnavailableError
from deployer.kit.threads import Threads
from deployer.model.series import Datum, Series
from deployer.model.slots import Rows
from deployer.model.storage import AggregationRule, Plans
from deployer.protocol.stats import Flush, How, Point
from deployer.stores import keys
from deployer.stores.installation import Installations
from deployer.stores.metrics.index import Index
from deployer.stores.metrics.store import MetricStore
from deployer.stores.metrics.turn import Turn
from deployer.stores.metrics.whisper import WhisperStore
from deployer.stores.points import Points
from deployer.telemetry.metrickeeper import MetricKeeper, Shelf
from deployer.telemetry.metricsource import MetricSource
from support.failures import LoggedFailures
from support.seeded import COMPANY, Seeded

NOW = 1_795_900_000
AT = NOW - NOW % 300 - 300
BOOT = "a" * 32


class Ledger:
    """A store that notes what it is given; `away`: as if it could not be reached."""

    def __init__(self) -> None:
        self.rows: Rows = {}
        self.removed: list[str] = []
        self.away = False
        self.bug = False

    async def write(self, company: str, rows: Rows, hows: Mapping[str, How]) -> None:
        assert company == COMPANY
        assert set(rows) <= set(hows)
        if self.bug:
            raise ValueError("a bug")
        if self.away:
            raise UnavailableError("it is away")
        for series, points in rows.items():
            self.rows[series] = sorted({**dict(self.rows.get(series, ())), **dict(points)}.items())

    async def fetch(self, company: str, hows: Mapping[str, How], start: int, end: int, points: int) -> list[Series]:
        assert company == COMPANY
        values = {name: dict(self.rows.get(name, ())).get(start) for name in hows}
        return [Series(name, start, end - start, [value], hows[name]) for name, value in values.items()]

    async def remove(self, company: str, names: Sequence[str]) -> None:
        assert company == COMPANY
        self.removed += names

    async def stop(self) -> None: ...


class Kept:
    """A keeper and what it stands on."""

    def __init__(self, seeded: Seeded, store: MetricStore, owner: str = "one", most: int = 100) -> None:
        self.now = float(NOW)
        self.points = Points(seeded.redis)
        self.index = Index(seeded.redis, most)
        plans = Plans(aggregations=[AggregationRule("ruled$", "max")])
        shelf = Shelf(self.points, self.index, store, plans, files=owner.startswith("files"))
        companies = Installations(seeded.redis).companies
        self.keeper = MetricKeeper(shelf, Turn(seeded.redis, owner), companies, lambda: self.now)

    async def all(self) -> None:
        while await self.keeper.round():
            pass


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


async def test_numbers_of_agents_become_series_by_gid_nid_domain_and_name(seeded: Seeded, ledger: Ledger) -> None:
    kept = Kept(seeded, ledger)
    points = [
        Point("", "", "cpu.total", "average", 1.5),
        Point("de mo", "ec.ho", "rss", "last", 7.0),
        Point("d", "n", "stats.gauges.x%3Bdc%3Dr%2520%2F1", "last", 2.0),
    ]
    await kept.points.store(await seeded.session(), BOOT, 1, [Flush(AT, 30, points)])
    await kept.all()
    assert ledger.rows == {
        "agents.1.1.host.cpu.total": [(AT, 1.5)],
        "agents.1.1.jobs.de%20mo.ec%2Eho.rss": [(AT, 7.0)],
        "agents.1.1.jobs.d.n.stats.gauges.x;dc=r%20/1": [(AT, 2.0)],
    }
    assert await seeded.redis.call("XLEN", keys.points(COMPANY)) == 0
    assert await seeded.redis.call("GET", f"{keys.points(COMPANY)}:bytes") == b"0"
    assert kept.keeper.stored == 3


async def test_two_points_of_a_slot_are_merged_by_the_series_aggregation(seeded: Seeded, ledger: Ledger) -> None:
    kept = Kept(seeded, ledger)
    for value in (1.0, 5.0, 3.0):
        data = [Datum(name, AT + int(value), value, "sum") for name in ("added", "ruled")]
        assert await kept.points.spool(COMPANY, data) == 0
        await kept.all()
    assert ledger.rows == {"added": [(AT, 9.0)], "ruled": [(AT, 5.0)]}


async def test_what_the_store_did_not_take_is_merged_once_and_comes_again(seeded: Seeded, ledger: Ledger) -> None:
    kept = Kept(seeded, ledger)
    await kept.points.spool(COMPANY, [Datum("a", AT, 1.0, "sum")])
    await kept.all()
    ledger.away = True
    await kept.points.spool(COMPANY, [Datum("a", AT, 2.0, "sum")])
    for _ in range(3):
        assert not await kept.keeper.round()
    assert kept.keeper.failures == 3
    ledger.away = False
    await kept.all()
    assert ledger.rows == {"a": [(AT, 3.0)]}


async def test_series_beyond_the_number_of_a_company_are_counted_and_not_stored(seeded: Seeded, ledger: Ledger) -> None:
    kept = Kept(seeded, ledger, most=4)
    await kept.points.spool(COMPANY, [Datum(f"s{number}", AT, 1.0, "last") for number in range(10)])
    await kept.all()
    assert len(ledger.rows) == 3
    assert kept.index.overflow == 7


async def test_what_is_no_series_or_of_an_impossible_time_is_not_stored(seeded: Seeded, ledger: Ledger) -> None:
    kept = Kept(seeded, ledger)
    strange = ["../../etc/cron.d/x", "/abs", "a..b", ".a.", "a b", ""]
    data = [*(Datum(name, AT, 1.0, "last") for name in strange), Datum("old", 5, 1.0, "last")]
    data += [Datum("good", AT - 60 * 86_400, 2.0, "last"), Datum("good", AT + 86_400, 3.0, "last")]
    await kept.points.spool(COMPANY, [*data, Datum("good", AT, 1.0, "last")])
    await seeded.redis.call("XADD", keys.points(COMPANY), "*", "d", "nonsense")
    await seeded.redis.call("XADD", keys.points(COMPANY), "*", "something", "else")
    await kept.all()
    assert ledger.rows == {"good": [(AT - 60 * 86_400, 2.0), (AT, 1.0)]}  # what was sent late is as welcome
    assert kept.keeper.strange == len(strange) + 4
    assert await seeded.redis.call("XLEN", keys.points(COMPANY)) == 0


async def test_one_master_at_a_time_stores_numbers(seeded: Seeded, ledger: Ledger) -> None:
    one, other = Kept(seeded, ledger, "one"), Kept(seeded, ledger, "other")
    await one.keeper.round()
    await one.points.spool(COMPANY, [Datum("a", AT, 1.0, "sum")])
    assert not await other.keeper.round()
    assert ledger.rows == {}
    await one.keeper.let_go()
    assert await other.keeper.round()
    assert not await one.keeper.round()
    assert ledger.rows == {"a": [(AT, 1.0)]}


async def test_no_master_is_ready_beside_one_that_keeps_files(seeded: Seeded, ledger: Ledger) -> None:
    first = Kept(seeded, ledger, "files 1")
    for other in (Kept(seeded, ledger, "files 2"), Kept(seeded, ledger, "influx")):
        await first.keeper.look()
        await other.keeper.look()
        assert first.keeper.trouble is None
        assert "set `metrics`" in (other.keeper.trouble or "")
        assert not await other.keeper.round()
        await first.keeper.let_go()
        await other.keeper.look()
        assert other.keeper.trouble is None
        await other.keeper.let_go()
    again = Kept(seeded, ledger, "files 1")
    await first.keeper.look()
    await again.keeper.look()
    assert again.keeper.trouble is None


async def test_series_that_nothing_comes_from_are_forgotten_in_time(seeded: Seeded, ledger: Ledger) -> None:
    kept = Kept(seeded, ledger, most=3)
    await kept.points.spool(COMPANY, [Datum(name, AT, 1.0, "last") for name in ("old", "new")])
    await kept.all()
    kept.now += 50 * 86400
    await kept.points.spool(COMPANY, [Datum("new", int(kept.now), 1.0, "last")])
    await kept.all()
    await kept.keeper.reap(60)
    assert ledger.removed == []
    await kept.keeper.reap(40)
    assert ledger.removed == ["old"]
    assert await kept.keeper.sizes() == (1, Plans().plan("new").size)


async def test_what_is_stored_is_read_again(seeded: Seeded, tmp_path: Path) -> None:
    from twisted.internet import reactor  # noqa: PLC0415, TID251 (threads)

    plans = Plans()
    store = WhisperStore(tmp_path, plans, Threads(reactor), lambda: float(NOW))
    kept = Kept(seeded, store)
    await kept.points.spool(COMPANY, [Datum(f"a.{number}", AT, float(number), "average") for number in range(3)])
    await kept.all()
    source = MetricSource(kept.index, store)
    assert list(await source.names(COMPANY)) == ["a.0", "a.1", "a.2"]
    found = await source.fetch(COMPANY, ["a.2", "x", "a.0"], AT, AT + 60, 100)
    assert [(one.name, one.values) for one in found] == [("a.2", [2.0, None]), ("a.0", [0.0, None])]
    assert await source.fetch("other", ["a.0"], AT, AT + 60, 100) == []
    assert await source.fetch(COMPANY, ["a.0"], AT, AT, 100) == []


async def test_a_slot_that_another_master_has_begun_is_gone_on_with(seeded: Seeded, ledger: Ledger) -> None:
    one, other = Kept(seeded, ledger, "one"), Kept(seeded, ledger, "other")
    now = NOW - NOW % 30
    hows: list[How] = ["sum", "min", "max", "last", "average"]
    await one.points.spool(COMPANY, [Datum(how, now, 4.0, how) for how in hows])
    await one.all()
    await one.keeper.let_go()
    await one.points.spool(COMPANY, [Datum(how, now + 5, 2.0, how) for how in hows])
    await other.all()
    assert {name: points[0][1] for name, points in ledger.rows.items()} == {
        "sum": 6.0, "min": 2.0, "max": 4.0, "last": 2.0, "average": 3.0,
    }  # fmt: skip


async def test_what_goes_wrong_with_one_company_does_not_stop_the_others(
    seeded: Seeded, ledger: Ledger, logged_failures: LoggedFailures
) -> None:
    kept = Kept(seeded, ledger)
    ledger.bug = True
    await kept.points.spool(COMPANY, [Datum("a", AT, 1.0, "sum")])
    assert not await kept.keeper.round()
    assert len(logged_failures.flush(ValueError)) == 1
    ledger.bug = False
    await kept.all()
    assert ledger.rows == {"a": [(AT, 1.0)]}
