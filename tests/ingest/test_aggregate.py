"""Samples of a company between two flushes: the names that etsy's statsd gives, bounded."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.ingest.aggregate import KEEP_FLUSHES, Aggregate
from deployer.model.series import is_series
from deployer.protocol.statsd import Bad, parse, parse_lines
from deployer.protocol.statseries import Pool

AT = 1_800_000_000
STEP = 10


def feed(aggregate: Aggregate, *lines: str) -> None:
    for line in lines:
        sample = parse(line)
        assert not isinstance(sample, Bad), sample
        aggregate.take(sample)


def after(*lines: str) -> dict[str, float]:
    aggregate = Aggregate()
    feed(aggregate, *lines)
    return {one.series: one.value for one in aggregate.flush(AT, STEP)}


@pytest.mark.parametrize(
    ("lines", "numbers"),
    [
        (["a.b:1|c", "a.b:2|c|@0.5"], {"stats.counters.a.b.count": 5, "stats.counters.a.b.rate": 0.5}),
        (["a:1|g", "a:+2|g"], {"stats.gauges.a": 3}),
        (["a:4|kv"], {"stats.gauges.a": 4}),
        (["a:x|s", "a:y|s", "a:x|s"], {"stats.sets.a.count": 2}),
        (
            ["a:1|c|#k:v", "a:2|c|#k:w", "a:4|c"],
            {
                "stats.counters.a.count;k=v": 1,
                "stats.counters.a.rate;k=v": 0.1,
                "stats.counters.a.count;k=w": 2,
                "stats.counters.a.rate;k=w": 0.2,
                "stats.counters.a.count": 4,
                "stats.counters.a.rate": 0.4,
            },
        ),
        (["a,z=1,b=2:1|g"], {"stats.gauges.a;b=2;z=1": 1}),
        (
            ["a:1:2:3:4|ms"],
            {
                "stats.timers.a.count": 4,
                "stats.timers.a.count_ps": 0.4,
                "stats.timers.a.lower": 1,
                "stats.timers.a.upper": 4,
                "stats.timers.a.sum": 10,
                "stats.timers.a.mean": 2.5,
                "stats.timers.a.median": 2.5,
                "stats.timers.a.std": math.sqrt(1.25),
                "stats.timers.a.mean_90": 2.5,
                "stats.timers.a.upper_90": 4,
                "stats.timers.a.sum_90": 10,
            },
        ),
    ],
)
def test_numbers_have_the_names_of_etsys_statsd(lines: list[str], numbers: dict[str, float]) -> None:
    assert after(*lines) == pytest.approx(numbers)


def test_one_name_may_have_several_types() -> None:
    assert set(after("a:1|c", "a:1|g", "a:x|s")) == {
        "stats.counters.a.count",
        "stats.counters.a.rate",
        "stats.gauges.a",
        "stats.sets.a.count",
    }


def test_how_two_numbers_of_a_slot_become_one_follows_from_what_they_are() -> None:
    aggregate = Aggregate()
    feed(aggregate, "a:1|c", "a:1|g", "a:1|ms", "a:x|s")
    hows = {one.series.removeprefix("stats."): one.how for one in aggregate.flush(AT, STEP)}
    assert hows["counters.a.count"] == hows["timers.a.count"] == hows["timers.a.sum"] == "sum"
    assert hows["counters.a.rate"] == hows["timers.a.mean"] == hows["timers.a.median"] == "average"
    assert (hows["timers.a.lower"], hows["timers.a.upper"], hows["timers.a.upper_90"]) == ("min", "max", "max")
    assert (hows["gauges.a"], hows["sets.a.count"]) == ("last", "max")


def test_everything_begins_anew_with_a_flush_but_gauges() -> None:
    aggregate = Aggregate()
    feed(aggregate, "a:1|c", "g:5|g", "k:5|kv")
    assert len(list(aggregate.flush(AT, STEP))) == 4
    feed(aggregate, "g:+1|g")
    assert [(one.series, one.value, one.at) for one in aggregate.flush(AT + STEP, STEP)] == [
        ("stats.gauges.g", 6, AT + STEP)
    ]
    for _ in range(KEEP_FLUSHES):
        assert [one.value for one in aggregate.flush(AT, STEP)] == [6]
    assert list(aggregate.flush(AT, STEP)) == []
    assert len(aggregate) == 0


def test_what_comes_while_a_flush_is_read_is_of_the_next() -> None:
    aggregate = Aggregate()
    feed(aggregate, "a:1|c", "g:1|g")
    flush = aggregate.flush(AT, STEP)
    feed(aggregate, "a:10|c", "g:10|g")
    assert {one.series: one.value for one in flush}["stats.counters.a.count"] == 1
    assert {one.series: one.value for one in aggregate.flush(AT, STEP)}["stats.gauges.g"] == 10


def test_a_bomb_of_names_ends_in_the_overflow_of_each_type() -> None:
    aggregate = Aggregate(most=100)
    for number in range(5000):
        feed(aggregate, f"n{number}:1|c", f"n{number}:x{number}|s", f"t:1|c|#n:{number}")
    numbers = {one.series: one.value for one in aggregate.flush(AT, STEP)}
    assert aggregate.overflow == 15_000 - 100
    counted = sum(value for name, value in numbers.items() if name.endswith(".count") or ".count;" in name)
    assert counted == 15_000
    assert numbers["stats.sets._overflow.count"] > 4900
    assert len(numbers) < 250


def test_values_of_timers_and_members_of_sets_are_bounded_and_still_count() -> None:
    aggregate = Aggregate(pool=Pool(200, 50, a_timer=100, a_set=100))
    for number in range(1000):
        feed(aggregate, f"t:{number}|ms", f"s:{number}|s")
    numbers = {one.series: one.value for one in aggregate.flush(AT, STEP)}
    assert numbers["stats.timers.t.count"] == 1000
    assert numbers["stats.timers.t.upper"] == 999
    assert numbers["stats.timers.t.sum"] == sum(range(1000))
    assert numbers["stats.sets.s.count"] == 50
    assert (aggregate.cut, aggregate.lost) == (900, 950)


def test_a_name_that_no_series_may_have_is_refused() -> None:
    aggregate = Aggregate()
    feed(aggregate, ".".join("a" * 40) + ":1|c")
    assert (list(aggregate.flush(AT, STEP)), aggregate.refused) == ([], 1)


_LINES = st.lists(
    st.builds(
        "{}:{}|{}{}".format,
        st.one_of(st.sampled_from(["a", "a.b", "../x", "a/b", "é", "a,k=v"]), st.text(max_size=20)),
        st.one_of(st.sampled_from(["1", "-1", "1e308", "nan", "1e400", ""]), st.floats().map(str)),
        st.sampled_from(["c", "g", "ms", "s", "kv", "h", "d", "x"]),
        st.sampled_from(["", "|@0.1", "|@0", "|@-1", "|@nan", "|@1e-300", "|#k:v", "|#k:~;v", "|T1"]),
    ),
    max_size=30,
)


@given(_LINES)
def test_whatever_comes_the_numbers_are_finite_and_of_possible_names(lines: list[str]) -> None:
    aggregate = Aggregate()
    for sample in parse_lines("\n".join(lines)):
        if not isinstance(sample, Bad):
            aggregate.take(sample)
    for one in aggregate.flush(AT, STEP):
        assert is_series(one.series), one.series
        assert math.isfinite(one.value)
