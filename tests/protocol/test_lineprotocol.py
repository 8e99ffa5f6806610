r"""Lines of InfluxDB by tables; any body gives lines and numbers of bad ones."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.model.foreign import measured_series
from deployer.model.series import is_series
from deployer.protocol.lineprotocol import BadLine, Line, lines

S = "s"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b=1", Line("a", (), (("b", 1.0),), 0, None)),
        ("a b=1 5", Line("a", (), (("b", 1.0),), 0, 5)),
        ("a b=1.5,c=-2e3,d=3i,e=4u 5", Line("a", (), (("b", 1.5), ("c", -2000.0), ("d", 3.0), ("e", 4.0)), 0, 5)),
        ("a b=t,c=True,d=FALSE,e=f", Line("a", (), (("b", 1.0), ("c", 1.0), ("d", 0.0), ("e", 0.0)), 0, None)),
        ("a,z=1,b=x.y c=1", Line("a", (("b", "x.y"), ("z", "1")), (("c", 1.0),), 0, None)),
        (r"a\,b\ c,t\=1=v\,\ w f\ g=1", Line("a,b c", (("t=1", "v, w"),), (("f g", 1.0),), 0, None)),
        (r"a\b,c=d\e f=1", Line("a\\b", (("c", "d\\e"),), (("f", 1.0),), 0, None)),
        (r'a s="x, y=\"1\" \\",b=1 5', Line("a", (), (("b", 1.0),), 1, 5)),
        ('a s="over\nlines",b=1', Line("a", (), (("b", 1.0),), 1, None)),
        ('a s=""', Line("a", (), (), 1, None)),
        ("  a b=1 \r", Line("a", (), (("b", 1.0),), 0, None)),
        ("a=b c=1", Line("a=b", (), (("c", 1.0),), 0, None)),
        ("a b=1 -5", Line("a", (), (("b", 1.0),), 0, -5)),
    ],
)
def test_a_line_is_read(text: str, expected: Line) -> None:
    assert list(lines(text, S)) == [expected]
    assert list(lines(f"\n# comment\n{text}\n\n", S)) == [expected]


@pytest.mark.parametrize(
    "text",
    ["a", "a b", "a b=", "a =1", ",b=1 c=1", "a,b c=1", "a,b= c=1", "a b=nan", "a b=inf", "a b=1e400", "a b=1_0",
     "a b=-1u", "a b=1.5i", "a b=x", "a b=\u0661", "a b=1 x", "a b=1 1 1", 'a b="x', "a b=1,",
     "a,b=1,=2 c=1", "a b=" + "1" * 40, "a" * 9000 + " b=1", "a " + ",".join(f"f{n}=1" for n in range(1001))],
)  # fmt: skip
def test_a_bad_line_is_told_by_its_number_and_the_others_are_read(text: str) -> None:
    found = list(lines(f"# one\ngood x=1\n{text}\ngood x=2", S))
    assert [one.fields[0][1] for one in found if isinstance(one, Line)] == [1, 2]
    assert [(one.number, one.text) for one in found if isinstance(one, BadLine)] == [(3, text[:80])]


@pytest.mark.parametrize(
    ("precision", "ticks"),
    [("", 7_200_000_000_000), ("n", 7_200_000_000_000), ("ns", 7_200_000_000_000), ("u", 7_200_000_000),
     ("us", 7_200_000_000), ("ms", 7_200_000), ("s", 7200), ("m", 120), ("h", 2)],
)  # fmt: skip
def test_times_are_in_the_precision_that_was_said(precision: str, ticks: int) -> None:
    (line,) = lines(f"a b=1 {ticks}", precision)
    assert isinstance(line, Line)
    assert line.at == 7200


@pytest.mark.parametrize(
    ("measurement", "field", "tags", "series"),
    [
        ("cpu", "usage_user", (("host", "web1"),), "cpu.usage_user;host=web1"),
        ("win.cpu", "Percent Time", (), "win.cpu.Percent%20Time"),
        ("disk", "a.b/c", (("name", "sda"), ("path", "/var")), "disk.a%2Eb%2Fc;_name=sda;path=/var"),
        ("a", "b", (("k!=", "~;v"), ("l", "~")), "a.b;k__=_v"),
        ("..", "x", (), None),
        ("a..b", "x", (), None),
        ("agents.1.1.host", "x", (), None),
        ("a" * 600, "x", (), None),
        ("a", "x", (("k", "v\nw"),), None),
    ],
)
def test_a_series_is_measurement_and_field_with_graphites_tags(
    measurement: str, field: str, tags: tuple[tuple[str, str], ...], series: str | None
) -> None:
    assert measured_series(measurement, field, tags) == series
    assert series is None or is_series(series)


_PIECES = st.sampled_from(
    ["a", ",", "=", " ", "\\", '"', "\n", "1", "i", "#", "\r", "\t", "b=1", ",c=d", "é", " 5", "\x00"]
)


@given(st.lists(_PIECES, max_size=40).map("".join))
def test_any_body_is_lines_and_bad_ones(text: str) -> None:
    for one in lines(text):
        if isinstance(one, BadLine):
            assert 1 <= one.number <= text.count("\n") + 1
            continue
        assert all(math.isfinite(value) for _, value in one.fields)
        for field, _ in one.fields:
            series = measured_series(one.measurement, field, one.tags)
            assert series is None or is_series(series)


def test_a_long_hostile_body_is_read_in_linear_time() -> None:
    for piece in ("a,", "a=", '"', "\\", "a b=1,", 'a b="', ",a=b", " "):
        assert len(list(lines(piece * (1_000_000 // len(piece))))) <= 1


def test_a_name_does_not_go_on_over_a_line_end_so_that_a_bad_line_costs_its_own_length() -> None:
    assert list(lines("a\\\nb c=1")) == [BadLine(1, "a\\"), Line("b", (), (("c", 1.0),), 0, None)]
    assert list(lines("a b\\\n=1\na b=1")) == [
        BadLine(1, "a b\\"),
        BadLine(2, "=1"),
        Line("a", (), (("b", 1.0),), 0, None),
    ]
