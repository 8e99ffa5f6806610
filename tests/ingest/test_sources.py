"""What one sender may send, and how many are told apart; streams of a company."""

from deployer.ingest.sources import Sources
from deployer.ingest.streams import FORGET_S, OVERFLOW, Streams


def of(address: str) -> str:
    return "acme" if address.startswith("10.") else "globex"


def test_a_sender_may_send_so_many_in_a_second_and_goes_on_in_the_next() -> None:
    sources = Sources(of, 2)
    first = sources.admit("10.0.0.1", 100.0)
    assert first is not None
    assert (first.company, first.address) == ("acme", "10.0.0.1")
    assert sources.admit("10.0.0.1", 100.5) is first
    assert sources.admit("10.0.0.1", 100.9) is None
    assert sources.admit("10.0.0.2", 100.9) is not None
    assert sources.admit("10.0.0.1", 101.0) is first


def test_senders_past_the_limit_share_an_allowance_by_company_and_keep_their_address() -> None:
    sources = Sources(of, 2, most=2)
    for address in ("10.0.0.1", "10.0.0.2"):
        sources.admit(address, 100.0)
    for number in range(3, 5):
        shared = sources.admit(f"10.0.0.{number}", 100.1)
        assert shared is not None
        assert (shared.company, shared.address) == ("acme", f"10.0.0.{number}")
    assert sources.admit("10.0.0.5", 100.1) is None
    other = sources.admit("::ffff:9.9.9.9", 100.1)
    assert other is not None
    assert (other.company, other.address) == ("globex", "9.9.9.9")
    assert len(sources) == 2


def test_senders_that_have_been_silent_make_room() -> None:
    sources = Sources(of, 2, most=2)
    for number in range(100):
        assert sources.admit(f"10.0.0.{number}", 100.0 + 2 * number) is not None
        assert len(sources) <= 2


def test_each_application_has_a_stream_up_to_the_limit_of_its_company() -> None:
    streams = Streams("syslog", "default", most=2)
    assert streams.key("default", "ssh/d", 0.0) == "log.syslog.ssh%2Fd"
    assert streams.key("acme", "", 0.0) == "c:acme:log.syslog.unknown"
    assert streams.key("default", "b", 0.0) == "log.syslog.b"
    assert streams.key("default", "c", 0.0) == f"log.syslog.{OVERFLOW}"
    assert streams.key("default", "b", 0.0) == "log.syslog.b"
    assert streams.over == 1


def test_names_that_were_not_heard_for_a_day_make_room() -> None:
    streams = Streams("syslog", "default", most=2)
    streams.key("default", "a", 0.0)
    streams.key("default", "b", 0.0)
    streams.key("default", "b", FORGET_S)
    assert streams.key("default", "c", FORGET_S + 120) == "log.syslog.c"
    assert streams.key("default", "b", FORGET_S + 120) == "log.syslog.b"
    assert streams.key("default", "d", FORGET_S + 240) == f"log.syslog.{OVERFLOW}"
