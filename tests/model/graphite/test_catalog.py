"""Finding series by pattern and by tag."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.model.graphite.budget import Budget
from deployer.model.graphite.catalog import Catalog, Found
from deployer.model.graphite.problems import TooMuchError, WrongTargetError

NAMES = sorted(
    [
        "agents.1.7.host.cpu",
        "agents.1.7.host.mem-used",
        "agents.1.8.host.cpu",
        "agents.1.8.jobs.web.nginx.cpu",
        "stats.gauges.a",
        "stats.gauges.a.b",
        "cpu;dc=north;host=a1",
        "cpu;dc=north;host=a2",
        "cpu;dc=south;host=b1",
        "disk;host=a1;mount=/",
    ]
)
CATALOG = Catalog(NAMES)


def series(pattern: str) -> list[str]:
    return CATALOG.series(pattern, Budget())


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("agents.1.7.host.cpu", ["agents.1.7.host.cpu"]),
        ("agents.*.*.host.cpu", ["agents.1.7.host.cpu", "agents.1.8.host.cpu"]),
        ("agents.1.?.host.c*", ["agents.1.7.host.cpu", "agents.1.8.host.cpu"]),
        ("agents.1.[78].host.cpu", ["agents.1.7.host.cpu", "agents.1.8.host.cpu"]),
        ("agents.1.[!7].host.cpu", ["agents.1.8.host.cpu"]),
        ("agents.1.{8,9,7}.host.cpu", ["agents.1.7.host.cpu", "agents.1.8.host.cpu"]),
        ("agents.1.7.host.{cpu,mem*}", ["agents.1.7.host.cpu", "agents.1.7.host.mem-used"]),
        ("agents.1.{7.host,8.jobs.web.nginx}.cpu", ["agents.1.7.host.cpu", "agents.1.8.jobs.web.nginx.cpu"]),
        ("agents.1.7.host", []),
        ("agents.1.7.host.cpu.x", []),
        ("stats.gauges.*", ["stats.gauges.a"]),
        ("stats.gauges.a.b", ["stats.gauges.a.b"]),
        ("*", []),
        ("", []),
        ("agents..7", []),
        ("cpu;dc=north;host=a1", ["cpu;dc=north;host=a1"]),
        ("cpu;host=a1;dc=north", ["cpu;dc=north;host=a1"]),
        ("cpu;host=zz", []),
        ("agents.1.7.host.[cpu", []),
        ("agents.1.7.host.{cpu", []),
    ],
)
def test_series_are_found_by_pattern(pattern: str, found: list[str]) -> None:
    assert series(pattern) == found


def test_places_tell_what_is_there_and_below() -> None:
    assert CATALOG.find("*", Budget()) == [
        Found("agents", leaf=False, branch=True),
        Found("stats", leaf=False, branch=True),
    ]
    assert CATALOG.find("stats.gauges.*", Budget()) == [Found("stats.gauges.a", leaf=True, branch=True)]
    assert CATALOG.find("stats.gauges.a.*", Budget()) == [Found("stats.gauges.a.b", leaf=True, branch=False)]
    assert [one.text for one in CATALOG.find("agents.1.*", Budget())] == ["7", "8"]


@pytest.mark.parametrize(
    ("expressions", "found"),
    [
        (["name=cpu"], NAMES[4:7]),
        (["name=cpu", "dc=north"], NAMES[4:6]),
        (["name=cpu", "dc!=north"], ["cpu;dc=south;host=b1"]),
        (["host=~a"], ["cpu;dc=north;host=a1", "cpu;dc=north;host=a2", "disk;host=a1;mount=/"]),
        (["host=~1"], []),
        (["host=~.*1", "dc="], ["disk;host=a1;mount=/"]),
        (["host=~.*1", "dc!="], ["cpu;dc=north;host=a1", "cpu;dc=south;host=b1"]),
        (["dc!="], NAMES[4:7]),
        (["name=~agents.*cpu$", "host="], [one for one in NAMES if one.startswith("agents") and one.endswith("cpu")]),
        (["name=cpu", "host!=~a"], ["cpu;dc=south;host=b1"]),
        (["name=cpu", "none!=~a"], NAMES[4:7]),
        (["none=x"], []),
    ],
)
def test_series_are_found_by_tag(expressions: list[str], found: list[str]) -> None:
    assert CATALOG.tagged(expressions, Budget()) == found


@pytest.mark.parametrize("expressions", [[], ["host="], ["host!=x"], ["host=~.*"], ["host!=~a"]])
def test_conditions_that_ask_for_nothing_are_refused(expressions: list[str]) -> None:
    with pytest.raises(WrongTargetError, match="at least one"):
        CATALOG.tagged(expressions, Budget())


@pytest.mark.parametrize("expression", ["", "host", "=a", "a;b=c", "x" * 2000 + "=1", "a=~(?=b)", "a=~("])
def test_what_is_no_condition_is_refused(expression: str) -> None:
    with pytest.raises(WrongTargetError):
        CATALOG.tagged(["name=cpu", expression], Budget())


def test_tags_and_values_are_completed() -> None:
    tags = CATALOG.tags
    assert tags.tags() == ["dc", "host", "mount", "name"]
    assert tags.tags("m") == ["mount"]
    assert tags.tags(among=tags.find(["name=cpu"], Budget())) == ["dc", "host", "name"]
    assert tags.values("host") == [("a1", 2), ("a2", 1), ("b1", 1)]
    assert tags.values("host", "a", tags.find(["name=disk"], Budget())) == [("a1", 1)]
    assert tags.values("none") == []


def test_what_would_be_too_much_is_refused() -> None:
    with pytest.raises(WrongTargetError, match="parts"):
        series(".".join("*" * 40))
    with pytest.raises(WrongTargetError, match="characters"):
        series("*" * 10_000)
    with pytest.raises(TooMuchError, match="combinations"):
        series("a{b,c}{d,e}{f,g}{h,i}{j,k}{l,m}{n,o}{p,q}{r,s}")
    with pytest.raises(TooMuchError, match="too long"):
        Catalog([f"a.{one}" for one in range(1000)]).series("a.*", Budget(500))
    with pytest.raises(TooMuchError, match="narrow"):
        Catalog([f"a.{one}" for one in range(10_001)]).series("a.*", Budget())


@given(st.text(alphabet="agents.178*?[]{},!-;=~", max_size=40))
def test_any_pattern_finds_known_series_or_is_refused(pattern: str) -> None:
    with contextlib.suppress(WrongTargetError):
        assert set(series(pattern)) <= set(NAMES)
