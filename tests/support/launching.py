"""Real processes from the real launcher: what they print, how they end, where their cgroups are."""

import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twisted.internet import reactor  # noqa: TID251 (real processes)
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from deployer_agent.policy import Policy
from deployer_agent.processes.agent_posix import become_subreaper, no_core_dumps, seal_descriptors
from deployer_agent.processes.cgroups_posix import Cgroups
from deployer_agent.processes.launch_posix import PosixLauncher
from deployer_agent.processes.members_posix import Members
from deployer_agent.processes.mounts_posix import find_cgroups
from deployer_agent.processes.plan import Plan
from deployer_agent.processes.process_posix import SessionProcess
from deployer_agent.processes.reaper_posix import reap_orphans
from support.wait import until

NOBODY = 65534
LOOK_S = 0.02


class Heard(ProcessProtocol):
    """A process's output, by stream, and its end."""

    def __init__(self) -> None:
        self.streams: dict[int, bytes] = {1: b"", 2: b""}
        self.ended: Deferred[None] = Deferred()
        self.exit: tuple[int | None, int | None] | None = None

    @property
    def out(self) -> str:
        return self.streams[1].decode()

    def childDataReceived(self, childFD: int, data: bytes) -> None:  # noqa: N803 (Twisted's name)
        self.streams[childFD] += data

    def processEnded(self, reason: Failure) -> None:
        error = reason.value
        self.exit = (error.exitCode, error.signal) if isinstance(error, ProcessTerminated) else (0, None)
        self.ended.callback(None)


class Started:
    """A process with what it said."""

    def __init__(self, process: SessionProcess, heard: Heard) -> None:
        self.process = process
        self.heard = heard

    @property
    def code(self) -> str | None:
        return None if self.process.refusal is None else self.process.refusal.code


class Bench:
    """A launcher and an ender as an agent has them."""

    def __init__(self, policy: Policy | None = None, *, cgroups: bool = False, **options: Any) -> None:
        seal_descriptors()
        no_core_dumps()
        become_subreaper()
        self.instance = secrets.token_hex(16)
        self.cgroups: Cgroups | None = find_cgroups(cgroups, self.instance)
        self.members = Members(self.cgroups)
        with private_umask():
            self.launcher = PosixLauncher(
                reactor,
                policy or Policy(allow_root=True, users=("*",), groups=("*",)),
                self.cgroups,
                self.instance,
                **{"environment": dict(os.environ), "started": self.members.started, **options},
            )
        self.started: list[Started] = []

    def start(self, plan: Plan) -> Started:
        heard = Heard()
        with private_umask():
            process = self.launcher.launch(plan, heard)
        started = Started(process, heard)
        self.started.append(started)
        if plan.data:
            process.feed(plan.data.encode())
        return started

    async def run(self, plan: Plan) -> Started:
        started = self.start(plan)
        await started.heard.ended
        return started

    async def end(self, started: Started) -> None:
        """KILL until nobody is left."""
        footprint = started.process.footprint
        await eventually(lambda: not self.members.signal(footprint, 9), "everybody to be ended")

    def close(self) -> None:
        for started in self.started:
            footprint = started.process.footprint
            until(lambda footprint=footprint: not self.members.signal(footprint, 9), what="all to be ended")  # type: ignore[misc]
            self.members.forget(footprint)
        reap_orphans()
        if self.cgroups is not None:
            until(self._removed, what="the cgroups to be empty", every_s=0.01)

    def _removed(self) -> bool:
        assert self.cgroups is not None
        self.cgroups.close()
        return not self.left()

    def left(self) -> list[Path]:
        """Which of our cgroups there are."""
        assert self.cgroups is not None
        homes = [place / f"deployer-{self.instance[:8]}" for place in self.cgroups.base.places]
        return [home for home in homes if home.exists()]


@contextmanager
def private_umask() -> Iterator[None]:
    """As the agent runs, but only while it starts something: tests write files for other users."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def bench(policy: Policy | None = None, *, cgroups: bool = False, **options: Any) -> Iterator[Bench]:
    made = Bench(policy, cgroups=cgroups, **options)
    try:
        yield made
    finally:
        made.close()


def sh(text: str, **more: Any) -> Plan:
    return Plan(**{"task": f"t{secrets.token_hex(4)}", "executable": "/bin/sh", "arguments": ["-c", text], **more})


async def eventually(condition: Any, what: str, deadline_s: float = 30.0) -> Any:
    """The condition's first true value; AssertionError naming `what` after the deadline."""
    end = time.monotonic() + deadline_s
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline_s} s in vain for {what}")
        await deferLater(reactor, LOOK_S)
    return value


def lives(pid: int) -> bool:
    try:
        return re.search(r"\) [ZX] ", Path(f"/proc/{pid}/stat").read_text()) is None
    except OSError:
        return False
