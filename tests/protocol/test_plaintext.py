"""Lines of Graphite's plain text by tables; any text is a reading or a reason."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.model.foreign import foreign_series, how_of, is_timely
from deployer.model.series import is_series
from deployer.protocol.plaintext import Bad, Said, parse


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a.b 1 1700000000", Said("a.b", (), 1.0, 1_700_000_000)),
        ("a.b  -1.5e3\t1700000000.9\r", Said("a.b", (), -1500.0, 1_700_000_000)),
        ("a 1 -1", Said("a", (), 1.0, None)),
        ("a 1 N", Said("a", (), 1.0, None)),
        ("a 1", Said("a", (), 1.0, None)),
        ("a;z=1;b=x.y 1", Said("a", (("b", "x.y"), ("z", "1")), 1.0, None)),
        ("a;b=1;b=2 1", Said("a", (("b", "2"),), 1.0, None)),
        ("a;b=c=d 1", Said("a", (("b", "c=d"),), 1.0, None)),
        ("", Bad.PARTS),
        ("a", Bad.PARTS),
        ("a 1 2 3", Bad.PARTS),
        ("a x 1", Bad.VALUE),
        ("a nan 1", Bad.VALUE),
        ("a inf 1", Bad.VALUE),
        ("a 1e400 1", Bad.VALUE),
        ("a 1_0 1", Bad.VALUE),
        ("a \u0661 1", Bad.VALUE),
        ("a 1 later", Bad.TIME),
        ("a 1 nan", Bad.TIME),
        ("a;b 1", Bad.TAGS),
        ("a;=1 1", Bad.TAGS),
        ("a;b= 1", Bad.TAGS),
        ("a;name=x 1", Bad.TAGS),
        ("a" + "".join(f";k{number}=v" for number in range(40)) + " 1", Bad.TAGS),
        ("a" * 5000 + " 1 1", Bad.LONG_LINE),
    ],
)
def test_lines_are_read(line: str, expected: Said | Bad) -> None:
    assert parse(line) == expected


@pytest.mark.parametrize(
    ("path", "tags", "series"),
    [
        ("a.b-c_d.e", (), "a.b-c_d.e"),
        ("a", (("b", "1"), ("c", "x.y")), "a;b=1;c=x.y"),
        ("CON", (), "CON"),
        ("a%2e%2e.b", (), "a%252e%252e.b"),
        ("p\u0430th", (), "p%D0%B0th"),
        ("a:b", (), "a%3Ab"),
    ],
)
def test_parts_of_a_name_are_made_safe_one_by_one(path: str, tags: tuple[tuple[str, str], ...], series: str) -> None:
    assert foreign_series(path, tags) == series
    assert is_series(series)


@pytest.mark.parametrize(
    ("path", "tags"),
    [
        ("", ()),
        (".", ()),
        ("..", ()),
        ("../../etc/cron.d/x", ()),
        ("/abs", ()),
        ("a..b", ()),
        (".a.", ()),
        ("a.", ()),
        ("a/b", ()),
        ("a\\b", ()),
        ("a\x00b", ()),
        ("a b", ()),
        ("a" * 5000, ()),
        (".".join("a" * 40), ()),
        ("agents.1.1.host.cpu.total", ()),
        ("masters.x", ()),
        ("a", (("b", "~x"),)),
        ("a", (("b!", "x"),)),
        ("a", (("b", "x\n"),)),
        ("a", (("b", ""),)),
    ],
)
def test_what_may_be_no_name_is_none(path: str, tags: tuple[tuple[str, str], ...]) -> None:
    assert foreign_series(path, tags) is None


def test_how_values_are_merged_is_told_by_the_end_of_the_path() -> None:
    ends = {"count": "sum", "sum": "sum", "min": "min", "lower": "min", "max": "max", "upper_90": "max", "x": "average"}
    assert {end: how_of(f"a.{end};t=count") for end in ends} == ends


def test_only_times_for_which_there_may_be_a_slot_are_taken() -> None:
    now = 1_800_000_000
    assert [is_timely(at, now) for at in (0, now - 367 * 86400, now - 86400, now, now + 3600, now + 3601, 10**15)] == [
        False,
        False,
        True,
        True,
        True,
        False,
        False,
    ]


@given(
    st.one_of(st.text(max_size=100), st.from_regex(r"[a-z./\\;=~]{1,20} [0-9.e]{1,5} ?[0-9N-]{0,12}", fullmatch=True))
)
def test_any_line_is_a_reading_or_a_reason(line: str) -> None:
    said = parse(line)
    if isinstance(said, Said):
        assert math.isfinite(said.value)
        series = foreign_series(said.path, said.tags)
        assert series is None or (is_series(series) and "/" not in series.partition(";")[0])
