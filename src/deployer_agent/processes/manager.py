"""Everything that runs: starts it, ends it when asked or when its time is over, and tells how it ended."""

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger

from deployer.kit.clock import Call, Clock, WallClock, epoch_ms
from deployer.protocol import codes, levels
from deployer.protocol.commands import ExecuteArgs
from deployer.protocol.results import MAX_RESULT_BYTES, Result
from deployer_agent.errors import RefusedError
from deployer_agent.processes.child import Child, Ending, failed, outcome
from deployer_agent.processes.output import Output

SHUTDOWN: Final = Ending("KILLED", codes.AGENT_STOPPED, "the agent was stopped")
KILL: Final = Ending("KILLED", codes.KILLED, "ended on demand")


class Job(Struct, frozen=True, kw_only=True):
    """One task to run."""

    task: str
    run: int
    args: ExecuteArgs
    data: str


class Platform(Struct, frozen=True):
    """What differs between systems, chosen once in assembly.

    `terminate` and `kill` take a first process' pid and reach everything it started; they answer how many that were.
    """

    launch: Callable[[ProcessProtocol, ExecuteArgs, Mapping[str, str]], int]
    terminate: Callable[[int], int]
    kill: Callable[[int], int]


class _Running:
    """One process with its clocks."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.pid = 0
        self.starttime = 0
        self.started = 0.0
        self.child: Child | None = None
        self.ending: Ending | None = None
        self.timer: Call | None = None
        self.last_result: Output | None = None


class ProcessManager:
    """Runs jobs. `said(job, messages)` gets their output, `finished(job, result)` their end."""

    log = Logger()

    def __init__(
        self,
        platform: Platform,
        clock: Clock,
        wall: WallClock,
        *,
        said: Callable[[Job, list[Output]], None],
        finished: Callable[[Job, Result], None],
    ) -> None:
        self._platform = platform
        self._clock = clock
        self._wall = wall
        self._said = said
        self._finished = finished
        self._running: dict[str, _Running] = {}
        self._paused = False

    def __len__(self) -> int:
        return len(self._running)

    def __contains__(self, task: str) -> bool:
        return task in self._running

    def start(self, job: Job, identity: Mapping[str, str]) -> None:
        """Start a process; what cannot be started is finished at once with the reason."""
        running = _Running(job)
        running.starttime, running.started = epoch_ms(self._wall), self._clock.seconds()
        child = Child(
            job.data.encode(),
            self._clock,
            lambda messages: self._on_output(running, messages),
            lambda child: self._on_end(running, child),
        )
        running.child = child
        if self._paused:
            child.pause()
        self._running[job.task] = running
        try:
            running.pid = self._platform.launch(child, job.args, identity)
        except RefusedError as error:
            del self._running[job.task]
            self._finished(job, failed(job.task, job.run, error.code, error.reason))
            return
        if job.args.max_time:
            reason = Ending("TIMEOUT", codes.MAX_TIME, f"ran longer than its {job.args.max_time} s")
            running.timer = self._clock.callLater(job.args.max_time, self._end, running, reason)

    def kill(self, task: str, ending: Ending = KILL) -> bool:
        """End a task's whole session: TERM, KILL after its grace. False when it does not run here."""
        running = self._running.get(task)
        if running is None:
            return False
        self._end(running, ending)
        return True

    def kill_all(self, ending: Ending) -> None:
        """End everything."""
        for running in tuple(self._running.values()):
            self._end(running, ending)

    def pause(self) -> None:
        """Read no output: there is no room for it."""
        self._paused = True
        for running in self._running.values():
            if running.child is not None:
                running.child.pause()

    def resume(self) -> None:
        """Read output again."""
        self._paused = False
        for running in self._running.values():
            if running.child is not None:
                running.child.resume()

    def _end(self, running: _Running, ending: Ending) -> None:
        if running.ending is not None:
            return
        running.ending = ending
        _cancel(running.timer)
        self._platform.terminate(running.pid)
        running.timer = self._clock.callLater(running.job.args.grace, self._kill, running)

    def _kill(self, running: _Running) -> None:
        """KILL until the session is empty: what forks meanwhile is found in the next round."""
        if running.job.task in self._running and (self._platform.kill(running.pid) or _runs(running)):
            running.timer = self._clock.callLater(0.1, self._kill, running)

    def _on_output(self, running: _Running, messages: list[Output]) -> None:
        for message in messages:
            if message[0] in levels.RESULTS:
                running.last_result = message
        self._said(running.job, messages)

    def _on_end(self, running: _Running, child: Child) -> None:
        _cancel(running.timer)
        if running.ending is not None:  # whatever is left of what we ended goes with it
            self._platform.kill(running.pid)
        del self._running[running.job.task]
        level, data = running.last_result or (0, "")
        self._finished(
            running.job,
            Result(
                id=running.job.task,
                run=running.job.run,
                level=level,
                data=_bounded(data),
                starttime=running.starttime,
                time=int((self._clock.seconds() - running.started) * 1000),
                **outcome(child.exit, running.ending),
            ),
        )


def identity(task: str, gid: int, nid: int) -> dict[str, str]:
    """What a job can know of itself."""
    return {"DEPLOYER_JOB": task, "DEPLOYER_GID": str(gid), "DEPLOYER_NID": str(nid)}


def own_environment() -> Mapping[str, str]:
    """The agent's own environment."""
    return os.environ


def _runs(running: _Running) -> bool:
    return running.child is not None and running.child.running


def _cancel(timer: Any) -> None:
    if timer is not None and timer.active():
        timer.cancel()


def _bounded(data: str) -> str:
    """At most 1 MiB of UTF-8."""
    raw = data.encode("utf-8", "replace")
    return data if len(raw) <= MAX_RESULT_BYTES else raw[:MAX_RESULT_BYTES].decode("utf-8", "ignore")
