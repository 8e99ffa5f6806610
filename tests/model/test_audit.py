"""Each entry of an audit log follows from the one before it; whatever is changed is found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from deployer.model.audit import MAX_TEXT, Checker, Deed, Head, Link, follow, read, start

DEED = Deed(user="eve", action="POST /api/v1/jobs", decision="allowed")


def log(count: int, company: str = "c") -> tuple[Head, list[Link]]:
    head, links = start(company), []
    for number in range(count):
        head, more = follow(head, 1000 + number, [replace(DEED, object=f"job-{number}")])
        links += more
    return head, links


def broken(links: list[Link], head: Head | None, company: str = "c") -> int | None:
    checker = Checker(company)
    checker.take(links)
    return checker.report(head).broken


def test_a_log_that_nobody_touched_is_intact() -> None:
    head, links = log(5)
    checker = Checker("c")
    checker.take(links[:2])
    checker.take(links[2:])
    report = checker.report(head)
    assert (report.entries, report.first, report.last, report.broken) == (5, 1, 5, None)


def test_deeds_of_one_write_follow_each_other() -> None:
    head, links = follow(start("c"), 7, [DEED, DEED])
    assert [read(link.text).n for link in links] == [1, 2]
    assert broken(links, head) is None


def test_a_log_whose_oldest_entries_have_gone_is_intact() -> None:
    head, links = log(5)
    assert broken(links[2:], head) is None


def test_an_empty_log_is_intact_and_one_that_was_emptied_is_not() -> None:
    assert broken([], None) is None
    assert broken([], log(3)[0]) == 3


@given(at=st.integers(0, 9), byte=st.integers(0, 60), bit=st.integers(0, 7))
def test_a_change_of_any_entry_is_found(at: int, byte: int, bit: int) -> None:
    head, links = log(10)
    text = bytearray(links[at].text)
    text[byte] ^= 1 << bit
    links[at] = Link(bytes(text), links[at].hash)
    assert broken(links, head) is not None


@given(at=st.integers(0, 9))
def test_an_entry_that_is_missing_or_put_in_is_found(at: int) -> None:
    head, links = log(10)
    if at not in {0, 9}:
        assert broken(links[:at] + links[at + 1 :], head) is not None
    assert broken([*links[:at], links[at], *links[at:]], head) is not None


def test_entries_in_another_order_are_found() -> None:
    head, links = log(4)
    assert broken([links[0], links[2], links[1], links[3]], head) is not None


def test_an_end_that_was_cut_off_is_found() -> None:
    head, links = log(4)
    assert broken(links[:-1], head) == 4
    assert broken(links, None) is not None


def test_another_companys_log_is_not_taken_for_this_ones() -> None:
    head, links = log(3, "other")
    assert broken(links, head) == 1


def test_what_cannot_be_read_is_where_the_log_breaks() -> None:
    head, links = log(3)
    assert broken([links[0], Link(b"{", links[1].hash), links[2]], head) == 2


def test_long_texts_are_cut() -> None:
    _, (link,) = follow(start("c"), 1, [replace(DEED, user="u" * 1000, object="o" * 257)])
    deed = read(link.text).deed
    assert (len(deed.user), len(deed.object), deed.action) == (MAX_TEXT, MAX_TEXT, DEED.action)


@pytest.mark.parametrize("text", ["", "1", "x:00", "1:zz", "1:00", ":" + "0" * 64])
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (of several kinds, none with a text of ours)
        Head.parse(text)


def test_a_head_is_read_as_it_is_stored() -> None:
    head, _ = log(3)
    assert Head.parse(str(head)) == head
