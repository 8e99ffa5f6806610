"""How many `/bin/true` a second the agent's launcher starts, beside `subprocess.Popen` in the same run, as ratios.

Run by hand: `make bench CASE=spawn`, as root. Both keep the same number of processes going; what is compared is
started, awaited and reaped, and for the launcher also its pipes, its decisions and, where there are cgroups, their
making and removal. Rounds alternate, and the median of the rounds' ratios is shown.
"""

import argparse
import os
import resource
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from twisted.internet import reactor  # noqa: TID251 (a program of its own; on Linux it is the epoll reactor)
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol

from deployer_agent.policy import Policy
from deployer_agent.processes.agent_posix import no_core_dumps, seal_descriptors
from deployer_agent.processes.launch_posix import PosixLauncher
from deployer_agent.processes.members_posix import Members
from deployer_agent.processes.mounts_posix import find_cgroups
from deployer_agent.processes.plan import Plan

LIMITS = {"nofile": 1024, "fsize": 1 << 30, "nproc": 500}
MB = 1024 * 1024


class Ended(ProcessProtocol):
    """Tells of the end."""

    def __init__(self, told: Any) -> None:
        self._told = told

    def processEnded(self, reason: Any) -> None:
        """Check that it was a good one."""
        if reason.value.exitCode != 0:
            raise RuntimeError(f"/bin/true ended badly: {reason.value}")
        self._told()


class Launches:
    """So many runs of one plan, `outstanding` at a time."""

    def __init__(self, launcher: PosixLauncher, members: Members, more: dict[str, Any], outstanding: int) -> None:
        self._launcher = launcher
        self._members = members
        self._more = more
        self._outstanding = outstanding

    async def rate(self, count: int) -> float:
        """Launches a second."""
        self._left, self._running, self._done = count, 0, Deferred[None]()
        begin = time.perf_counter()
        for _ in range(min(self._outstanding, count)):
            self._next()
        await self._done
        return count / (time.perf_counter() - begin)

    def _next(self) -> None:
        self._left -= 1
        self._running += 1
        plan = Plan(task=secrets.token_hex(16), executable="/bin/true", **self._more)
        process: Any = None

        def ended() -> None:
            if process.refusal is not None:
                raise process.refusal
            self._members.forget(process.footprint)
            self._running -= 1
            if self._left:
                self._next()
            elif not self._running:
                self._done.callback(None)

        process = self._launcher.launch(plan, Ended(ended))


def popen_rate(count: int, outstanding: int, directory: str | None) -> float:
    running: list[subprocess.Popen[bytes]] = []
    begin = time.perf_counter()
    for _ in range(count):
        if len(running) == outstanding:
            running.pop(0).wait()
        running.append(
            subprocess.Popen(
                ["/bin/true"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=directory,
                start_new_session=True,
                umask=0o077,
            )
        )
    for process in running:
        process.wait()
    return count / (time.perf_counter() - begin)


@contextmanager
def ballast() -> Iterator[None]:
    held = bytearray(os.urandom(MB)) * 300
    yield
    del held


@contextmanager
def descriptors() -> Iterator[None]:
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1000)]
    yield
    for handle in held:
        os.close(handle)


@contextmanager
def nothing() -> Iterator[None]:
    yield


async def compare(launches: Launches, options: argparse.Namespace, directory: str | None) -> tuple[float, float]:
    ratios, rates = [], []
    for _ in range(options.rounds):
        popen = popen_rate(options.count, options.outstanding, directory)
        rates.append(await launches.rate(options.count))
        ratios.append(rates[-1] / popen)
    return statistics.median(ratios), statistics.median(rates)


async def measure(options: argparse.Namespace, folder: str) -> None:
    root, instance = os.geteuid() == 0, secrets.token_hex(16)
    cgroups = find_cgroups(wanted="auto", instance=instance) if root else None
    policy = Policy(allow_root=True, users=["nobody"])
    cases: list[tuple[str, float, Any, dict[str, Any], bool]] = [
        ("plain", 0.8, nothing, {}, False),
        ("working directory", 0.8, nothing, {"directory": folder}, False),
        ("300 MB ballast", 0.8, ballast, {}, False),
        ("1,000 descriptors", 0.8, descriptors, {}, False),
    ]
    if root:
        cases.append(("user", 0.35, nothing, {"user": "nobody"}, False))
    if cgroups is not None:
        cases.append(("user, cgroup, limits", 0.25, nothing, {"user": "nobody", "limits": LIMITS}, True))
    print(f"{options.outstanding} outstanding, {options.rounds} rounds of {options.count}")
    for name, target, state, more, grouped in cases:
        members = Members(cgroups if grouped else None)
        launcher = PosixLauncher(reactor, policy, cgroups if grouped else None, instance, environment=dict(os.environ))
        with state():
            ratio, rate = await compare(
                Launches(launcher, members, more, options.outstanding), options, more.get("directory")
            )
        reached = "reached" if ratio >= target else "MISSED"
        print(f"{name:22} {rate:6.0f}/s  {ratio:5.0%} of Popen  (target {target:.0%}: {reached})", flush=True)
    if cgroups is not None:
        cgroups.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--outstanding", type=int, default=16)
    options = parser.parse_args()
    os.umask(0o077)
    seal_descriptors()
    no_core_dumps()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    loop: Any = reactor
    with tempfile.TemporaryDirectory() as folder:

        async def run() -> None:
            try:
                await measure(options, folder)
            finally:
                loop.stop()

        def failed(failure: Any) -> None:
            failure.printTraceback()

        loop.callWhenRunning(lambda: Deferred.fromCoroutine(run()).addErrback(failed))
        loop.run()


if __name__ == "__main__":
    main()
