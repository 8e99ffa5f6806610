"""What every metric store does (DESIGN 8), tried with Whisper files and with a real InfluxDB."""

import shutil
import struct
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import fail
from twisted.internet.error import DNSLookupError
from twisted.web.client import Agent

from deployer.errors import StartError, UnavailableError
from deployer.kit.threads import Threads
from deployer.model.slots import Rows
from deployer.model.storage import Plans, SchemaRule
from deployer.protocol.stats import How
from deployer.stores.metrics import influxlines
from deployer.stores.metrics.influx import InfluxStore
from deployer.stores.metrics.influxaddress import parse
from deployer.stores.metrics.store import MetricStore
from deployer.stores.metrics.whisper import WhisperStore
from support.influx import Influx, running_influx

NOW = 1_795_900_000
START = NOW - 600 - (NOW - 600) % 300
PLANS = Plans([SchemaRule("^fine", "1s:1h,60s:1d")])


@pytest.fixture(scope="module")
def influx() -> Iterator[Influx]:
    if shutil.which("influxd") is None:
        pytest.skip("influxd is not installed: apt install influxdb")
    with running_influx() as server:
        yield server


@pytest_twisted.async_yield_fixture(params=["whisper", "influxdb"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MetricStore]:
    from twisted.internet import reactor  # noqa: PLC0415, TID251 (threads and sockets)

    if request.param == "whisper":
        made: Any = WhisperStore(tmp_path, PLANS, Threads(reactor), lambda: float(NOW))
    else:
        server: Influx = request.getfixturevalue("influx")
        server.ask("DROP DATABASE tried")
        server.ask("CREATE DATABASE tried")
        made = InfluxStore(parse(f"influxdb://127.0.0.1:{server.port}/tried"), PLANS, reactor)
    yield made
    await made.stop()


async def read(
    store: MetricStore, hows: Mapping[str, How], span: tuple[int, int] = (START, START + 300), points: int = 1000
) -> dict[str, list[float | None]]:
    return {one.name: one.values for one in await store.fetch("acme", hows, *span, points)}


async def test_what_was_written_is_read_in_its_slots(store: MetricStore) -> None:
    rows: Rows = {"a.b": [(START, 1.0), (START + 60, 2.5)], "a.c": [(START + 270, -3.0)]}
    hows: dict[str, How] = {"a.b": "average", "a.c": "last"}
    await store.write("acme", rows, hows)
    nothing = [None] * 7
    assert await read(store, hows) == {"a.b": [1.0, None, 2.5, *nothing], "a.c": [None, None, *nothing, -3.0]}
    (first, _) = await store.fetch("acme", hows, START, START + 300, 1000)
    assert (first.start, first.step, first.end, first.how) == (START, 30, START + 300, "average")


async def test_a_second_value_of_a_slot_takes_its_place(store: MetricStore) -> None:
    await store.write("acme", {"a": [(START, 1.0)]}, {"a": "sum"})
    await store.write("acme", {"a": [(START, 7.0)]}, {"a": "sum"})
    assert (await read(store, {"a": "sum"}))["a"][0] == 7.0


@pytest.mark.parametrize(("how", "value"), [("sum", 10.0), ("average", 2.5), ("min", 1.0), ("max", 4.0), ("last", 4.0)])
async def test_fewer_points_than_there_are_slots_are_made_as_the_series_is_merged(
    store: MetricStore, how: How, value: float
) -> None:
    rows: Rows = {"a": [(START + 30 * place, place + 1.0) for place in range(4)]}
    await store.write("acme", rows, {"a": how})
    (found,) = await store.fetch("acme", {"a": how}, START, START + 300, 2)
    assert (found.step, found.values) == (150, [value, None])


async def test_companies_have_nothing_in_common(store: MetricStore) -> None:
    await store.write("acme", {"a": [(START, 1.0)]}, {"a": "last"})
    await store.write("other", {"a": [(START, 2.0)]}, {"a": "last"})
    assert (await read(store, {"a": "last"}))["a"][0] == 1.0
    assert await store.fetch("nobody", {"a": "last"}, START, START + 300, 10) == []


async def test_series_with_different_tags_are_different_series(store: MetricStore) -> None:
    names = [
        "a",
        "a;dc=x",
        "a;dc=x;rack=r 1,=\\%",
        "a;dc=y\\",
        "a;time=noon",
        "a;deployer_company=other",
        "a;dc=\"quoted\" and 'so'",
        "a;dé=ü",
    ]
    hows: dict[str, How] = dict.fromkeys(names, "last")
    await store.write("acme", {name: [(START, float(place))] for place, name in enumerate(names)}, hows)
    found = await read(store, hows)
    assert {name: values[0] for name, values in found.items()} == {name: float(p) for p, name in enumerate(names)}
    assert list(found) == names


async def test_what_is_not_there_is_left_out(store: MetricStore) -> None:
    await store.write("acme", {"a": [(START, 1.0)]}, {"a": "last"})
    assert list(await read(store, {"b": "last", "a": "last", "a.b": "last"})) == ["a"]


async def test_a_series_that_is_removed_is_gone_and_others_stay(store: MetricStore) -> None:
    hows: dict[str, How] = {"a.b;x=it's": "last", "a.b": "last", "a.c": "last"}
    await store.write("acme", {name: [(START, 1.0)] for name in hows}, hows)
    await store.remove("acme", ["a.b;x=it's", "a.c"])
    assert list(await read(store, hows)) == ["a.b"]


async def test_a_series_has_the_steps_of_its_rule(store: MetricStore) -> None:
    await store.write("acme", {"fine.x": [(START, 1.0), (START + 1, 2.0)]}, {"fine.x": "last"})
    (found,) = await store.fetch("acme", {"fine.x": "last"}, START, START + 3, 10)
    assert (found.step, found.values) == (1, [1.0, 2.0, None])


async def test_many_series_are_written_and_read_at_once(store: MetricStore) -> None:
    hows: dict[str, How] = {f"many.n{number}": "average" for number in range(1200)}
    await store.write("acme", {name: [(START + 30, 1.0)] for name in hows}, hows)
    found = await read(store, hows)
    assert len(found) == 1200
    assert all(values[1] == 1.0 for values in found.values())


STEP_OF_NOTHING = struct.pack("!2LfL3L", 1, 86_400, 0.0, 1, 28, 0, 10) + bytes(120)
"""A whole Whisper file but for its step."""


class TestWhisper:
    """What only files do."""

    @pytest.fixture
    def files(self, tmp_path: Path) -> WhisperStore:
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (threads)

        return WhisperStore(tmp_path, PLANS, Threads(reactor), lambda: float(NOW))

    async def test_a_file_has_the_size_that_is_known_beforehand_and_is_for_its_owner_only(
        self, files: WhisperStore
    ) -> None:
        await files.write("acme", {"a.b": [(START, 1.0)]}, {"a.b": "last"})
        path = files.path("acme", "a.b")
        assert path.stat().st_size == PLANS.plan("a.b").size
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700

    async def test_a_damaged_file_is_put_aside_and_the_series_goes_on(self, files: WhisperStore) -> None:
        path = files.path("acme", "a.b")
        for number, content in enumerate((b"", b"nonsense", b"\x00" * 40)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            assert await files.fetch("acme", {"a.b": "last"}, START, START + 30, 10) == []
            await files.write("acme", {"a.b": [(START, 1.0)]}, {"a.b": "last"})
            assert (await read(files, {"a.b": "last"}))["a.b"][0] == 1.0
            assert files.broken == number + 1

    async def test_a_file_whose_head_has_impossible_numbers_is_put_aside_too(self, files: WhisperStore) -> None:
        path = files.path("acme", "a.b")
        path.parent.mkdir(parents=True)
        path.write_bytes(STEP_OF_NOTHING)
        await files.write("acme", {"a.b": [(NOW, 1.0)]}, {"a.b": "last"})
        assert files.broken == 1

    async def test_a_file_that_was_made_under_other_rules_is_still_read(self, tmp_path: Path) -> None:
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (threads)

        made = [
            WhisperStore(tmp_path, Plans([SchemaRule("", rule)]), Threads(reactor), lambda: float(NOW))
            for rule in ("30s:1h,5m:1d", "60s:2h")
        ]
        await made[0].write("acme", {"a.b": [(START, 1.0), (START + 60, 2.0)]}, {"a.b": "last"})
        (found,) = await made[1].fetch("acme", {"a.b": "last"}, START, START + 120, 100)
        assert (found.step, found.values) == (60, [1.0, 2.0])

    async def test_removing_leaves_no_empty_folders(self, files: WhisperStore, tmp_path: Path) -> None:
        hows: dict[str, How] = {"a.b.c": "last", "a.x": "last"}
        await files.write("acme", {name: [(START, 1.0)] for name in hows}, hows)
        await files.remove("acme", ["a.b.c", "never.was"])
        assert [str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*") if one.is_dir()] == ["acme", "acme/a"]

    @given(st.text(max_size=30), st.lists(st.text(max_size=10), max_size=3))
    def test_no_name_leads_out_of_the_folder(self, path: str, tags: list[str]) -> None:
        files = WhisperStore(Path("/metrics"), PLANS, Threads(None), lambda: 0.0)
        name = ";".join([path, *tags])
        try:
            made = files.path("acme", name)
        except ValueError:
            return
        assert ".." not in made.parts
        assert made.is_relative_to("/metrics/acme")

    async def test_a_part_longer_than_a_file_name_may_be_is_shortened(self, files: WhisperStore) -> None:
        hows: dict[str, How] = {f"a.{'x' * 300}.{'y' * 300}": "last", f"a.{'x' * 300}.{'y' * 299}": "last"}
        await files.write("acme", {name: [(START, float(len(name)))] for name in hows}, hows)
        assert {name: values[0] for name, values in (await read(files, hows)).items()} == {
            name: float(len(name)) for name in hows
        }

    async def test_a_time_long_ago_is_read_in_coarser_steps(self, files: WhisperStore) -> None:
        hows: dict[str, How] = {"a": "average"}
        await files.write("acme", {"a": [(START + 30 * place, 1.0) for place in range(10)]}, hows)
        (found,) = await files.fetch("acme", hows, NOW - 3 * 86400, NOW, 10_000)
        assert found.step == 300
        assert 1.0 in found.values
        (longest,) = await files.fetch("acme", hows, NOW - 10 * 365 * 86400, NOW, 100_000)
        assert longest.step == 3600

    async def test_a_folder_that_cannot_be_written_is_told(self, files: WhisperStore, tmp_path: Path) -> None:
        (tmp_path / "acme").write_text("in the way")
        with pytest.raises(UnavailableError, match="metrics cannot be written"):
            await files.write("acme", {"a": [(START, 1.0)]}, {"a": "last"})


class TestInflux:
    """What only InfluxDB does."""

    async def test_one_that_is_away_is_told_and_used_again_when_it_is_back(self, influx: Influx) -> None:
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (sockets)

        influx.ask("CREATE DATABASE tried")
        store = InfluxStore(parse(f"influxdb://127.0.0.1:{influx.port}/tried"), PLANS, reactor)
        rows: Rows = {"away": [(START, 1.0)]}
        await store.write("acme", rows, {"away": "last"})
        influx.stop()
        with pytest.raises(UnavailableError, match="cannot be reached"):
            await store.write("acme", rows, {"away": "last"})
        influx.start()
        await store.write("acme", rows, {"away": "last"})
        assert (await read(store, {"away": "last"}))["away"][0] == 1.0
        await store.stop()

    async def test_a_database_that_does_not_exist_is_told(self, influx: Influx) -> None:
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (sockets)

        store = InfluxStore(parse(f"influxdb://127.0.0.1:{influx.port}/nowhere"), PLANS, reactor)
        with pytest.raises(UnavailableError, match="not found"):
            await store.write("acme", {"a": [(START, 1.0)]}, {"a": "last"})
        with pytest.raises(UnavailableError, match="not found"):
            await store.fetch("acme", {"a": "last"}, START, START + 300, 10)
        await store.stop()

    async def test_a_name_that_nobody_knows_is_one_that_is_away(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (sockets)

        monkeypatch.setattr(Agent, "request", lambda *_: fail(DNSLookupError("no results")))
        store = InfluxStore(parse("influxdb://nowhere.invalid/tried", allow_plaintext=True), PLANS, reactor)
        with pytest.raises(UnavailableError, match="cannot be reached"):
            await store.write("acme", {"a": [(START, 1.0)]}, {"a": "last"})
        await store.stop()


@pytest.mark.parametrize(
    "url",
    [
        "influxdb://",
        "influxdb://h",
        "influxdb://h/a/b",
        "http://h/a",
        "influxdb://10.0.0.1/a",
        "influxdb://127.0.0.1:x/a",
        "influxdb://u:secret@[::1/a",
    ],
)
def test_a_setting_that_is_no_influxdb_is_refused(url: str) -> None:
    with pytest.raises(StartError):
        parse(url)


def test_an_address_has_its_parts() -> None:
    found = parse("influxdbs://us%3Aer:p%40ss@db.example/metrics")
    assert (found.url, found.database) == ("https://db.example:8086", "metrics")
    assert found.authorization == "Basic dXM6ZXI6cEBzcw=="
    assert parse("influxdb://10.0.0.1/a", allow_plaintext=True).url == "http://10.0.0.1:8086"


@pytest.mark.parametrize("answer", [b"", b"[]", b'{"results":1}', b'{"error":"no"}', b'{"results":[{"error":"no"}]}'])
def test_an_answer_that_is_none_is_told(answer: bytes) -> None:
    with pytest.raises(influxlines.QueryError):
        influxlines.read(answer)
