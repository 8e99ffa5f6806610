"""What no datagram may do (RELIABILITY U1 to U8): raise, be answered, forge, grow without end, hold up others."""

import itertools
import random
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from twisted.internet.task import Clock

from deployer.ingest.aggregate import MOST
from deployer.ingest.buffer import Buffer
from deployer.ingest.graphite import GraphiteTaker
from deployer.ingest.notices import Notices
from deployer.ingest.points import PointBuffer
from deployer.ingest.port import HELD_BYTES, Taker
from deployer.ingest.sources import Source
from deployer.ingest.statsd import StatsdTaker
from deployer.ingest.streams import NAMES_PER_COMPANY, Streams
from deployer.ingest.syslog import SyslogTaker
from deployer.model.series import Datum, is_series
from deployer.protocol.messages import StoredMessage
from deployer.stores.logs import Said
from support.receiving import Receiving
from support.seeded import COMPANY

SEED = 20261128
COUNT = 100_000
NOW = 1_800_000_000.0
SEEDS = (
    b'<34>1 2026-10-11T22:14:15.003Z host app 12 ID [a@1 k="v\\""][b] \xef\xbb\xbfmessage',
    b"<34>Oct 11 22:14:15 host su[12]: message\n<34>Oct 11",
    b"<189>12: *Oct 11 22:14:15.123 UTC: %SYS-5-CONFIG_I: by",
    b'<14>app: @cee:{"a":[1,{"b":null}]}',
    b"a.b:1|c|@0.5|#k:v,flag\na:1:2:3|ms\nx:y|s\ng:+1|g",
    b"_e{2,4}:Up|done|t:error|#a:b\n_sc|db|2|h:x|m:down",
    b"a.b;k=v 1.5 1800000000\nc 2\n../x 1",
)  # fmt: skip


def datagrams(count: int) -> Any:
    """Random bytes, some long, and real datagrams with some bytes changed, cut, doubled."""
    chance = random.Random(SEED)  # noqa: S311 (the same each time)
    for number in range(count):
        if number % 5 == 0:
            longest = 65_507 if number % 5000 == 0 else 120
            yield chance.randbytes(chance.randrange(longest))
            continue
        data = bytearray(chance.choice(SEEDS))
        for _ in range(chance.randrange(4)):
            place = chance.randrange(len(data))
            data[place : place + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
        yield bytes(data[: chance.randrange(len(data) + 1)] if number % 3 == 0 else data)


class Kept:
    """Everything that the takers gave away."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.companies: set[str] = set()
        self.streams: set[str] = set()
        self.messages = 0
        self.series: set[str] = set()
        self.numbers = 0
        self.buffer = Buffer(self._append, self.clock)
        self.points = PointBuffer(self._store, self.clock)

    async def _append(self, company: str, said: Sequence[Said]) -> int:
        self.companies.add(company)
        for one in said:
            found = msgspec.json.decode(one.messages, type=list[StoredMessage])
            assert len(found) == one.count
            assert not any(set("\n\r\x00\x1b") & set(message.data + message.host) for message in found)
            self.messages += one.count
            self.streams.add(one.stream)
        return 0

    async def _store(self, company: str, data: Sequence[Datum]) -> None:
        self.companies.add(company)
        self.numbers += len(data)
        self.series.update(one.series for one in data)


def fed(taker: Taker, kept: Kept, count: int = COUNT) -> None:
    source = Source("10.0.0.1", "acme")
    taker.wake(NOW)
    for number, data in enumerate(datagrams(count)):
        taker.take(data, source)
        if number % 1000 == 0:
            kept.clock.advance(0.1)


async def test_any_bytes_are_a_message_of_syslog_or_counted() -> None:
    kept = Kept()
    kept.buffer.start()
    streams = Streams("syslog", "default")
    levels = Counter[int]()
    taker = SyslogTaker(kept.buffer, streams, lambda _, level: levels.update([level]))
    fed(taker, kept)
    await kept.buffer.stop()
    assert kept.messages + taker.empty == COUNT
    assert levels.total() == kept.messages
    assert (kept.buffer.dropped, kept.buffer.lost) == (0, 0)
    assert kept.companies == {"acme"}
    assert len(kept.streams) <= NAMES_PER_COMPANY + 1
    assert all(stream.startswith("c:acme:log.syslog.") for stream in kept.streams)


async def test_any_bytes_are_samples_notices_or_bad_lines_of_statsd() -> None:
    kept = Kept()
    notices = Notices(kept.buffer, Streams("statsd", "default"))
    taker = StatsdTaker(kept.points, notices, kept.clock, lambda: NOW)
    taker.start()
    for part in (kept.buffer, kept.points):
        part.start()
    fed(taker, kept)
    kept.clock.advance(0.3)
    taker.wake(NOW + 30)
    for _ in range(20):
        kept.clock.advance(0.1)
    assert min(taker.samples, taker.bad_lines, taker.notices, kept.numbers) > 1000
    assert kept.companies == {"acme"}
    assert all(map(is_series, kept.series))
    assert kept.streams <= {"c:acme:log.statsd.events", "c:acme:log.statsd.checks"}


async def test_any_bytes_are_points_or_bad_lines_of_graphite() -> None:
    kept = Kept()
    kept.points.start()
    taker = GraphiteTaker(kept.points)
    fed(taker, kept)
    await kept.points.stop()
    assert min(taker.points, taker.bad_lines, taker.bad_names) > 1000
    assert kept.numbers == taker.points
    assert all(map(is_series, kept.series))
    assert not any("/" in name.partition(";")[0] or ".." in name.partition(";")[0] for name in kept.series)


async def test_a_bomb_of_names_ends_in_the_overflow_of_its_company(receive: Any) -> None:
    receiving: Receiving = await receive(statsd=("udp:0", "udp:0"), step=30)
    sender = receiving.sender()
    names = (b"bomb.%d:1|c" % number for number in range(30_000))
    while some := list(itertools.islice(names, 1000)):
        sender.send(b"\n".join(some))
    await receiving.until("statsd", lambda seen: seen["samples"] == 30_000)
    seen = await receiving.counts("statsd")
    assert seen["overflow"] == 30_000 - MOST
    await receiving.receivers.close()
    numbers = [
        one for one in receiving.numbers[COMPANY] if one.series.startswith("stats.counters.") and one.how == "sum"
    ]
    assert sum(one.value for one in numbers if "statsd" not in one.series) == 30_000
    assert len({one.series for one in numbers}) <= MOST + 10


async def test_no_name_has_parts_of_a_path(receive: Any) -> None:
    receiving: Receiving = await receive(graphite=("udp:0",), syslog=("udp:0",))
    for name in ("../../etc/cron.d/x", "/abs", "a..b", "a/b", "a\\b", "%2e%2e/x", "..", "CON"):
        receiving.sender(0).send(f"<14>{name}: x".encode())
        receiving.sender(1).send(f"{name} 1".encode())
    await receiving.until("syslog", lambda seen: seen["stored"] == 8)
    await receiving.until("graphite", lambda seen: seen["bad_names"] == 7 and seen["points"] == 1)
    streams = [raw.decode() for raw in await receiving.served.seeded.redis.call("KEYS", "log.syslog.*")]
    assert not [stream for stream in streams if "/" in stream or "\\" in stream or ".." in stream]


async def test_random_datagrams_to_real_sockets_are_all_counted_and_never_answered(receive: Any) -> None:
    receiving: Receiving = await receive(syslog=("udp:0",), statsd=("udp:0",), graphite=("udp:0",))
    senders = [receiving.sender(place) for place in range(3)]
    count = 3000
    for number, data in enumerate(datagrams(count)):
        for sender in senders:
            sender.send(data)
        if number % 50 == 0:
            await receiving.counts("syslog")
    for kind in ("syslog", "statsd", "graphite"):
        await receiving.until(
            kind, lambda seen: seen["received"] + seen["lost_in_kernel"] == count and seen["waiting"] == 0
        )
        assert (await receiving.counts(kind))["lost_in_kernel"] == 0
    seen = await receiving.counts("syslog")
    assert seen["stored"] + seen["empty"] == count


async def test_in_a_flood_the_api_answers_and_the_counters_add_up(receive: Any) -> None:
    receiving: Receiving = await receive(syslog=("udp:0",), ingest_per_source=20_000)
    sender, sent, answers = receiving.sender(), 0, list[float]()
    end = time.monotonic() + 2
    while time.monotonic() < end:
        sender.send(*[b"<14>Oct 11 22:14:15 host app[1]: " + b"x" * 150] * 2000)
        sent += 2000
        begin = time.monotonic()
        assert (await receiving.served.ask("GET", "/livez", token=None)).status == 200
        answers.append(time.monotonic() - begin)
    await receiving.until(
        "syslog", lambda seen: seen["received"] + seen["lost_in_kernel"] == sent and seen["waiting"] == 0
    )
    seen = await receiving.counts("syslog")
    lost = seen["over_quota"] + seen["dropped"] + seen["lost"] + seen["empty"] + seen["lost_in_kernel"]
    assert seen["stored"] + lost == sent
    assert sorted(answers)[len(answers) // 2] < 0.25
    assert seen["stored"] > 1000


@pytest.mark.parametrize("kind", ["syslog", "statsd", "graphite"])
async def test_what_waits_for_its_turn_is_bounded(receive: Any, kind: str) -> None:
    receiving: Receiving = await receive(**{kind: ("udp:0",)})
    port = receiving.receivers._ports[0][1]
    sender = receiving.sender()
    sender.send(*[b"\n" * 60_000] * 20)
    await receiving.until(kind, lambda seen: seen["received"] + seen["lost_in_kernel"] == 20 and seen["waiting"] == 0)
    assert port.waiting == 0
    assert getattr(port, "_held", 0) == 0 < HELD_BYTES
