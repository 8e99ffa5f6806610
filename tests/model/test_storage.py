from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.model.series import Datum
from deployer.model.slots import KEPT, Slots, coarser
from deployer.model.storage import AggregationRule, Archive, Plans, SchemaRule, retentions


def test_steps_and_times_are_read_as_carbon_writes_them() -> None:
    assert retentions("30s:1d,5m:14d,1h:1y") == (Archive(30, 2880), Archive(300, 4032), Archive(3600, 8760))
    assert retentions("60:1440") == (Archive(60, 1440),)
    assert retentions("1h:1y, 10s:6hours") == (Archive(10, 2160), Archive(3600, 8760))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "STEP:TIME"),
        ("30s", "STEP:TIME"),
        ("0s:1d", "no time"),
        ("30s:0", "kept from 1"),
        ("30s:99999999999y", "no time"),
        ("30s:100y,7m:200y", "from 1 to"),
        ("30s:1d,45s:2d", "multiple"),
        ("30s:1d,30s:2d", "multiple"),
        ("30s:1d,5m:1h", "no longer"),
        ("30s:60s,5m:1d", "do not make one"),
        ("-30s:1d", "no time"),
        ("30x:1d", "no time"),
    ],
)
def test_what_cannot_be_kept_so_is_told(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        retentions(text)


def test_the_first_rule_that_fits_counts() -> None:
    plans = Plans(
        [SchemaRule(r"\.cpu$", "10s:1h"), SchemaRule(r"cpu", "60s:1d")],
        [AggregationRule(r"\.count$", "sum", 0.5)],
    )
    assert plans.plan("a.cpu").step == 10
    assert plans.plan("cpu.a").step == 60
    assert plans.plan("memory").archives == retentions("30s:1d,5m:14d,1h:1y")
    assert (plans.plan("x.count").how, plans.plan("x.count").x_files_factor) == ("sum", 0.5)
    assert plans.plan("x").how is None
    assert plans.step == 10
    assert plans.plan("memory").size == 16 + 3 * 12 + 12 * (2880 + 4032 + 8760) == plans.largest


def test_a_rule_whose_expression_is_none_is_told() -> None:
    with pytest.raises(ValueError, match="no regular expression"):
        Plans([SchemaRule("(", "30s:1d")])


def test_points_that_meet_in_a_slot_are_merged_by_how_their_series_is() -> None:
    slots = Slots(lambda _: 30, lambda _, how: how)
    first = [Datum("sum", 60, 1.0, "sum"), Datum("avg", 61, 1.0, "average"), Datum("last", 60, 1.0, "last")]
    assert slots.take(first) == {"sum": [(60, 1.0)], "avg": [(60, 1.0)], "last": [(60, 1.0)]}
    later = [Datum("sum", 89, 2.0, "sum"), Datum("avg", 62, 2.0, "average"), Datum("last", 70, 5.0, "last")]
    assert slots.take(later) == {"sum": [(60, 3.0)], "avg": [(60, 1.5)], "last": [(60, 5.0)]}
    assert slots.take([Datum("avg", 63, 6.0, "average"), Datum("sum", 90, 7.0, "sum")]) == {
        "avg": [(60, 3.0)],
        "sum": [(90, 7.0)],
    }


@given(st.lists(st.tuples(st.integers(0, 1000), st.floats(-1e6, 1e6))))
def test_of_each_series_only_the_newest_slots_are_remembered(points: list[tuple[int, float]]) -> None:
    slots = Slots(lambda _: 10, lambda _, how: how)
    for at, value in points:
        rows = slots.take([Datum("a", at, value, "max")])
        assert [slot for slot, _ in rows["a"]] == [at - at % 10]
    assert len(slots._kept.get("a", ())) <= KEPT


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), max_size=50), st.integers(1, 12))
def test_wider_slots_lie_between_the_least_and_the_most_of_what_is_known(
    values: list[float | None], times: int
) -> None:
    wide = coarser(values, times, "average")
    assert len(wide) == -(-len(values) // times)
    for place, value in enumerate(wide):
        known = [one for one in values[place * times : (place + 1) * times] if one is not None]
        assert (value is None) == (not known)
        assert value is None or min(known) - 1e-6 <= value <= max(known) + 1e-6


def test_slots_of_a_take_are_in_order() -> None:
    slots = Slots(lambda _: 1, lambda _, how: how)
    rows = slots.take([Datum("a", at, 1.0, "last") for at in (5, 3, 9, 1)])
    assert all(first < second for first, second in pairwise(rows["a"]))
