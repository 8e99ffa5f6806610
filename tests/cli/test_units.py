"""Numbers as people read them, lines of what is consumed, and tables on narrow terminals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.cli.fit import GAP, fit
from deployer.cli.units import count, duration, exact, size, tenth
from deployer.cli.usage import age_s, fullest, traffic
from deployer.client.records import AgentStats


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (99.4 * 1024, "99.4 KiB"),
        (100 * 1024, "100 KiB"),
        (1024**2, "1.0 MiB"),
        (23.6 * 1024**3, "23.6 GiB"),
        (1024**5 * 5000, "5000 PiB"),
    ],
)
def test_sizes_have_units(value: float | None, text: str) -> None:
    assert size(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, ""), (-3, "0s"), (59.9, "59s"), (60, "1m"), (7199, "1h"), (86400 * 12, "12d")]
)
def test_durations_are_short(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_numbers_are_whole_where_they_are() -> None:
    assert [exact(one) for one in (None, 3, 3.0, 0.126, 2**53)] == ["", "3", "3", "0.13", "9007199254740992"]
    assert [count(3.0), count(None), tenth(12.34), tenth(None)] == ["3", "", "12.3", ""]


def test_the_fullest_file_system_is_told() -> None:
    assert fullest({}) == ""
    assert fullest({"disk.%2F.used": 1024}) == "/ 1.0 KiB"
    assert fullest({"disk.%2F.used": 1, "disk.%2F.total": 0}) == "/ 1 B"
    assert (
        fullest({"disk.%2F.used": 1, "disk.%2F.total": 4, "disk.%2Fa%2Eb.used": 3, "disk.%2Fa%2Eb.total": 4})
        == "/a.b 75%"
    )


def test_traffic_is_that_of_all_interfaces_but_the_loopback() -> None:
    assert traffic({"net.lo.sent_per_s": 5}, "sent_per_s") is None
    assert traffic({"net.a.sent_per_s": 1, "net.b.sent_per_s": 2, "net.a.sent_drops_per_s": 9}, "sent_per_s") == 3


def test_numbers_are_as_old_as_the_end_of_their_slot() -> None:
    told = AgentStats("1:1", {}, 1_000_000, 30, {})
    assert [age_s(told, now) for now in (1040.0, 1029.0)] == [10.0, 0.0]
    assert age_s(None, 5) is age_s(AgentStats("1:1", {}, None, None, {}), 5) is None


TITLES = ("NAME", "TEXT", "A", "B", "C")
CELLS = [TITLES, ("n" * 20, "t" * 30, "12345", "123456", "1")]


@pytest.mark.parametrize(
    ("width", "columns", "widths"),
    [
        (100, [0, 1, 2, 3, 4], [20, 30, 5, 6, 1]),
        (60, [0, 1, 2, 3, 4], [20, 20, 5, 6, 1]),
        (36, [0, 1, 2, 3, 4], [8, 8, 5, 6, 1]),
        (35, [0, 1, 2, 4], [10, 13, 5, 1]),
        (5, [0, 1, 4], [8, 8, 1]),
    ],
)
def test_narrow_tables_cut_texts_and_leave_numbers_out(width: int, columns: list[int], widths: list[int]) -> None:
    shown = fit(CELLS, width, {"A", "B", "C"}, ("B", "A"))
    assert list(shown.columns) == columns
    assert (sum(shown.widths), shown.widths[2:]) == (sum(widths), widths[2:])


@given(st.lists(st.tuples(*[st.text(max_size=30)] * 5), max_size=5), st.integers(1, 200))
def test_a_table_fits_or_cannot(rows: list[tuple[str, ...]], width: int) -> None:
    cells = [TITLES, *rows]
    shown = fit(cells, width, {"A", "B", "C"}, ("B", "A"))
    total = sum(shown.widths) + GAP * (len(shown.columns) - 1)
    spared = len(shown.columns) == 3
    assert total <= width or spared
    for column, wide in zip(shown.columns, shown.widths, strict=True):
        natural = max(len(row[column]) for row in cells)
        assert wide == natural if column > 1 else min(natural, 8) <= wide <= natural
