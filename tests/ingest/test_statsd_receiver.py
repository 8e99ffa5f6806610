"""Statsd on real sockets: numbers by company, bad lines counted, nothing fatal, nothing answered (RELIABILITY U3)."""

import math
from typing import Any

from twisted.internet.task import Clock

from deployer.ingest.buffer import Buffer
from deployer.ingest.notices import Notices
from deployer.ingest.points import PointBuffer
from deployer.ingest.sources import Source
from deployer.ingest.statsd import StatsdTaker
from deployer.ingest.streams import Streams
from deployer.model.series import Datum
from deployer.stores.companies import Companies
from support.receiving import Receiving
from support.seeded import COMPANY
from support.served import Served


async def test_samples_are_numbers_of_their_slot(receive: Any) -> None:
    receiving: Receiving = await receive(statsd=("udp:0",))
    receiving.sender().send(b"hits:1|c\nhits:2|c\nload:0.5|g|#host:web1", b"who:x|s\n\nbad\n")
    await receiving.until("received_points", lambda seen: seen["stored"] >= 7)
    assert receiving.value(COMPANY, "stats.counters.hits.count") == 3
    assert receiving.value(COMPANY, "stats.counters.hits.rate") == 3
    assert receiving.value(COMPANY, "stats.gauges.load;host=web1") == 0.5
    assert receiving.value(COMPANY, "stats.sets.who.count") == 1
    own = {one.series: one.value for one in reversed(receiving.numbers[COMPANY]) if "statsd" in one.series}
    assert own == {
        "stats.counters.statsd.bad_lines_seen.count": 1,
        "stats.counters.statsd.metrics_received.count": 4,
        "stats.counters.statsd.packets_received.count": 2,
    }
    seen = await receiving.counts("statsd")
    assert (seen["received"], seen["samples"], seen["bad_lines"], seen["empty"]) == (2, 4, 1, 0)


async def test_numbers_are_of_the_company_of_the_listener(receive: Any, served: Served) -> None:
    await Companies(served.seeded.redis).make("g1", "globex", 1)
    receiving: Receiving = await receive(statsd=("udp:0", "udp:0:company=globex"))
    for place, name in enumerate((b"mine", b"theirs")):
        receiving.sender(place).send(name + b":1|g|#company:" + COMPANY.encode())
    await receiving.until("received_points", lambda seen: seen["stored"] >= 2)
    await receiving.receivers.close()
    assert receiving.value(COMPANY, f"stats.gauges.mine;company={COMPANY}") == 1
    assert receiving.value("g1", f"stats.gauges.theirs;company={COMPANY}") == 1
    assert not [one for one in receiving.numbers[COMPANY] if "theirs" in one.series]


async def test_events_and_checks_are_messages(receive: Any) -> None:
    receiving: Receiving = await receive(statsd=("udp:0",))
    receiving.sender().send(
        b"_e{2,4}:Up|done|t:error|h:web1\n_sc|db|2|m:down\nforged\n_e{9,9}:x", b"_e{3,4}:a\x1bb|done"
    )
    await receiving.until("statsd", lambda seen: seen["notices_stored"] == 3)
    first, second = await receiving.messages("log.statsd.events")
    (check,) = await receiving.messages("log.statsd.checks")
    assert (first.level, first.data, first.host, first.more["from"]) == (8, "Up: done", "web1", "127.0.0.1")
    assert second.data == "a#033b: done"
    assert (check.level, check.data, check.host) == (9, "db is critical: down", "127.0.0.1")
    assert (await receiving.counts("statsd"))["bad_lines"] == 2


HOSTILE = [
    b"a:1|c|@0", b"a:1|c|@-1", b"a:1|c|@nan", b"a:1|c|@inf", b":1|c", b"a:|g", b"a:1e400|ms", b"a:nan|g", b"a:inf|g",
    b"a:1|x", b"a:1", b"a", b"|", b":", b"a:1|", b"a|c", b"a\x00b:1|c", b"..:1|c", b"a..b:1|c", b"a:1_0|c",
    "a:\u0661|c".encode(), b"a:" + b"1" * 100 + b"|c", b"a" * 20_000 + b":1|c",
    b"a:" + b":".join([b"1"] * 2000) + b"|ms",
    b"a:1|c|#" + b"k:v," * 3000,
]  # fmt: skip


async def test_each_bad_line_is_counted_and_the_good_ones_beside_it_count(receive: Any) -> None:
    receiving: Receiving = await receive(statsd=("udp:0",))
    sender = receiving.sender()
    for line in HOSTILE:
        sender.send(b"good:1|c\n" + line + b"\ngood:1|c")
    await receiving.until("statsd", lambda seen: seen["received"] == len(HOSTILE))
    seen = await receiving.counts("statsd")
    assert (seen["bad_lines"], seen["samples"]) == (len(HOSTILE), 2 * len(HOSTILE))
    await receiving.receivers.close()
    total = sum(one.value for one in receiving.numbers[COMPANY] if one.series == "stats.counters.good.count")
    assert total == 2 * len(HOSTILE)
    assert all(math.isfinite(one.value) for one in receiving.numbers[COMPANY])


async def test_ten_thousand_samples_in_a_datagram_are_all_counted(receive: Any) -> None:
    receiving: Receiving = await receive(statsd=("udp:0",))
    receiving.sender().send(b"\n".join([b"a:1|c"] * 10_000))
    await receiving.until("statsd", lambda seen: seen["samples"] == 10_000)


class Wall:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_datagram_after_the_end_of_a_slot_is_of_the_next_however_late_the_flush() -> None:
    clock, wall, stored = Clock(), Wall(), list[Datum]()

    async def store(company: str, data: Any) -> None:
        stored.extend(data)

    points = PointBuffer(store, clock)
    points.start()
    quiet = Notices(Buffer(lambda *_: None, clock), Streams("statsd", "acme"))  # type: ignore[arg-type,return-value]
    taker = StatsdTaker(points, quiet, clock, wall, step=30)
    taker.start()
    source = Source("127.0.0.1", "acme")
    taker.wake(wall())
    taker.take(b"a:1|g", source)
    wall.now = 1023.0
    taker.wake(wall())
    taker.take(b"a:2|g", source)
    for _ in range(5):
        clock.advance(0.1)
    wall.now = 1050.0
    for _ in range(5):
        clock.advance(0.1)
    assert [(one.at, one.value) for one in stored if one.series == "stats.gauges.a"] == [(990, 1), (1020, 2)]
