"""Processes are seen in /proc whatever happens there: ends in mid walk, numbers given anew, files not ours, garbage."""

import errno
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from deployer_agent.stats.descriptors_posix import MAX_DESCRIPTORS
from deployer_agent.stats.pace import SLICE_S
from deployer_agent.stats.sampler import Sampler
from deployer_agent.stats.sockets_posix import Sockets
from deployer_agent.stats.source_posix import ProcSource
from deployer_agent.stats.usage import Consumption
from support.fakeproc import FakeProc, finished

KEY = {"job": [10]}
TCP_V4 = (2, 6)


class FakeKernel:
    """Answers requests for sockets: (cookie, inode, state, sent, received) by family and protocol; an int refuses."""

    def __init__(self, tables: Mapping[tuple[int, int], int | list[tuple[int, ...]]]) -> None:
        self.tables = tables
        self.asked: list[tuple[int, int]] = []
        self._answer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def send(self, request: bytes) -> None:
        number, table = struct.unpack_from("=I", request, 8)[0], (request[16], request[17])
        self.asked.append(table)
        told = self.tables.get(table, [])
        if isinstance(told, int):
            self._answer = struct.pack("=IHHIIi", 36, 2, 0, number, 0, -told) + bytes(16)
            return
        body = b"".join(self._socket(number, one) for one in told)
        self._answer = body + struct.pack("=IHHIIi", 20, 3, 2, number, 0, 0)

    def recv(self, most: int) -> bytes:
        return self._answer[:most]

    @staticmethod
    def _socket(number: int, one: tuple[int, ...]) -> bytes:
        cookie, inode, state, sent, received = one
        message = struct.pack("=BBBB40xQIIIII", 2, state, 0, 0, cookie, 0, 0, 0, 0, inode)
        info = bytearray(232)
        struct.pack_into("=QQ", info, 120, 1, received)
        struct.pack_into("=Q", info, 200, sent)
        attributes = struct.pack("=HHB3x", 5, 8, 0) + struct.pack("=HH", 4 + len(info), 2) + info
        return struct.pack("=IHHII", 16 + len(message) + len(attributes), 20, 2, number, 0) + message + attributes


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    return FakeProc(tmp_path)


class Watch:
    """A sampler of the fake folder, an interval of ten seconds between two samples."""

    def __init__(self, proc: FakeProc, kernel: FakeKernel | None = None) -> None:
        self.clock = Clock()
        sockets = Sockets(lambda: kernel or FakeKernel({}))  # type: ignore[arg-type, return-value]  # all it uses is here
        self.sampler = Sampler(self.clock, ProcSource(str(proc.folder), sockets, lambda: 101.0 + self.clock.seconds()))

    def __call__(self, roots: Mapping[str, list[int]] = KEY) -> Mapping[str, Consumption]:
        self.clock.advance(10)
        return finished(self.sampler.sample(roots), self.clock)

    def job(self) -> Consumption:
        return self()["job"]


def test_a_job_counts_with_everything_that_it_started(proc: FakeProc) -> None:
    proc.process(10, cpu=2, rss_pages=1, vms=100, threads=3, written=7, fds=("/dev/null",))
    proc.process(11, 10, start=2, cpu=1, rss_pages=2, vms=10, fds=("/dev/null", "pipe:[3]"), read=5)
    proc.process(12, 11, start=3)
    proc.process(20, cpu=50)
    told = Watch(proc).job()
    assert (told.processes, told.threads, told.fds, told.vms) == (3, 5, 3, 110)
    assert (told.cpu_s, told.read_bytes, told.write_bytes) == (3.0, 5, 7)
    assert told.rss in {3 * 4096, 3 * 16384, 3 * 65536}


def test_shares_and_rates_are_of_the_time_since_the_last_sample(proc: FakeProc) -> None:
    watch = Watch(proc)
    proc.process(10, start=1, cpu=50)
    assert watch.job().cpu == pytest.approx(50 / 110 * 100)  # since it began
    proc.process(10, start=1, cpu=55, written=1000, read=10)
    told = watch.job()
    assert (told.passed_s, told.cpu, told.write_bytes_per_s, told.read_bytes_per_s) == (10, 50, 100, 1)
    assert watch.job().cpu == 0


@pytest.mark.parametrize("name", ["a) S 1 (b", ") (", "", "x y", "((("])
def test_names_may_hold_anything(proc: FakeProc, name: str) -> None:
    proc.process(10, name=name, cpu=1)
    proc.process(11, 10, name=name, cpu=1)
    assert Watch(proc).job().cpu_s == 2


def test_what_ends_in_mid_walk_is_left_out_and_counted(proc: FakeProc) -> None:
    proc.process(10)
    proc.process(11, 10)
    (proc.folder / "11" / "io").unlink()
    (proc.folder / "12").mkdir()
    watch = Watch(proc)
    assert watch.job().processes == 1
    assert watch.sampler.counts.vanished == 2


@pytest.mark.parametrize("text", ["", "garbage", "11 (x) S 1", "11 (x) S x " + "0 " * 50, "\0" * 100])
def test_garbage_is_counted_and_spoils_nothing(proc: FakeProc, text: str) -> None:
    proc.process(10, cpu=1)
    proc.write("11/stat", text)
    watch = Watch(proc)
    assert watch.job().cpu_s == 1
    assert watch.sampler.counts.unreadable == 1


def test_what_is_not_ours_to_read_is_counted_and_the_rest_told(proc: FakeProc) -> None:
    proc.process(10, cpu=1, read=5)
    watch = Watch(proc)
    watch.job()
    (proc.folder / "10" / "io").unlink()
    (proc.folder / "10" / "io").mkdir()
    (proc.folder / "10" / "fd").rmdir()
    proc.write("10/fd", "no folder")
    told = watch.job()
    assert (told.cpu_s, told.read_bytes, told.fds, told.processes) == (1, 5, 0, 1)
    assert watch.sampler.counts.unreadable == 2


def test_a_process_that_cannot_be_read_for_once_is_not_new_afterwards(proc: FakeProc) -> None:
    proc.process(10, cpu=5)
    watch = Watch(proc)
    watch.job()
    proc.write("10/stat", "garbage")
    assert watch.job().cpu_s == 5
    proc.process(10, cpu=6)
    assert watch.job().cpu_s == 6


def test_a_number_given_anew_inherits_nothing(proc: FakeProc) -> None:
    proc.process(10, cpu=5, written=9)
    watch = Watch(proc)
    watch.job()
    proc.process(10, start=7, cpu=1, written=1)
    told = watch.job()
    assert (told.cpu_s, told.write_bytes) == (6, 10)


def test_an_orphan_stays_with_its_job_and_a_new_process_of_its_number_does_not(proc: FakeProc) -> None:
    proc.process(10)
    proc.process(12, 10, cpu=1)
    watch = Watch(proc)
    watch.job()
    proc.end(10)
    proc.process(12, 1, cpu=2)
    assert watch.job().cpu_s == 2
    proc.process(12, 1, start=9, cpu=70)
    assert watch.job().cpu_s == 2


def test_a_child_older_in_number_than_its_parent_is_read_after_it(proc: FakeProc) -> None:
    """Its stat is read anew: what the first reading said may have ended, and its parent waited for it, meanwhile."""
    proc.process(10)
    proc.process(5, 10, start=2, cpu=1)
    assert Watch(proc).job().cpu_s == 1


def test_sums_do_not_fall_when_processes_end_and_are_forgotten_with_their_key(proc: FakeProc) -> None:
    proc.process(10)
    proc.process(11, 10, cpu=4, written=8)
    watch = Watch(proc)
    watch.job()
    proc.end(11)
    proc.process(10, waited=5, faults=10, written=9)
    told = watch.job()
    assert (told.cpu_s, told.write_bytes, told.processes) == (5, 9, 1)
    proc.end(10)
    told = watch.job()
    assert (told.cpu_s, told.write_bytes, told.processes, told.cpu) == (5, 9, 0, 0)
    watch({})
    assert watch.job().cpu_s == 0


def test_zombies_keep_their_sums_and_are_no_processes_any_more(proc: FakeProc) -> None:
    proc.process(10)
    proc.process(11, 10, state="Z", cpu=3, rss_pages=9)
    told = Watch(proc).job()
    assert (told.processes, told.cpu_s, told.rss) == (1, 3, 0)


def test_swap_is_read_where_swap_is_used(proc: FakeProc) -> None:
    proc.process(10)
    proc.write("10/status", "Name:\tx\nVmSwap:\t      12 kB\nThreads:\t1\n")
    watch = Watch(proc)
    assert watch.job().swap == 0
    proc.write("swaps", "Filename\tType\tSize\tUsed\tPriority\n/swap\tfile\t100\t40\t-2\n")
    assert watch.job().swap == 12 * 1024


def test_connections_count_once_for_each_key_and_stay_in_the_sum(proc: FakeProc) -> None:
    proc.write("net/sockstat", "TCP: inuse 2 orphan 0\nUDP: inuse 1 mem 0\n")
    proc.process(10, fds=("socket:[7]", "socket:[8]", "socket:[99]"))
    proc.process(11, 10, fds=("socket:[7]",))
    tables: dict[tuple[int, int], int | list[tuple[int, ...]]] = {
        TCP_V4: [(1, 7, 1, 100, 20), (2, 5, 1, 9, 9), (3, 8, 10, 1, 1)],
        (2, 17): errno.ENOENT,
    }
    kernel = FakeKernel(tables)
    watch = Watch(proc, kernel)
    told = watch.job()
    assert (told.connections, told.net_sent, told.net_received) == (2, 100, 20)
    assert kernel.asked == [TCP_V4, (2, 17)]
    assert not watch.sampler.refused
    tables[TCP_V4] = [(1, 7, 1, 150, 30)]
    assert watch.job().net_sent_per_s == 5
    proc.end(11)
    proc.process(10)
    (proc.folder / "10" / "fd" / "0").unlink()
    told = watch.job()
    assert (told.net_sent, told.net_received) == (150, 30)


@pytest.mark.parametrize("answer", [errno.EPERM, errno.ENOENT])
def test_a_kernel_that_tells_nothing_of_sockets_is_asked_in_vain_and_said_so(proc: FakeProc, answer: int) -> None:
    proc.write("net/sockstat", "TCP: inuse 2 orphan 0\n")
    proc.process(10, cpu=1, fds=("socket:[7]",))
    watch = Watch(proc, FakeKernel({TCP_V4: answer}))
    told = watch.job()
    assert (told.cpu_s, told.connections, told.net_sent, told.fds) == (1, 0, 0, 1)
    assert watch.sampler.refused


def test_without_sockets_on_the_host_the_kernel_is_not_asked(proc: FakeProc) -> None:
    proc.process(10, fds=("socket:[7]",))
    kernel = FakeKernel({})
    Watch(proc, kernel).job()
    assert kernel.asked == []


def test_another_network_namespace_is_summed_once_without_its_loopback(proc: FakeProc) -> None:
    def dev(received: int, sent: int) -> None:
        rows = f"  lo: 9 9 9 9 0 0 0 0 9 9 9 9 0 0 0 0\neth0:{received} 1 0 0 0 0 0 0 {sent} 1 0 0 0 0 0 0\n"
        for pid in (10, 11):
            proc.write(f"{pid}/net/dev", "Inter-| Receive\n face |bytes\n" + rows)
            proc.write(f"{pid}/net/sockstat", "TCP: inuse 3 orphan 0\nUDP: inuse 1 mem 0\n")

    proc.process(10, space="net:[2]")
    proc.process(11, 10, space="net:[2]")
    dev(1000, 2000)
    watch = Watch(proc)
    assert watch.job().connections == 4
    dev(1100, 2050)
    told = watch.job()
    assert (told.net_sent, told.net_received) == (50, 100)


def test_more_descriptors_than_are_looked_at_are_counted(proc: FakeProc) -> None:
    proc.process(10, fds=("/dev/null",) * (MAX_DESCRIPTORS + 1))
    watch = Watch(proc)
    assert watch.job().fds >= MAX_DESCRIPTORS
    assert watch.sampler.counts.cut == 1


class Hurried(Clock):
    """A clock on which each look costs half a slice; `rests`: how often something was put off."""

    rests = 0

    def callLater(self, *args: Any, **kw: Any) -> Any:
        self.rests += 1
        return super().callLater(*args, **kw)

    def seconds(self) -> float:
        self.rightNow += SLICE_S / 2
        return float(self.rightNow)


def test_others_have_their_turn_while_many_are_sampled(proc: FakeProc) -> None:
    for pid in range(10, 60):
        proc.process(pid, 10 if pid > 10 else 1)
    clock = Hurried()
    sampler = Sampler(clock, ProcSource(str(proc.folder), Sockets(lambda: FakeKernel({}))))  # type: ignore[arg-type, return-value]  # as above
    assert finished(sampler.sample(KEY), clock)["job"].processes == 50
    assert clock.rests >= 20


async def test_a_sample_that_is_given_up_changes_nothing_and_the_next_one_is_whole(proc: FakeProc) -> None:
    proc.process(10, cpu=5)
    proc.process(11, 10)
    clock = Hurried()
    sampler = Sampler(clock, ProcSource(str(proc.folder)))
    first, second = (Deferred.fromCoroutine(sampler.sample(KEY)) for _ in range(2))
    assert not first.called
    first.cancel()
    with pytest.raises(CancelledError):
        await first
    while not second.called:
        clock.advance(0)
    assert (await second)["job"].cpu_s == 5
