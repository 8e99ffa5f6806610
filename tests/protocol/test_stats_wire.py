"""Points, flushes and batches: what is decoded is what may be kept."""

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.protocol.codecs import Misfit, NotJson, decode
from deployer.protocol.stats import MAX_POINTS, Flush, Point, StatsBatch, is_key, slot

POINT = ["d", "n", "a.b", "sum", 1.5]


def flush(**changed: Any) -> dict[str, Any]:
    return {"at": 60, "step": 30, "points": [POINT], **changed}


def test_a_batch_goes_over_the_wire_and_back() -> None:
    points = [Point("d", "n", "a.b%20c", "sum", 1.5), Point("", "", "cpu", "last", -1e300)]
    batch = StatsBatch(boot="a" * 32, seq=1, flushes=[Flush(60, 30, points)])
    assert decode(StatsBatch, msgspec.json.encode(batch)) == batch


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"at": 61}, "no multiple"),
        ({"at": -30}, ">= 0"),
        ({"at": 10**12}, "<= 253402300799"),
        ({"at": 60.5}, "int"),
        ({"step": 0}, ">= 1"),
        ({"step": 86401}, "<= 86400"),
        ({"points": [["d", "n", "", "sum", 1]]}, "length"),
        ({"points": [["d", "n", "a" * 301, "sum", 1]]}, "length"),
        ({"points": [["d" * 129, "n", "a", "sum", 1]]}, "length"),
        ({"points": [["d\n", "n", "a", "sum", 1]]}, "control"),
        ({"points": [["d", "\x9f", "a", "sum", 1]]}, "control"),
        ({"points": [["d", "n", "a", "mean", 1]]}, "enum"),
        ({"points": [["d", "n", "a", "sum", None]]}, "float"),
        ({"points": [["d", "n", "a", "sum", "1"]]}, "float"),
        ({"points": [["d", "n", "a", "sum", 10**400]]}, "range"),
        *(
            ({"points": [POINT, ["d", "n", key, "sum", 1]]}, "point 1 has a key")
            for key in (".", "a.", ".a", "a..b", "a b", "a/b", "a\n", "\n", "a\nb", "é", "a\0", "a;b=c")
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(change: dict[str, Any], reason: str) -> None:
    encoded = json.dumps({"boot": "a" * 32, "seq": 1, "flushes": [flush(), flush(**change)]}).encode()
    with pytest.raises(Misfit, match=reason) as caught:
        decode(StatsBatch, encoded)
    assert caught.value.pointer.startswith("/flushes/1")


@pytest.mark.parametrize("value", [b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e999"])
def test_a_number_that_is_not_finite_is_refused(value: bytes) -> None:
    with pytest.raises((Misfit, NotJson)):
        decode(Flush, b'{"at":60,"step":30,"points":[["","","a","sum",%b]]}' % value)


def test_a_batch_is_bounded() -> None:
    half = flush(points=[POINT] * (MAX_POINTS // 2 + 1))
    with pytest.raises(Misfit, match="points are more"):
        decode(StatsBatch, msgspec.json.encode({"boot": "a" * 32, "seq": 1, "flushes": [half, half]}))
    for wrong in ({"seq": 0}, {"boot": "x"}, {"flushes": [flush(points=[])] * 101}, {"more": 1}):
        with pytest.raises(Misfit):
            decode(StatsBatch, msgspec.json.encode({"boot": "a" * 32, "seq": 1, "flushes": [], **wrong}))


@given(st.lists(st.text(alphabet="aZ9_-%.\n é", min_size=1, max_size=6), max_size=6))
def test_keys_are_looked_at_together_as_each_by_itself(keys: list[str]) -> None:
    points = [Point("", "", key, "sum", 1.0) for key in keys]
    if all(is_key(key) for key in keys):
        assert Flush(0, 1, points).points == points
    else:
        with pytest.raises(ValueError, match="a key that is none"):
            Flush(0, 1, points)


@given(st.floats(0, 2e9), st.integers(1, 86400))
def test_a_moment_lies_in_its_slot(wall: float, step: int) -> None:
    at = slot(wall, step)
    assert at % step == 0
    assert at <= wall < at + step
    assert math.isclose(slot(float(at), step), at)
