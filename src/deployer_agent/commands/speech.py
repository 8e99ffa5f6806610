"""What tasks say: numbered once, kept in this host's store and sent to the master, each as far as its levels say."""

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct
from twisted.internet.defer import Deferred

from deployer.kit.clock import Clock, WallClock, epoch_ms
from deployer.protocol import levels
from deployer.protocol.messages import ID_MASK, Message
from deployer_agent.messages.store import Row
from deployer_agent.outbox.batch import Source
from deployer_agent.outbox.numbers import Numbers
from deployer_agent.processes.output import Output

REPORT_S: Final = 10.0
ROW_BYTES: Final = 200
"""What a message costs in memory beside its text."""


class Wanted(Struct, frozen=True):
    """Which levels are kept here, and which are sent."""

    kept: frozenset[int] = levels.VALID
    sent: frozenset[int] = levels.VALID


class Keepers(Struct, frozen=True):
    """Who takes what is said: `keep` the rows of a task with the bytes of their data, `send` its messages.

    `kept` fires when all rows of a task that were taken so far are written; `settle` calls when all of its messages are
    acknowledged.
    """

    keep: Callable[[str, Sequence[Row], int], None]
    kept: Callable[[str], Deferred[None]]
    send: Callable[[Source, Sequence[Message]], None]
    settle: Callable[[str, Callable[[], None]], None]


class _Pace(Struct):
    """How much of one task came in the present second, and what of it was dropped since the last report."""

    source: Source
    second: float
    lines: int = 0
    dropped: int = 0
    reported: float = 0.0


class Speech:
    """Everything that is said here goes through `add`. `most_lines`: of one task in a second, 0 for any number."""

    def __init__(self, keepers: Keepers, numbers: Numbers, clock: Clock, wall: WallClock, most_lines: int) -> None:
        self._keepers = keepers
        self._numbers = numbers
        self._clock = clock
        self._wall = wall
        self._most_lines = most_lines
        self._paces: dict[str, _Pace] = {}
        self.dropped = 0
        self.settling = 0

    def add(self, source: Source, wanted: Wanted, output: Output) -> None:
        """Take messages of one task, in order."""
        if self._most_lines and source.task:
            output = self._slowed(source, output)
        self._pass_on(source, wanted, output)

    def settle(self, task: str, then: Callable[[], None]) -> None:
        """Call when all that a task has said is written here and acknowledged by the master."""
        pace = self._paces.pop(task, None)
        if pace is not None and pace.dropped:
            self._report(pace)
        self.settling += 1
        self._keepers.kept(task).addBoth(self._kept, task, then)

    def _kept(self, _: object, task: str, then: Callable[[], None]) -> None:
        self.settling -= 1
        self._keepers.settle(task, then)

    def _pass_on(self, source: Source, wanted: Wanted, output: Output) -> None:
        now, first = epoch_ms(self._wall), self._numbers.take(len(output))
        task, domain, name = source.task, source.domain, source.name
        rows: list[Row] = [
            (seq, seq & ID_MASK, task, domain, name, now, level, text, flags)
            for seq, (level, text, flags) in enumerate(output, first)
        ]
        kept = rows if wanted.kept == levels.VALID else [row for row in rows if row[6] in wanted.kept]
        if kept:
            self._keepers.keep(task, kept, sum([len(row[7]) for row in kept]) + ROW_BYTES * len(kept))
        if wanted.sent:
            self._send(source, wanted.sent, rows)

    def _send(self, source: Source, sent: frozenset[int], rows: Sequence[Row]) -> None:
        messages = [Message(row[6], row[0], row[5], row[7], row[8]) for row in rows if row[6] in sent]
        if messages:
            self._keepers.send(source, messages)

    def _slowed(self, source: Source, output: Output) -> Output:
        """Drop what is more than the cap, count it, and say so now and then."""
        now = self._clock.seconds()
        pace = self._paces.setdefault(source.task, _Pace(source, now, reported=now))
        if now - pace.second >= 1:
            pace.second, pace.lines = now, 0
        room = max(0, self._most_lines - pace.lines)
        pace.lines += len(output)
        pace.dropped += max(0, len(output) - room)
        self.dropped += max(0, len(output) - room)
        if pace.dropped and now - pace.reported >= REPORT_S:
            self._report(pace)
        return output[:room]

    def _report(self, pace: _Pace) -> None:
        text = f"{pace.dropped} messages were dropped: more than {self._most_lines} a second"
        pace.dropped, pace.reported = 0, self._clock.seconds()
        self._pass_on(pace.source, Wanted(), [(levels.WARNING, text, 0)])
