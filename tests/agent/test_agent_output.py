"""The parser of output levels, by tables and by any chunking."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.protocol.messages import CUT, MAX_BLOCK_BYTES, MAX_LINE_BYTES, UNFINISHED
from deployer_agent.processes.output import Output, OutputParser

TABLE = [
    (b"hello\n", [(1, "hello", 0)]),
    (b"no newline at the end", [(1, "no newline at the end", 0)]),
    (b"\n", [(1, "", 0)]),
    (b"7::careful\n", [(7, "careful", 0)]),
    (b"20::{}\n", [(20, "{}", 0)]),
    (b"30::", [(30, "", 0)]),
    (b"12::no such level\n", [(1, "12::no such level", 0)]),
    (b"999::x\n", [(1, "999::x", 0)]),
    (b"-1::x\n", [(1, "-1::x", 0)]),
    (b"07::x\n", [(1, "07::x", 0)]),
    (b"7:x\n", [(1, "7:x", 0)]),
    (b" 7::x\n", [(1, " 7::x", 0)]),
    (b":::\n", [(1, ":::", 0)]),
    (b"3:::\na\n\nb\n:::\nc\n", [(3, "a\n\nb", 0), (1, "c", 0)]),
    (b"3:::first\n\n:::\n", [(3, "first\n", 0)]),
    (b"3:::\n:::\n", [(3, "", 0)]),
    (b"3:::\n ::: \n::::\n:::\n", [(3, " ::: \n::::", 0)]),
    (b"3:::\n7::inside\n", [(3, "7::inside", UNFINISHED)]),
    (b"a\x00b\rc\r\n", [(1, "a\x00b\rc\r", 0)]),
    (b"\xff\xfe\n", [(1, "\ufffd\ufffd", 0)]),
]


def parse(chunks: list[bytes], level: int = 1) -> Output:
    parser = OutputParser(level)
    return [message for chunk in chunks for message in parser.feed(chunk)] + parser.finish()


@pytest.mark.parametrize(("text", "messages"), TABLE)
def test_levels_are_read_as_the_design_says(text: bytes, messages: Output) -> None:
    assert parse([text]) == messages
    assert parse([bytes([byte]) for byte in text]) == messages


def test_stderr_has_level_two() -> None:
    assert parse([b"oops\n"], 2) == [(2, "oops", 0)]


def test_a_long_line_is_cut_between_characters_and_keeps_its_level() -> None:
    text = "7::" + "ä" * MAX_LINE_BYTES
    messages = parse([text.encode()])
    assert {level for level, _, _ in messages} == {7}
    assert "".join(part for _, part, _ in messages) == text[3:]
    assert max(len(part.encode()) for _, part, _ in messages) <= MAX_LINE_BYTES
    assert [flags for _, _, flags in messages] == [CUT] * (len(messages) - 1) + [0]


def test_a_block_that_is_never_closed_is_given_out_at_one_megabyte() -> None:
    line = b"y" * 999 + b"\n"
    parser = OutputParser(1)
    out = parser.feed(b"3:::\n")
    for _ in range(1100):
        out += parser.feed(line)
    assert [(level, flags) for level, _, flags in out] == [(3, UNFINISHED)]
    assert len(out[0][1]) == MAX_BLOCK_BYTES


def test_a_block_that_is_open_too_long_is_given_out_and_goes_on() -> None:
    parser = OutputParser(1)
    assert parser.feed(b"3:::\nfirst\n") == []
    opened = parser.open_block
    assert parser.expire() == [(3, "first", UNFINISHED)]
    assert parser.expire() == []
    assert parser.open_block is opened
    assert parser.feed(b"second\n:::\nplain\n") == [(3, "second", 0), (1, "plain", 0)]
    assert parser.open_block is None


def test_a_result_on_one_line_is_one_message_up_to_a_megabyte() -> None:
    text = "20::" + "9" * (MAX_BLOCK_BYTES - 10)
    assert parse([text[:100_000].encode(), text[100_000:].encode()]) == [(20, text[4:], 0)]
    longer = "20::" + "9" * (2 * MAX_BLOCK_BYTES)
    assert [flags for _, _, flags in parse([longer.encode()])] == [CUT, 0]


def test_a_block_without_an_end_is_kept_and_says_so() -> None:
    assert parse([b"20:::\n{}\n"]) == [(20, "{}", UNFINISHED)]


SCRAPS = st.lists(
    st.one_of(
        st.sampled_from([b"\n", b":::\n", b"3:::", b"7::", b"1", b":", b"\xc3", b"\xa4", b"\xff"]),
        st.sampled_from([b"x" * MAX_LINE_BYTES, b"\xa4" * 70_000, "€".encode() * 30_000, b"z" * 600_000]),
        st.binary(max_size=20),
    ),
    max_size=12,
)


@given(scraps=SCRAPS, cuts=st.lists(st.integers(min_value=0, max_value=2_000_000), max_size=8))
def test_any_chunking_gives_the_same_messages(scraps: list[bytes], cuts: list[int]) -> None:
    text = b"".join(scraps)
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    chunks = [text[start:end] for start, end in pairwise(places)]
    assert parse(chunks) == parse([text])
