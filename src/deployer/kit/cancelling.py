"""Ends a wait at once when it is cancelled, which what it waits for does not always, or must not."""

from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


def cancellable(exchange: Deferred[T]) -> Deferred[T]:
    """A Deferred of our own that fires with another's, or is cancelled with it."""
    own: Deferred[T] = Deferred(lambda _: exchange.cancel())

    def tell(outcome: T | Failure) -> None:
        if not own.called:
            own.callback(outcome)

    exchange.addBoth(tell)
    return own


def shielded(work: Deferred[T]) -> Deferred[T]:
    """A Deferred of our own that fires with another's; cancelling it leaves that one alone, whatever becomes of it."""
    own: Deferred[T] = Deferred()

    def tell(outcome: T | Failure) -> None:
        if not own.called:
            own.callback(outcome)

    work.addBoth(tell)
    return own
