"""The rule that a logged failure fails the test is itself held by a test."""

import pytest
from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger

from support.failures import LoggedFailures, watch


def test_a_logged_failure_fails_the_test(logged_failures: LoggedFailures) -> None:
    with pytest.raises(AssertionError, match="it broke"), watch():
        try:
            raise ValueError("it broke")
        except ValueError:
            Logger().failure("work failed")
    logged_failures.flush()


def test_an_unhandled_deferred_fails_the_test(logged_failures: LoggedFailures) -> None:
    with pytest.raises(AssertionError, match="forgotten"), watch():
        fail(ValueError("forgotten"))
    logged_failures.flush()


def test_an_expected_failure_can_be_taken_out(logged_failures: LoggedFailures) -> None:
    with watch() as seen:
        fail(KeyError("known"))
        assert len(seen.flush(KeyError)) == 1
    logged_failures.flush()


async def test_a_coroutine_test_runs_in_the_reactor() -> None:
    from twisted.internet import reactor  # noqa: PLC0415, TID251 (this test is about the reactor)

    done: Deferred[int] = Deferred()
    reactor.callLater(0, done.callback, 5)  # type: ignore[attr-defined]
    assert await done == 5
