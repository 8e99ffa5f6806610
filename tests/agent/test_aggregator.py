"""The statsd aggregator, by tables and against a naive model."""

import math
import statistics
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.protocol.stats import Flush
from deployer.protocol.statsd import Sample
from deployer.protocol.statseries import MEMBERS_A_SET, VALUES_A_TIMER, Pool
from deployer_agent.stats.aggregator import KEEP_FLUSHES, Aggregator, Bounds

STEP = 10
LONG = "a" * 256
Values = dict[tuple[str, str, str], float]


def close(aggregator: Aggregator) -> Values:
    points = [point for flush in aggregator.flush(0, STEP) for point in flush.points]
    assert len({(point.domain, point.name, point.key) for point in points}) == len(points)
    return {(point.domain, point.name, point.key): point.value for point in points}


def after(*lines: str) -> dict[str, float]:
    """What the points of one domain and name are after these lines."""
    aggregator = Aggregator()
    aggregator.feed("d", "n", "\n".join(lines))
    return {(key if domain == "d" else f"own {key}"): value for (domain, _, key), value in close(aggregator).items()}


@pytest.mark.parametrize(
    ("lines", "points"),
    [
        (["a:1|c", "a:2|c", "a:-0.5|c"], {"a.count": 2.5, "a.rate": 0.25}),
        (["a:1|c|@0.1"], {"a.count": 10, "a.rate": 1}),
        (["a:0|c"], {"a.count": 0, "a.rate": 0}),
        (["a:1:2:3|c|@0.5"], {"a.count": 12, "a.rate": 1.2}),
        (["a:1|g", "a:7|g"], {"a": 7}),
        (["a:5|g", "a:+2|g", "a:-4|g"], {"a": 3}),
        (["a:-4|g"], {"a": -4}),
        (["a:1e308|g", "a:+1e308|g", "a:+1e308|g"], {"a": 1.7976931348623157e308}),
        (["a:5|kv", "a:-2|kv"], {"a": -2}),
        (["a:x|s", "a:y|s", "a:x|s"], {"a.count": 2}),
        (
            ["a:5|ms"],
            {
                "a.count": 1,
                "a.count_ps": 0.1,
                "a.lower": 5,
                "a.upper": 5,
                "a.sum": 5,
                "a.mean": 5,
                "a.median": 5,
                "a.std": 0,
                "a.mean_90": 5,
                "a.upper_90": 5,
                "a.sum_90": 5,
            },
        ),
        (
            [f"a:{n}|ms|@0.5" for n in (10, 1, 9, 2, 8, 3, 7, 4, 6, 5)],
            {
                "a.count": 20,
                "a.count_ps": 2,
                "a.lower": 1,
                "a.upper": 10,
                "a.sum": 55,
                "a.mean": 5.5,
                "a.median": 5.5,
                "a.std": math.sqrt(8.25),
                "a.mean_90": 5,
                "a.upper_90": 9,
                "a.sum_90": 45,
            },
        ),
        (["a:1|c", "a:1|g", "a:x|s"], {"a.count": 1, "a.rate": 0.1, "own conflicts": 2}),
        (["a:1|g", "a:1|kv"], {"a": 1, "own conflicts": 1}),
        (["a:1|c|@0", "x", "", "b:1|g"], {"b": 1, "own bad_lines": 2}),
        (["a:1|g|#k:v", "a:2|g", "a:3|g|#k:w"], {"a%3Bk%3Dv": 1, "a": 2, "a%3Bk%3Dw": 3}),
        (["a:1|c|#k:v", "a,k=v:1|c"], {"a.count%3Bk%3Dv": 2, "a.rate%3Bk%3Dv": 0.2}),
        (["a:1e308|c", "a:1e308|c"], {"own overflow": 2}),
    ],
)
def test_lines_become_points(lines: list[str], points: dict[str, float]) -> None:
    if "own overflow" in points:  # found while the points are made: told by the next flush
        aggregator = Aggregator()
        aggregator.feed("d", "n", "\n".join(lines))
        assert close(aggregator) == {}
        assert close(aggregator) == {("deployer", "agent", "overflow"): 2}
        return
    assert after(*lines) == pytest.approx(points)


def test_jobs_of_one_domain_and_name_are_one_and_others_are_apart() -> None:
    aggregator = Aggregator()
    for domain, name in (("d", "n"), ("d", "n"), ("d", "m"), ("", "")):
        aggregator.feed(domain, name, "a:1|c")
    points = close(aggregator)
    assert [points[key, name, "a.count"] for key, name in (("d", "n"), ("d", "m"), ("", ""))] == [2, 1, 1]


def test_only_gauges_are_told_again_and_they_end() -> None:
    aggregator = Aggregator()
    aggregator.feed("d", "n", "c:1|c\nt:1|ms\ns:x|s\nk:1|kv\ng:1|g")
    aggregator.gauge("d", "n", "cpu", 12.5, "average")
    assert len(close(aggregator)) == 2 + 11 + 1 + 1 + 1 + 1
    for _ in range(KEEP_FLUSHES - 1):
        assert close(aggregator) == {("d", "n", "g"): 1}
    assert close(aggregator) == {}
    assert aggregator.size == 0
    aggregator.feed("d", "n", "c:1|g")
    assert close(aggregator) == {("d", "n", "c"): 1}


def test_a_gauge_that_is_fed_goes_on_and_changes_from_its_last_value() -> None:
    aggregator = Aggregator()
    aggregator.feed("d", "n", "g:5|g")
    for n in range(3 * KEEP_FLUSHES):
        aggregator.feed("d", "n", "g:+1|g")
        assert close(aggregator) == {("d", "n", "g"): 6 + n}


def test_what_sampling_reads_is_told_once() -> None:
    aggregator = Aggregator()
    aggregator.gauge("", "", "cpu.user", 1)
    aggregator.gauge("", "", "cpu.user", 2)
    for key, value in (("a", math.nan), ("a", math.inf), ("", 1), ("a b", 1), ("a..b", 1), ("a" * 301, 1)):
        aggregator.gauge("", "", key, value)
    aggregator.feed("", "", "cpu.user:1|c")
    own = {("deployer", "agent", "bad_lines"): 6, ("deployer", "agent", "conflicts"): 1}
    assert close(aggregator) == {("", "", "cpu.user"): 2, **own}
    assert close(aggregator) == {}


def test_keys_are_bounded_and_those_without_room_counted() -> None:
    aggregator = Aggregator(Bounds(keys=3, all_keys=5))
    for name in ("n", "m"):
        for n in range(4):
            aggregator.feed("d", name, f"k{n}:1|g\nk{n}:1|g")
    points = close(aggregator)
    assert points.pop(("deployer", "agent", "overflow")) == 2 + 2 * 2
    assert list(points) == [("d", "n", "k0"), ("d", "n", "k1"), ("d", "n", "k2"), ("d", "m", "k0"), ("d", "m", "k1")]


def test_a_key_that_would_be_too_long_with_its_tags_finds_no_room() -> None:
    aggregator = Aggregator()
    aggregator.feed("d", "n", f"{LONG}:1|ms|#k:{'v' * 30}\n{LONG}:1|g|#k:{'v' * 30}\n{LONG}:1|ms")
    points = close(aggregator)
    assert points["deployer", "agent", "overflow"] == 1
    assert len(points) == 1 + 1 + 11
    assert max(len(key) for _, _, key in points) <= 300


def test_a_timer_keeps_a_fair_choice_and_counts_all() -> None:
    aggregator = Aggregator()
    count = 20 * VALUES_A_TIMER
    for n in range(count):
        aggregator.take("d", "n", Sample("t", "timer", (float(n),)))
    points = close(aggregator)
    exact = {"count": count, "sum": sum(range(count)), "lower": 0, "upper": count - 1, "mean": (count - 1) / 2}
    assert {key: points["d", "n", f"t.{key}"] for key in exact} == exact
    near = {"median": count / 2, "upper_90": 0.9 * count, "mean_90": 0.45 * count, "std": count / math.sqrt(12)}
    for key, value in near.items():
        assert points["d", "n", f"t.{key}"] == pytest.approx(value, rel=0.15), key
    assert points["d", "n", "t.sum_90"] == pytest.approx(0.81 * exact["sum"], rel=0.15)
    assert points["deployer", "agent", "cut"] == count - VALUES_A_TIMER


def test_values_and_members_are_bounded_over_all_series_and_their_room_comes_back() -> None:
    pool = Pool(values=2, members=2)
    aggregator = Aggregator(pool=pool)
    for _ in range(2):
        aggregator.feed("d", "n", "a:1:2|ms\nb:3|ms\nx:p|s\nx:q|s\ny:r|s")
        points = close(aggregator)
        assert (points["d", "n", "b.count"], points["d", "n", "b.mean"]) == (1, 3)
        assert ("d", "n", "b.median") not in points
        assert (points["d", "n", "x.count"], points["d", "n", "y.count"]) == (2, 0)
        assert (points["deployer", "agent", "cut"], points["deployer", "agent", "overflow"]) == (1, 1)
        assert (pool.values, pool.members) == (2, 2)


def test_a_set_is_bounded() -> None:
    aggregator = Aggregator()
    for n in range(MEMBERS_A_SET + 7):
        aggregator.take("d", "n", Sample("s", "set", (), member=str(n)))
    points = close(aggregator)
    assert (points["d", "n", "s.count"], points["deployer", "agent", "overflow"]) == (MEMBERS_A_SET, 7)


def test_a_flush_comes_in_parts_and_what_comes_meanwhile_belongs_to_the_next() -> None:
    aggregator = Aggregator()
    for n in range(100):
        aggregator.feed("d", f"n{n}", "\n".join(f"k{k}:1|c" for k in range(6)))
    flushes = aggregator.flush(60, 30)
    first = next(flushes)
    aggregator.feed("d", "n0", "k0:5|c")
    rest = list(flushes)
    assert [(flush.at, flush.step, len(flush.points)) for flush in [first, *rest]] == [(60, 30, 1000), (60, 30, 200)]
    assert {point.value for flush in [first, *rest] for point in flush.points} == {1, 1 / 30}
    assert [point.value for flush in aggregator.flush(90, 30) for point in flush.points] == [5, 5 / 30]


def test_a_flush_is_aligned_and_an_empty_one_is_none() -> None:
    aggregator = Aggregator()
    assert list(aggregator.flush(60, 30)) == []
    aggregator.feed("d", "n", "a:1|g")
    with pytest.raises(ValueError, match="multiple"):
        list(aggregator.flush(61, 30))


_names = st.sampled_from(["a", "b.c", "d e"])
_plain = st.tuples(
    st.sampled_from(["n", "m"]),
    _names,
    st.sampled_from(["c", "ms", "g", "s"]),
    st.floats(-1e6, 1e6),
    st.sampled_from([1.0, 0.5, 0.1]),
)


@given(st.lists(_plain, max_size=60))
def test_totals_equal_those_of_a_naive_model(events: list[tuple[str, str, str, float, float]]) -> None:
    aggregator = Aggregator()
    fed: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    types: dict[tuple[str, str], str] = {}
    conflicts = 0
    for name, key, kind, value, rate in events:
        aggregator.feed("d", name, f"{key}:{abs(value)!r}|{kind}|@{rate}")
        if types.setdefault((name, key), kind) == kind:
            fed[name, key].append((abs(value), rate))
        else:
            conflicts += 1
    expected: Values = {}
    for (name, key), values in fed.items():
        expected |= {
            ("d", name, key.replace(" ", "%20") + end): value for end, value in _model(types[name, key], values)
        }
    if conflicts:
        expected["deployer", "agent", "conflicts"] = conflicts
    points = close(aggregator)
    assert {key: points.get(key) for key in expected} == pytest.approx(expected)
    assert {key for _, _, key in points} - {key for _, _, key in expected} == set()


def _model(kind: str, values: list[tuple[float, float]]) -> list[tuple[str, float]]:
    numbers = sorted(value for value, _ in values)
    if kind == "g":
        return [("", values[-1][0])]
    if kind == "s":
        return [(".count", len(set(numbers)))]
    if kind == "c":
        total = sum(value / rate for value, rate in values)
        return [(".count", total), (".rate", total / STEP)]
    count = sum(1 / rate for _, rate in values)
    lowest = numbers[: math.floor(0.9 * len(numbers) + 0.5)]
    return [
        (".count", count),
        (".count_ps", count / STEP),
        (".lower", numbers[0]),
        (".upper", numbers[-1]),
        (".sum", sum(numbers)),
        (".mean", statistics.fmean(numbers)),
        (".median", statistics.median(numbers)),
        (".std", statistics.pstdev(numbers)),
        (".mean_90", statistics.fmean(lowest)),
        (".upper_90", lowest[-1]),
        (".sum_90", sum(lowest)),
    ]


@given(st.lists(st.one_of(st.text(max_size=40), st.text(alphabet="ab.:|@#cgmshkv,=+-01e\n", max_size=40)), max_size=20))
def test_any_text_can_be_fed_and_what_comes_out_can_be_sent(texts: list[str]) -> None:
    aggregator = Aggregator(Bounds(keys=5, all_keys=8), Pool(values=3, members=3))
    for text in texts:
        aggregator.feed("d", "n", text)
    flushes: list[Flush] = [*aggregator.flush(0, 1), *aggregator.flush(1, 1)]
    assert all(math.isfinite(point.value) for flush in flushes for point in flush.points)
    assert aggregator.size <= 5
