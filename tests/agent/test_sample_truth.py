"""What is told of real processes is what they say of themselves (to within ten per cent)."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor  # noqa: TID251 (real processes)

from deployer.kit.clock import sleep
from deployer_agent.stats.sampler import Sampler
from deployer_agent.stats.source_psutil import PsutilSource
from deployer_agent.stats.usage import Consumption

MB = 1 << 20
LOAD = r"""
import json, os, resource, socket, sys, time
folder, port = sys.argv[1], int(sys.argv[2])

def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass

def write(megabytes):
    with open(f"{folder}/data-{os.getpid()}", "wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(1 << 10) * 1024)
        file.flush()
        os.fsync(file.fileno())

def used(who):
    told = resource.getrusage(who)
    return told.ru_utime + told.ru_stime

def say(**more):
    io = dict(line.split(": ") for line in open("/proc/self/io").read().splitlines())
    status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
    told = dict(cpu=used(resource.RUSAGE_SELF), rss=int(status["VmRSS"].split()[0]) * 1024)
    told.update(written=int(io["write_bytes"]), read=int(io["read_bytes"]), **more)
    with open(f"{folder}/told-{os.getpid()}.part", "w") as file:
        json.dump(told, file)
    os.rename(f"{folder}/told-{os.getpid()}.part", f"{folder}/told-{os.getpid()}")

def work():
    held = bytearray(os.urandom(1 << 20) * 100)
    link = socket.create_connection(("127.0.0.1", port))
    for _ in range(25):
        link.sendall(bytes(1 << 20))
        burn(0.08)
    write(45)
    return held, link

sys.stdin.readline()
if (short := os.fork()) == 0:
    burn(0.3)
    write(10)
    os._exit(0)
os.waitpid(short, 0)
if os.fork() == 0:
    kept = work()
    say()
    time.sleep(1000)
kept = work()
say(children=used(resource.RUSAGE_CHILDREN))
time.sleep(1000)
"""


class Drain(threading.Thread):
    """Takes what comes over loopback."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listening.getsockname()[1]
        self.links: list[socket.socket] = []

    def run(self) -> None:
        """Each connection in a thread of its own."""
        while True:
            try:
                self.links.append(self.listening.accept()[0])
            except OSError:
                return
            threading.Thread(target=self._empty, args=(self.links[-1],), daemon=True).start()

    @staticmethod
    def _empty(link: socket.socket) -> None:
        while link.recv(MB):
            pass


@pytest.fixture
def drain() -> Iterator[Drain]:
    made = Drain()
    made.start()
    yield made
    made.listening.shutdown(socket.SHUT_RDWR)
    made.listening.close()
    made.join()
    for link in made.links:
        link.close()


class Loaded:
    """The load, in a session of its own that is killed at the end."""

    def __init__(self, folder: Path, port: int) -> None:
        command = [sys.executable, "-c", LOAD, str(folder), str(port)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        self.folder = folder

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def told(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in self.folder.glob("told-*[0-9]")]

    def end(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        with closing(self.process.stdin):  # type: ignore[arg-type]  # it is a pipe
            pass


@pytest.fixture
def loaded(tmp_path: Path, drain: Drain) -> Iterator[Loaded]:
    made = Loaded(tmp_path, drain.port)
    yield made
    made.end()


async def watched(sampler: Sampler, loaded: Loaded) -> list[Consumption]:
    """Samples until both processes have told what they consumed, and one after that."""
    found = []
    for _ in range(1200):
        over = len(loaded.told()) == 2
        found.append((await sampler.sample({"job": [loaded.process.pid]}))["job"])
        if over:
            return found
        await sleep(reactor, 0.1)  # type: ignore[arg-type]  # zope
    raise AssertionError("the load did not finish")


async def after_the_last(sampler: Sampler, loaded: Loaded) -> Consumption:
    """The first sample without processes: nobody awaits the end of a killed process's child."""
    for _ in range(600):
        found = (await sampler.sample({"job": [loaded.process.pid]}))["job"]
        if not found.processes:
            return found
        await sleep(reactor, 0.1)  # type: ignore[arg-type]  # zope
    raise AssertionError("a killed process is told of for ever")


def close(value: float, truth: float) -> bool:
    return abs(value - truth) <= truth * 0.1


async def test_a_known_load_is_told_as_its_processes_tell_it(loaded: Loaded) -> None:
    sampler = Sampler(reactor)  # type: ignore[arg-type]  # zope
    await sampler.sample({"job": [loaded.process.pid]})
    loaded.go()
    found = await watched(sampler, loaded)
    last, told = found[-1], loaded.told()
    assert close(last.cpu_s, sum(one["cpu"] + one.get("children", 0) for one in told))
    assert close(last.rss, sum(one["rss"] for one in told))
    assert last.rss > 200 * MB
    assert close(last.write_bytes, sum(one["written"] for one in told))
    assert close(last.net_sent, 50 * MB) or sampler.refused
    assert last.processes == 2
    assert last.connections == 2 or sampler.refused
    for before, after in pairwise(found):
        assert before.cpu_s <= after.cpu_s
        assert before.write_bytes <= after.write_bytes
    assert close(sum(one.cpu * one.passed_s / 100 for one in found), last.cpu_s - found[0].cpu_s + 0.01)
    loaded.end()
    ended = await after_the_last(sampler, loaded)
    assert ended.processes == ended.rss == 0
    assert ended.cpu_s >= last.cpu_s
    assert (ended.write_bytes, ended.net_sent) == (last.write_bytes, last.net_sent)


async def test_psutil_tells_the_same_of_what_lives(loaded: Loaded) -> None:
    sampler = Sampler(reactor, PsutilSource())  # type: ignore[arg-type]  # zope
    loaded.go()
    last, told = (await watched(sampler, loaded))[-1], loaded.told()
    assert last.processes == 2
    assert last.connections == 2
    assert last.fds > 0
    assert close(last.rss, sum(one["rss"] for one in told))
    assert last.cpu_s >= 0.9 * sum(one["cpu"] for one in told)
    assert (await sampler.sample({"job": []}))["job"].processes == 0


NESTED = "import os, time\nif os.fork() == 0: os.fork()\ntime.sleep(1000)\n"


async def test_psutil_gives_each_process_to_its_nearest_root() -> None:
    process = subprocess.Popen([sys.executable, "-c", NESTED], start_new_session=True)
    try:
        sampler = Sampler(reactor, PsutilSource())  # type: ignore[arg-type]  # zope
        for _ in range(600):
            found = await sampler.sample({"outer": [os.getpid()], "job": [process.pid]})
            if found["job"].processes == 3:
                break
            await sleep(reactor, 0.05)  # type: ignore[arg-type]  # zope
        assert found["job"].processes == 3
        assert found["outer"].processes >= 1
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


CHILD = r"""
import os, signal, sys, time
if sys.argv[2] == "ignored":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
if (child := os.fork()) == 0:
    with open(sys.argv[1] + "/data", "wb") as file:
        file.write(bytes(20 << 20))
        os.fsync(file.fileno())
    end = time.process_time() + 0.5
    while time.process_time() < end:
        pass
    print(open("/proc/self/io").read().split("\nwrite_bytes: ")[1].split()[0], flush=True)
    sys.stdin.readline()
    os._exit(0)
try:
    os.waitpid(child, 0)
except ChildProcessError:
    pass
print("over", flush=True)
time.sleep(1000)
"""


@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize("how", ["waited", "ignored"])
async def test_a_child_that_ended_counts_once_whether_it_was_seen_or_waited_for(
    tmp_path: Path, *, how: str, seen: bool
) -> None:
    """What the ledger takes for granted of the kernel: only a child that is waited for is added to its parent."""
    command = [sys.executable, "-c", CHILD, str(tmp_path), how]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    try:
        with closing(process.stdin) as ours, closing(process.stdout) as theirs:  # type: ignore[type-var]  # they are pipes
            sampler = Sampler(reactor)  # type: ignore[arg-type]  # zope
            written = int(theirs.readline())
            roots = {"job": [process.pid] if seen else []}
            await sampler.sample(roots)
            ours.write(b"\n")
            ours.flush()
            assert theirs.readline() == b"over\n"
            for _ in range(2):
                last = (await sampler.sample({"job": [process.pid]}))["job"]
            assert last.processes == 1
            counted = seen or how == "waited"
            assert written * counted <= last.write_bytes < written * counted + 5 * MB
            assert 0.5 * counted <= last.cpu_s < 0.5 * counted + 0.4
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
