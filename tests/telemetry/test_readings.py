"""Questions about series: what is seen, and that many or long ones hold nobody up."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred

from deployer.errors import TooManyError
from deployer.model.graphite.budget import Budget
from deployer.model.graphite.catalog import Catalog
from deployer.model.graphite.expression import parse
from deployer.model.graphite.lines import Line
from deployer.model.graphite.problems import TooMuchError
from deployer.model.series import Series
from deployer.protocol.ids import AgentId
from deployer.telemetry.readings import AT_ONCE, MAX_WAITING, NoSource, Question, Readings, Sight
from support.memory_source import MemorySource

START = 1_700_000_040
ALL = Sight("acme")


class SlowThreads:
    """Work begins when it is given here and ends when the test says so."""

    def __init__(self) -> None:
        self.running: list[tuple[Deferred[Any], Callable[[], Any]]] = []

    async def run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        done: Deferred[Any] = Deferred()
        self.running.append((done, lambda: work(*arguments)))
        return await done

    def end(self) -> None:
        done, work = self.running.pop(0)
        try:
            done.callback(work())
        except TooMuchError:
            done.errback()


def started(work: Coroutine[Deferred[Any], Any, Any]) -> Deferred[Any]:
    return Deferred.fromCoroutine(work)


def readings(count: int = 6000) -> tuple[Readings, SlowThreads]:
    threads: Any = SlowThreads()
    source = MemorySource({"acme": [Series(f"a.{one}", START, 30, [1.0]) for one in range(count)]})
    return Readings(source, threads), threads


def look(its: Readings) -> Deferred[Any]:
    return started(its.look(ALL, lambda catalog, budget: len(catalog.find("a.*", budget))))


def test_few_names_are_looked_at_at_once() -> None:
    its, threads = readings(10)
    assert look(its).result == 10
    assert threads.running == []


def test_many_names_are_looked_at_in_threads_of_which_few_run_at_once() -> None:
    its, threads = readings()
    asked = [look(its) for _ in range(5)]
    assert len(threads.running) == AT_ONCE
    for _ in asked:
        threads.end()
    assert [one.result for one in asked] == [6000] * 5


def test_what_is_little_and_takes_long_goes_to_a_thread_too() -> None:
    its, threads = readings(10)

    def work(catalog: Catalog, budget: Budget) -> str:
        budget.spend(100_000)
        return "done"

    asked = started(its.look(ALL, work))
    assert not asked.called
    threads.end()
    assert asked.result == "done"


def test_too_many_that_wait_are_refused() -> None:
    its, threads = readings()
    asked = [look(its) for _ in range(AT_ONCE + MAX_WAITING)]
    refused = look(its)
    assert isinstance(refused.result.value, TooManyError)  # type: ignore[union-attr]  # a Failure
    refused.addErrback(lambda _: None)
    while threads.running:
        threads.end()
    assert all(one.result == 6000 for one in asked)


def test_the_turn_of_whoever_leaves_ends_with_the_thread_which_ends_soon() -> None:
    its, threads = readings()
    asked = [look(its) for _ in range(AT_ONCE + 1)]
    for one in asked:
        one.addErrback(lambda reason: reason.trap(CancelledError))
    asked[0].cancel()
    assert len(threads.running) == AT_ONCE
    left = threads.running[0][1]
    with pytest.raises(TooMuchError):
        left()
    threads.end()
    assert len(threads.running) == AT_ONCE
    threads.end()
    threads.end()
    assert [one.result for one in asked[1:]] == [6000] * AT_ONCE


def test_nothing_is_there_without_a_store() -> None:
    its = Readings(NoSource(), SlowThreads())  # type: ignore[arg-type]  # no thread is needed
    question = Question([parse("a.*"), parse("sumSeries(*)")], START, START + 60)

    def names(targets: list[list[Line]]) -> list[list[str]]:
        return [[line.name for line in lines] for lines in targets]

    assert started(its.render(ALL, question, names)).result == [[], []]


def test_series_are_read_once_for_all_targets_of_a_time() -> None:
    source = MemorySource({"acme": [Series(f"a.{one}", START, 30, [1.0] * 10) for one in range(3)]})
    its = Readings(source, SlowThreads())  # type: ignore[arg-type]  # no thread is needed
    targets = [parse(text) for text in ("a.*", "a.1", "sumSeries(a.{1,2})")]
    assert started(its.render(ALL, Question(targets, START, START + 60), len)).result == 3
    assert [asked[1] for asked in source.asked] == [("a.0", "a.1", "a.2")]


@pytest.mark.parametrize(
    ("name", "is_seen"),
    [
        ("agents.1.7.host.cpu", True),
        ("agents.1.8.host.cpu", False),
        ("agents.1.77.host.cpu", False),
        ("agents.1.7", False),
        ("agents.x.7.host", False),
        ("stats.gauges.a", False),
        ("cpu;agent=1", False),
        ("agents.1.7.jobs.a.b.c;x=y", True),
    ],
)
def test_who_is_limited_to_some_agents_sees_their_series_only(name: str, is_seen: bool) -> None:  # noqa: FBT001
    assert Sight("acme", frozenset({AgentId(1, 7)})).sees(name) is is_seen
    assert ALL.sees(name)
