"""Server-Sent Events as the HTML standard says, however the chunks are cut."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from deployer.client.sse import Event, Parser

FIELDS = st.sampled_from(
    [
        *("data", "data:", "data: a", "data:  b", "data:ä€", "id: 1.0", "id", "id: a\0b", "event: end"),
        *("retry: 10", "retry: x", ": ping", ":", "unknown: x", "", ""),
    ]
)
STREAMS = st.tuples(
    st.sampled_from(["", "\ufeff"]), st.lists(st.tuples(FIELDS, st.sampled_from(["\n", "\r", "\r\n"])))
).map(lambda parts: (parts[0] + "".join(line + end for line, end in parts[1])).encode())


def parse(*chunks: bytes) -> list[Event]:
    parser = Parser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


@given(STREAMS, st.lists(st.integers(0, 200)))
def test_events_do_not_depend_on_where_the_chunks_are_cut(stream: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    chunks = [stream[a:b] for a, b in itertools.pairwise(places)]
    assert parse(*chunks, b"\n") == parse(stream, b"\n")


@given(st.binary())
def test_no_bytes_break_the_parser(data: bytes) -> None:
    assert parse(data) == [event for event in parse(data) if event.type]


def test_a_message_has_its_id_and_data_of_several_lines() -> None:
    assert parse(b"id: 5-0.1\ndata: a\ndata:\ndata:  b\n\n") == [Event("message", "a\n\n b", "5-0.1")]


def test_comments_and_events_without_data_are_skipped() -> None:
    assert parse(b": ping\n\nevent: x\n\nid: 1\n\ndata: y\n\n") == [Event("message", "y", "1")]


def test_an_event_keeps_the_last_id_and_names_its_type_once() -> None:
    first, second = parse(b"id: 1\ndata: a\n\nevent: end\ndata: b\n\n")
    assert (first.id, second.id, second.type) == ("1", "1", "end")


def test_an_empty_id_forgets_the_last_one() -> None:
    assert [event.id for event in parse(b"id: 1\ndata: a\n\nid\ndata: b\n\n")] == ["1", ""]


def test_an_event_cut_off_by_the_end_never_comes_and_does_not_move_the_id() -> None:
    parser = Parser()
    assert list(parser.feed(b"id: 1\ndata: a\n\nid: 2\ndata: b\n")) == [Event("message", "a", "1")]
    assert parser.last_id == "1"


def test_retry_is_taken_when_it_is_digits() -> None:
    parser = Parser()
    assert list(parser.feed(b"retry: 250\nretry: no\nretry: -1\n\n")) == []
    assert parser.retry_ms == 250


def test_a_byte_order_mark_at_the_start_is_skipped() -> None:
    assert parse(b"\xef\xbb", b"\xbfdata: a\n\n") == [Event("message", "a", "")]
