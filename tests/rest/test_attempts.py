"""Who guesses, from one place or from many: memory and log are bounded (RELIABILITY R7)."""

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from deployer.errors import TooManyError, UnauthorizedError
from deployer.kit.allowance import MOST_KEYS
from deployer.rest.attempts import A_MINUTE, Attempts

WRONG = UnauthorizedError("no")


@pytest.mark.parametrize("sources", [1, 200, 3 * MOST_KEYS])
def test_ten_thousand_guesses_a_minute_are_mostly_refused_and_hardly_logged(sources: int) -> None:
    clock, lines = Clock(), []
    attempts = Attempts("tokens", clock)
    guesses = max(10_000, sources)

    def note(event: LogEvent) -> None:
        lines.append(formatEvent(event))

    globalLogPublisher.addObserver(note)  # type: ignore[arg-type]  # zope's interfaces are unknown to mypy
    looked_at = 0
    try:
        for n in range(guesses):
            clock.advance(59 / guesses)
            looked_at += attempts.failed(f"source {n % sources}", WRONG) is WRONG
    finally:
        globalLogPublisher.removeObserver(note)  # type: ignore[arg-type]  # as above
    assert looked_at <= A_MINUTE * min(sources, MOST_KEYS + 1)
    assert attempts.failures == guesses
    assert len(attempts._wrong) <= MOST_KEYS + 1
    assert len(attempts._lines) <= MOST_KEYS + 1
    if sources == 1:
        assert len(lines) <= 60


def test_who_is_refused_is_told_for_how_long() -> None:
    clock = Clock()
    attempts = Attempts("log-ins", clock)
    attempts.require("a")
    for _ in range(A_MINUTE):
        assert attempts.failed("a", WRONG) is WRONG
        clock.advance(0.1)
    with pytest.raises(TooManyError) as caught:
        attempts.require("a")
    assert caught.value.after_s == pytest.approx(50)
    attempts.require("b")
    clock.advance(50.01)
    attempts.require("a")
