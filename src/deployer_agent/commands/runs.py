"""Runs and their processes, written down: what a supervisor and the manager tell the journal."""

from collections.abc import Callable
from typing import Final

import msgspec
from twisted.logger import Logger
from twisted.python.failure import Failure

from deployer.kit.clock import Call, Clock
from deployer.kit.failpoints import reach
from deployer.protocol.results import Result
from deployer_agent.journal.journal import Journal
from deployer_agent.journal.patience import written
from deployer_agent.journal.records import History, Key, RunRecord
from deployer_agent.processes.plan import Footprint

NOTE_S: Final = 0.25
"""Processes that live no longer are not written down one by one: the mark in their environment finds them too."""

_encode = msgspec.json.Encoder().encode
_footprint = msgspec.json.Decoder(Footprint).decode


class Runs:
    """Begins and ends of runs."""

    def __init__(self, journal: Journal, clock: Clock, post: Callable[[Key, bytes], None]) -> None:
        self._journal = journal
        self._clock = clock
        self._post = post

    async def begin(self, key: Key, number: int, due: int) -> None:
        """Returns when the journal has it as begun: from here on it is never started again."""
        await written(lambda: self._journal.next_run(key, number, due), self._clock)
        reach("run_begun")

    async def note_kill(self, task: str) -> None:
        """Returns when the journal has it that a task is to end for good."""
        await written(lambda: self._journal.kill(task), self._clock)
        reach("kill_noted")

    async def record(self, key: Key, result: Result, history: History) -> None:
        """Returns when the journal has its record, which is then on its way."""
        encoded = _encode(result)
        record = RunRecord(key[0], result.run, encoded)
        await written(lambda: self._journal.end_run(key, record, history), self._clock)
        reach("run_recorded")
        self._post((key[0], result.run), encoded)


class Footprints:
    """Notes by what living processes are found, so that the agent's next start finds those that this one left."""

    log = Logger()

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._new: dict[str, bytes] = {}
        self._noted: set[str] = set()
        self._gone: list[str] = []
        self._timer: Call | None = None

    def begun(self, footprint: Footprint) -> None:
        """A process lives."""
        self._new[footprint.marker] = _encode(footprint)
        self._schedule()

    def over(self, footprint: Footprint) -> None:
        """Nothing of it has to be found any more."""
        if self._new.pop(footprint.marker, None) is None and footprint.marker in self._noted:
            self._noted.discard(footprint.marker)
            self._gone.append(footprint.marker)
            self._schedule()

    def flush(self) -> None:
        """Write down what is new."""
        self._timer = None
        new, gone = self._new, self._gone
        self._new, self._gone = {}, []
        if new or gone:
            self._noted.update(new)
            self._journal.note_processes(new, gone).addErrback(self._failed)

    async def left(self) -> list[Footprint]:
        """Those of an earlier agent."""
        found = [_footprint(raw) for raw in await self._journal.processes()]
        self._noted.update(footprint.marker for footprint in found)
        return found

    def _schedule(self) -> None:
        if self._timer is None:
            self._timer = self._clock.callLater(NOTE_S, self.flush)

    def _failed(self, failure: Failure) -> None:
        """A full disk: the mark in the environment and the cgroup still find them."""
        self.log.error("living processes could not be noted: {reason}", reason=failure.getErrorMessage())
