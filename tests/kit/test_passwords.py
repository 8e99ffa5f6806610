from typing import Any, cast

from twisted.internet.defer import Deferred

from deployer.kit.passwords import AT_ONCE, MOST_WAITING, BusyError, Passwords
from deployer.kit.threads import Threads


class Slow:
    """Threads that end their work when the test says so."""

    def __init__(self) -> None:
        self.running: list[tuple[Deferred[Any], Any]] = []

    async def run(self, work: Any, *arguments: Any) -> Any:
        done: Deferred[Any] = Deferred()
        self.running.append((done, lambda: work(*arguments)))
        return await done

    def step(self) -> None:
        done, work = self.running.pop(0)
        done.callback(work())


def begun(slow: Slow, work: Any) -> list[Any]:
    results: list[Any] = []
    Deferred.fromCoroutine(work).addBoth(results.append)
    return results


def made() -> tuple[Passwords, Slow]:
    slow = Slow()
    return Passwords(cast("Threads", slow)), slow


def finished(slow: Slow, work: Any) -> Any:
    results = begun(slow, work)
    slow.step()
    return results[0]


def test_a_password_matches_what_is_kept_of_it_and_nothing_else_does() -> None:
    passwords, slow = made()
    kept = finished(slow, passwords.hash("correct horse \ud800"))
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert "horse" not in kept
    assert finished(slow, passwords.matches(kept, "correct horse \ud800")) is True
    assert finished(slow, passwords.matches(kept, "correct horse")) is False
    assert finished(slow, passwords.matches("garbage", "x")) is False
    assert not passwords.is_old(kept)


def test_no_password_matches_where_none_is_kept_and_the_work_is_the_same() -> None:
    passwords, slow = made()
    assert finished(slow, passwords.matches(None, "anything")) is False
    assert passwords._nobodys.count("$") == finished(slow, passwords.hash("x")).count("$")
    assert not passwords.is_old(passwords._nobodys)


def test_few_run_at_once_few_wait_and_the_next_is_refused() -> None:
    passwords, slow = made()
    all_results = [begun(slow, passwords.hash("x")) for _ in range(AT_ONCE + MOST_WAITING)]
    assert len(slow.running) == AT_ONCE
    assert begun(slow, passwords.hash("x"))[0].check(BusyError)
    slow.step()
    assert len(slow.running) == AT_ONCE
    assert begun(slow, passwords.matches(None, "x")) == []
    while slow.running:
        slow.step()
    assert all(len(results) == 1 for results in all_results)
    assert passwords.waiting == 0
