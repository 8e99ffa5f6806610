"""How a program under twistd begins and ends: a clock that never steps, status 0 after TERM, 1 after a failed start."""

import os
import signal
import sys
import time
from typing import Any, Final

EXIT_FAILURE: Final = 1


def prepare(reactor: Any) -> None:
    """Before anything is made: files are private, time is monotonic, TERM and INT end the program in order."""
    os.umask(0o077)
    reactor.seconds = time.monotonic  # Twisted's is the wall clock, which steps
    reactor.callWhenRunning(_end_on_signals, reactor)


def _end_on_signals(reactor: Any) -> None:
    """In place of Twisted's own handlers, which make twistd die of the signal although all ended well."""

    def stop(*_: object) -> None:
        reactor.callFromThread(_stop, reactor)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def _stop(reactor: Any) -> None:
    if reactor.running:
        reactor.stop()


def fail(reactor: Any, program: str, reason: str) -> None:
    """Say in one line why, and end with status 1 after everything has been stopped."""
    sys.stderr.write(f"{program}: {reason}\n")
    reactor.addSystemEventTrigger("after", "shutdown", os._exit, EXIT_FAILURE)
    reactor.callWhenRunning(_stop, reactor)  # it may not run yet


def run_twistd(program: str) -> None:
    """The console script of a program: twistd in the foreground, without a pid file."""
    from twisted.scripts.twistd import run  # noqa: PLC0415 (only when it is run)

    sys.argv = ["twistd", "-n", "--pidfile=", program, *sys.argv[1:]]
    run()
