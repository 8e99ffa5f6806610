import os
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from deployer.kit.backoff import Backoff
from deployer.kit.files import TooOpen, private_dir, read_private, write_private
from deployer.kit.inflight import Inflight
from deployer.kit.lock_posix import open_lock, try_lock
from deployer.kit.periodic import Periodic
from deployer.kit.wake import Hub
from support.failures import LoggedFailures


def test_periodic_work_goes_on_after_a_failure_and_counts_it(logged_failures: LoggedFailures) -> None:
    clock, rounds = Clock(), []

    async def work() -> None:
        rounds.append(clock.seconds())
        if len(rounds) == 1:
            raise ValueError("once")

    periodic = Periodic("work", 5, work, clock)
    periodic.startService()
    for _ in range(3):
        clock.advance(5)
    periodic.stopService()
    clock.advance(100)
    assert rounds == [5, 10, 15]
    assert periodic.failures == 1
    assert len(logged_failures.flush(ValueError)) == 1


def test_periodic_work_never_runs_twice_at_once() -> None:
    clock = Clock()
    running: list[Deferred[None]] = []

    async def work() -> None:
        running.append(Deferred())
        await running[-1]

    periodic = Periodic("work", 1, work, clock, now=True)
    periodic.startService()
    clock.advance(3)
    assert len(running) == 1
    running[0].callback(None)
    clock.advance(1)
    assert len(running) == 2
    periodic.stopService()
    running[1].callback(None)


async def test_work_in_flight_is_cancelled_with_its_owner_and_its_failure_is_logged(
    logged_failures: LoggedFailures,
) -> None:
    inflight, waiting = Inflight(), Deferred[None]()

    async def wait() -> None:
        await waiting

    async def fail() -> None:
        raise KeyError("gone")

    inflight.spawn("waiting", wait())
    inflight.spawn("failing", fail())
    assert len(inflight) == 1
    await inflight.cancel()
    assert len(inflight) == 0
    assert len(logged_failures.flush(KeyError)) == 1


def test_delays_are_drawn_between_nothing_and_a_bound_that_doubles_up_to_its_cap() -> None:
    bounds: list[float] = []
    backoff = Backoff(1, 60, lambda low, high: bounds.append(high) or low)  # type: ignore[func-returns-value]
    for _ in range(8):
        assert backoff.next_delay() == 0
    assert bounds == [1, 2, 4, 8, 16, 32, 60, 60]
    backoff.reset()
    backoff.next_delay()
    assert bounds[-1] == 1


def test_private_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        folder = private_dir(tmp_path / "d")
        write_private(folder / "f", b"secret")
    finally:
        os.umask(old)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "f").stat().st_mode & 0o777 == 0o600
    assert read_private(folder / "f") == b"secret"
    assert [path.name for path in folder.iterdir()] == ["f"]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_a_secret_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "f"
    write_private(path, b"secret")
    path.chmod(mode)
    with pytest.raises(TooOpen, match="chmod 600"):
        read_private(path)


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    first, second = open_lock(tmp_path / "lock"), open_lock(tmp_path / "lock")
    assert try_lock(first)
    assert not try_lock(second)
    os.close(first)
    assert try_lock(second)
    os.close(second)


def test_a_waiter_wakes_for_its_topics_only() -> None:
    clock = Clock()
    hub = Hub(clock)
    with hub.waiter(("a", "1"), ("b", "1")) as waiter:
        woken = Deferred.fromCoroutine(waiter.wait(100))
        hub.heard("a", "2")
        assert not woken.called
        hub.heard("b", "1")
        assert woken.result is True  # type: ignore[attr-defined]  # it has one by now
    assert len(hub) == 0


def test_what_is_published_between_look_and_wait_is_not_missed() -> None:
    hub = Hub(Clock())
    with hub.waiter(("a", "1")) as waiter:
        waiter.seen()
        hub.heard("a", "1")
        assert Deferred.fromCoroutine(waiter.wait(100)).result is True  # type: ignore[attr-defined]  # it has one


def test_who_waits_looks_again_after_15_seconds_and_after_a_new_subscription() -> None:
    clock = Clock()
    hub = Hub(clock)
    with hub.waiter(("a", "1")) as waiter:
        first = Deferred.fromCoroutine(waiter.wait(100))
        clock.advance(15)
        assert first.result is False  # type: ignore[attr-defined]  # it has one by now
        second = Deferred.fromCoroutine(waiter.wait(100))
        hub.wake_all()
        assert second.result is True  # type: ignore[attr-defined]  # it has one by now


def test_a_waiter_whose_client_leaves_is_forgotten() -> None:
    clock = Clock()
    hub = Hub(clock)

    async def wait() -> None:
        with hub.waiter(("a", "1")) as waiter:
            await waiter.wait(100)

    waiting = Deferred.fromCoroutine(wait())
    waiting.addErrback(lambda _: None)
    waiting.cancel()
    assert len(hub) == 0
    assert clock.getDelayedCalls() == []
