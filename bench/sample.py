"""What one sample of 50 jobs with 3 processes each costs, and for how long it keeps the reactor from others.

Run by hand: `python bench/sample.py`. Each process holds four descriptors, one of them a TCP connection. The reactor is
watched by a call that wants to come every half millisecond: how late it comes while samples are taken, less how late it
comes without, is what they keep it for. psutil's way is measured beside it in the same run.
"""

import gc
import multiprocessing
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import psutil
from twisted.internet import reactor as installed  # noqa: TID251 (a program of its own; on Linux it is the epoll reactor)
from twisted.internet.defer import Deferred

from deployer.kit.clock import sleep
from deployer_agent.stats.host_sampler import HostSampler
from deployer_agent.stats.points import host_points, process_points
from deployer_agent.stats.sampler import Sampler

reactor: Any = installed
JOBS = 50
MANY = 67  # jobs with three processes: 200 members
ROUNDS = 40
TICK_S = 0.0005
JOB = """
import os, socket, sys, time
for _ in range(2):
    if os.fork() == 0: break
link = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
time.sleep(1000)
"""


def accept(tell: Any) -> None:
    """Hold the other ends."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
        tell.send(listening.getsockname()[1])
        held = []
        while True:
            held.append(listening.accept())


@contextmanager
def jobs(count: int) -> Iterator[dict[str, list[int]]]:
    ours, theirs = multiprocessing.Pipe()
    other = multiprocessing.get_context("fork").Process(target=accept, args=(theirs,), daemon=True)
    other.start()
    command = [sys.executable, "-S", "-E", "-c", JOB, str(ours.recv())]
    started = [subprocess.Popen(command, start_new_session=True) for _ in range(count)]
    try:
        yield {f"job-{number}": [one.pid] for number, one in enumerate(started)}
    finally:
        for one in started:
            os.killpg(one.pid, signal.SIGKILL)
            one.wait()
        other.kill()
        other.join()


class Lateness:
    """The longest that the reactor did not come round."""

    def __init__(self) -> None:
        self.worst = 0.0
        self._last = time.perf_counter()
        reactor.callLater(TICK_S, self._tick)

    def take(self) -> float:
        """The worst since the last time."""
        worst, self.worst = self.worst, 0.0
        return worst

    def _tick(self) -> None:
        now = time.perf_counter()
        self.worst = max(self.worst, now - self._last - TICK_S)
        self._last = now
        reactor.callLater(TICK_S, self._tick)


async def measure(name: str, roots: dict[str, list[int]], lateness: Lateness) -> None:
    sampler = Sampler(reactor)
    while sum(one.connections for one in (await sampler.sample(roots)).values()) < len(roots) * 3:
        await sleep(reactor, 0.1)
    costs, late, idle = [], [], []
    lateness.take()
    for _ in range(ROUNDS):
        await sleep(reactor, 0.05)
        idle.append(lateness.take())
        begin = time.thread_time()
        told = await sampler.sample(roots)
        costs.append((time.thread_time() - begin) * 1000)
        await sleep(reactor, 0)
        await sleep(reactor, TICK_S * 2)
        late.append(lateness.take() * 1000)
    members = sum(one.processes for one in told.values())
    connections = sum(one.connections for one in told.values())
    print(
        f"{name}: {members} processes of {len(psutil.pids())}, {connections} connections:"
        f" {statistics.median(costs):.1f} ms of cpu a sample in the median, {max(costs):.1f} at most (asked: below 10);"
        f" reactor kept for {statistics.median(late):.1f} ms in the median, {max(late):.1f} at most (asked: 10;"
        f" without samples {max(idle) * 1000:.1f}); {sampler.counts}"
    )
    begin = time.thread_time()
    count = sum(len(process_points(one)) for one in told.values())
    print(f"  {count} points of them in {(time.thread_time() - begin) * 1000:.2f} ms")


def by_psutil(roots: dict[str, list[int]]) -> None:
    begin = time.thread_time()
    for pids in roots.values():
        process = psutil.Process(pids[0])
        for one in [process, *process.children(recursive=True)]:
            with one.oneshot():
                _ = one.cpu_times(), one.memory_info(), one.io_counters(), one.num_threads(), one.num_fds()
                one.net_connections("inet")
    print(f"psutil, the same without bytes of connections: {(time.thread_time() - begin) * 1000:.0f} ms in one piece")


async def host() -> None:
    sampler = HostSampler(reactor)
    sampler.sample()
    costs = []
    for _ in range(ROUNDS):
        await sleep(reactor, 0.02)
        begin = time.thread_time()
        told = sampler.sample()
        costs.append((time.thread_time() - begin) * 1000)
    print(
        f"host: {statistics.median(costs):.2f} ms in the median, {max(costs):.2f} at most;"
        f" {len(host_points(told))} points"
    )


async def run() -> None:
    lateness = Lateness()
    with jobs(JOBS) as roots:
        await sleep(reactor, 1)
        gc.freeze()
        await measure("50 jobs of 3", roots, lateness)
        by_psutil(roots)
    with jobs(MANY) as roots:
        await sleep(reactor, 1)
        await measure("67 jobs of 3", roots, lateness)
    await host()


def main() -> None:
    done = Deferred.fromCoroutine(run())
    done.addErrback(lambda failure: failure.printTraceback())
    done.addBoth(lambda _: reactor.stop())
    reactor.run()


if __name__ == "__main__":
    main()
