"""Syslog on real sockets: what is sent is in its stream, counted, and never answered."""

from typing import Any

import pytest

from deployer.errors import StartError
from deployer.stores.companies import Companies
from deployer.stores.keys import log_stream
from support.receiving import Receiving
from support.seeded import COMPANY
from support.served import Served


async def test_a_message_is_in_the_stream_of_its_application(receive: Any) -> None:
    receiving: Receiving = await receive(syslog=("udp:0",))
    sender = receiving.sender()
    sender.send(b"<12>Oct 11 22:14:15 web1 sshd[7]: no", b'<14>1 2026-10-11T22:14:15.5Z web2 sshd - - - {"a":1}')
    await receiving.until("syslog", lambda seen: seen["stored"] == 2)
    first, second = await receiving.messages("log.syslog.sshd")
    assert (first.level, first.data, first.host, first.task, first.agent) == (7, "no", "web1", "", "")
    assert first.more["procid"] == "7"
    assert first.more["from"] == "127.0.0.1"
    assert (second.level, second.epoch, second.host) == (6, 1_791_756_855_500, "web2")
    assert second.id == first.id + 1


async def test_the_company_is_that_of_the_listener_or_of_the_senders_network(receive: Any, served: Served) -> None:
    companies = Companies(served.seeded.redis)
    await companies.make("g1", "globex", 1)
    await companies.make("i1", "initech", 1)
    receiving: Receiving = await receive(
        syslog=("udp:0", "udp:0:company=globex", "udp:0:company=i1"), source_networks={"127.0.0.9/32": "initech"}
    )
    claim = b'<14>1 - h app - - [origin company="initech"][deployer company="i1"] {"company":"i1"}'
    for place in range(3):
        receiving.sender(place).send(claim)
    receiving.sender(1, source="127.0.0.9").send(claim)
    await receiving.until("syslog", lambda seen: seen["stored"] == 4)
    counts = [len(await receiving.messages(log_stream(one, "syslog", "app"))) for one in (None, "g1", "i1")]
    assert counts == [1, 1, 2]
    assert await served.seeded.redis.call("EXISTS", log_stream(COMPANY, "syslog", "app")) == 0


async def test_an_unknown_company_and_a_port_in_use_stop_the_start(served: Served, receive: Any) -> None:
    with pytest.raises(StartError, match="no company 'nobody'"):
        await receive(syslog=("udp:0:company=nobody",))
    with pytest.raises(StartError, match="no company 'nobody'"):
        await receive(syslog=("udp:0",), source_networks={"10.0.0.0/8": "nobody"})
    receiving: Receiving = await receive(syslog=("udp:0",))
    with pytest.raises(StartError, match="in use"):
        await receive(syslog=(f"udp:{receiving.receivers.places[0][1]}",))


async def test_what_a_sender_sends_too_fast_is_counted_and_not_stored(receive: Any) -> None:
    receiving: Receiving = await receive(syslog=("udp:0",), ingest_per_source=10)
    receiving.sender().send(*[b"<14>app: x"] * 100)
    await receiving.until("syslog", lambda seen: seen["received"] == 100 and seen["waiting"] == 0)
    seen = await receiving.counts("syslog")
    assert seen["over_quota"] >= 80
    assert seen["stored"] + seen["over_quota"] == 100


async def test_names_of_applications_end_in_one_stream(receive: Any) -> None:
    receiving: Receiving = await receive(syslog=("udp:0",))
    sender = receiving.sender()
    for begin in range(0, 3000, 100):
        sender.send(*[b"<14>app%d: x" % number for number in range(begin, begin + 100)])
        await receiving.until("syslog", lambda seen, end=begin + 100: seen["stored"] == end)  # type: ignore[misc]
    assert (await receiving.counts("syslog"))["overflow_stream"] == 2000
    assert len(await receiving.messages("log.syslog._overflow")) == 2000
    assert await receiving.served.seeded.redis.call("ZCARD", f"dpl:c:{COMPANY}:logs") == 1001


async def test_what_is_too_long_for_a_buffer_that_is_full_is_counted_by_the_kernel(receive: Any) -> None:
    receiving: Receiving = await receive(syslog=("udp:0",))
    sender = receiving.sender()
    sent = 0
    while sent < 30_000:
        sender.send(*[b"<14>app: " + b"x" * 200] * 100)
        sent += 100
    await receiving.until("syslog", lambda seen: seen["received"] + seen["lost_in_kernel"] == 30_000)
    await receiving.until("syslog", lambda seen: seen["waiting"] == 0)
    seen = await receiving.counts("syslog")
    assert seen["lost_in_kernel"] > 0
    assert seen["stored"] + seen["lost_in_kernel"] + seen["dropped"] == 30_000


async def test_messages_of_ports_that_answer_by_themselves_are_not_answered(receive: Any) -> None:
    receiving: Receiving = await receive(syslog=("udp:0",))
    for port in (19, 53, 123):
        try:
            receiving.sender(source="127.0.0.7", source_port=port).send(b"<14>app: x", b"", b"\xff" * 1000)
        except PermissionError:
            pytest.skip("ports below 1024 are not ours")
    await receiving.until("syslog", lambda seen: seen["received"] == 9 and seen["waiting"] == 0)
    seen = await receiving.counts("syslog")
    assert (seen["stored"], seen["empty"], seen["unparsed"]) == (6, 3, 3)
