"""Targets and their trees."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.model.graphite.expression import MAX_CHARS, Call, Literal, Node, Path, first_path, parse, parsed
from deployer.model.graphite.problems import WrongTargetError


def call(name: str, *args: Any, **named: Any) -> Call:
    return Call(name, tuple(map(_node, args)), tuple((key, _node(value)) for key, value in named.items()))


def _node(value: Any) -> Node:
    return value if isinstance(value, Path | Literal | Call) else Literal(value)


A, B = Path("a.b"), Path("c.*.{d,e}[0-9]?")


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("a.b", A),
        (" a.b ", A),
        ("c.*.{d,e}[0-9]?", B),
        ("a-b_c%.d:e", Path("a-b_c%.d:e")),
        ("cpu;host=a;dc=b c", None),
        ("cpu;host=a;dc=b", Path("cpu;host=a;dc=b")),
        ("1.cpu", Path("1.cpu")),
        ("1min.load", Path("1min.load")),
        ("true.x", Path("true.x")),
        ("sum(a.b)", call("sum", A)),
        ("sum( a.b , c.*.{d,e}[0-9]? )", call("sum", A, B)),
        ("constantLine(100)", call("constantLine", 100)),
        ("f()", call("f")),
        ("f(1, -2, .5, 1e3, -1.5E-2, +7)", call("f", 1, -2, 0.5, 1000.0, -0.015, 7)),
        ("f(true, False, none, None)", call("f", True, False, None, None)),
        ("""f("a b", 'c"d', "e'f", "")""", call("f", "a b", 'c"d', "e'f", "")),
        (r"""f("a\"b")""", call("f", 'a"b')),
        (r'aliasSub(a.b, "(^.*$)", "\1 A")', call("aliasSub", A, "(^.*$)", r"\1 A")),
        ("f(a.b, func='sum', x=1)", call("f", A, func="sum", x=1)),
        ("a.b | scale(2) | alias('x')", call("alias", call("scale", A, 2), "x")),
        ("a.b|f()", call("f", A)),
        ("sum(a.b | scale(2), f(a.b))", call("sum", call("scale", A, 2), call("f", A))),
        ("seriesByTag('name=a|b')", call("seriesByTag", "name=a|b")),
    ],
)
def test_a_target_has_its_tree(text: str, node: Node | None) -> None:
    if node is None:
        with pytest.raises(WrongTargetError, match="character"):
            parse(text)
    else:
        assert parse(text) == node


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", 1),
        ("f(", 3),
        ("f(a.b", 6),
        ("f(a.b))", 7),
        ("f(a b)", 5),
        ("f(,)", 3),
        ("f(x=1, a.b)", 8),
        ("f(x=1, x=2)", 11),
        ("f('a)", 3),
        ("a.b | c.d", 10),
        ("a.b |", 6),
        ("f(1e999)", 8),
        ("f(" + "9" * 30 + ")", 33),
        ("a\x00b", 2),
        ("{a", 1),
    ],
)
def test_what_is_no_target_is_refused_with_its_place(text: str, place: int) -> None:
    with pytest.raises(WrongTargetError, match=f"at character {place}:"):
        parse(text)


def test_what_is_too_long_too_deep_or_too_large_is_refused() -> None:
    with pytest.raises(WrongTargetError, match="characters"):
        parse("a" * (MAX_CHARS + 1))
    with pytest.raises(WrongTargetError, match="nested"):
        parse("sum(" * 100 + "a" + ")" * 100)
    with pytest.raises(WrongTargetError, match="nested"):
        parse("a" + "|f()" * 100)
    with pytest.raises(WrongTargetError, match="parts"):
        parse("sum(" + "a," * 1500 + "a)")


def test_the_first_path_inside_is_found() -> None:
    assert first_path("a.b.c") == "a.b.c"
    assert first_path("scale(sumSeries(a.*.c,d),2)") == "a.*.c"
    assert first_path("constantLine(1)") == "constantLine(1)"
    assert first_path("busy (percent) of a") == "busy (percent) of a"


@given(st.text(alphabet="ab.*{},()'\"\\|=1e-; ", max_size=60))
def test_any_text_is_a_target_or_refused(text: str) -> None:
    with contextlib.suppress(WrongTargetError):
        parse(text)


def test_all_targets_of_a_request_together_are_bounded() -> None:
    assert len(parsed(["a"] * 100)) == 100
    with pytest.raises(WrongTargetError, match="together"):
        parsed(["a" * 8000] * 9)
