"""Results as values, by tables."""

import contextlib
import datetime as dt
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.protocol.resultdata import BadResult, is_quick, parse


@pytest.mark.parametrize(
    ("level", "text", "value"),
    [
        (20, '{"a": [1, null, 1.5]}', {"a": [1, None, 1.5]}),
        (20, '"x"', "x"),
        (21, "a: 1\nb:\n  - x\n  - yes", {"a": 1, "b": ["x", True]}),
        (21, "", None),
        (21, "d: 2026-11-23", {"d": dt.date(2026, 11, 23)}),
        (22, 'a = 1\n[b]\nc = "x"', {"a": 1, "b": {"c": "x"}}),
        (
            23,
            "# first\na.b = 'x y'\n\nn = -5\nf=1.5\nt = True\nlist = 1,2",
            _HRD := {
                "a.b": "x y",
                "n": -5,
                "f": 1.5,
                "t": True,
                "list": "1,2",
            },
        ),
        (30, "anything", None),
        (1, "no result", None),
        (0, "", None),
    ],
)
def test_a_result_has_the_value_that_its_level_says(level: int, text: str, value: Any) -> None:
    assert parse(level, text) == value


@pytest.mark.parametrize(
    ("level", "text"),
    [
        (20, ""),
        (20, "{"),
        (20, '{"a": 1, "a": 2}'),
        (20, "NaN"),
        (20, "[" * 100),
        (20, "\ud800"),
        (21, "a: [1"),
        (21, "a: &x 1\nb: *x"),
        (21, "[" * 33 + "]" * 33),
        (21, '!!python/object/apply:os.system ["id"]'),
        (21, "a: 1\n---\nb: 2"),
        (21, "? [1, 2]\n: x"),
        (22, "a = "),
        (22, "a = 1\na = 2"),
        (23, "no equals sign"),
        (23, "a b = 1"),
    ],
)
def test_what_does_not_parse_is_told_in_one_sentence(level: int, text: str) -> None:
    with pytest.raises(BadResult) as caught:
        parse(level, text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@given(st.sampled_from([20, 21, 22, 23]), st.text(max_size=200))
def test_any_text_is_a_value_or_a_bad_result(level: int, text: str) -> None:
    with contextlib.suppress(BadResult):
        msgspec.json.encode(parse(level, text))


def test_only_what_takes_no_time_is_read_at_once() -> None:
    assert is_quick(20, "x" * 10**6)
    assert is_quick(21, "x")
    assert not is_quick(21, "x" * 10**5)
