"""Everything that a job started is found and ended, wherever it went, and nobody else (J16)."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet import reactor  # noqa: TID251 (real processes)
from twisted.internet.defer import Deferred

from deployer_agent.processes.cgroups_posix import Base, Cgroups
from deployer_agent.processes.ending import Ending
from deployer_agent.processes.members_posix import Members
from deployer_agent.processes.plan import Footprint, Plan
from deployer_agent.processes.proc_posix import Proc, parse_stat
from deployer_agent.processes.reaper_posix import reap_orphans
from support.launching import Bench, Heard, Started, bench, eventually, lives, sh
from support.wait import until

ROOT = os.geteuid() == 0
WAYS = [False, pytest.param(True, marks=pytest.mark.skipif(not ROOT, reason="cgroups are made as root"))]

DAEMONS = {
    "in its session": "(trap '' TERM; sleep 1000) & echo $!",
    "in its own session": "setsid sh -c 'trap \"\" TERM; echo $$; exec sleep 1000' &",
    "double forked": '(setsid sh -c \'(trap "" TERM; echo $(exec sh -c "echo \\$PPID"); sleep 1000; :) & \' &) ',
    "without environment": "(env -i setsid sh -c 'trap \"\" TERM; echo $$; exec 1>&- 2>&-; sleep 1000; :' &) ",
    "double forked without environment": (
        "(env -i setsid sh -c '(env -i setsid sh -c \"trap : TERM; echo \\$\\$; exec 1>&- 2>&-; sleep 1000; :\") &' &)"
    ),
}


HOPS = 3000
"""So many processes one after the other, each in a session of its own: a few seconds long, should nobody end it."""

RELAY = f"""
import os
counter = os.open("hops", os.O_CREAT | os.O_WRONLY, 0o600)
os.environ.clear()
for hop in range({HOPS}):
    if os.fork():
        os._exit(0)
    os.setsid()
    os.pwrite(counter, b"%8d" % hop, 0)
"""


@pytest.fixture(params=WAYS, ids=["proc", "cgroups"])
def here(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with bench(cgroups=request.param) as made:
        yield made


async def pid_of(started: Started) -> int:
    """The number that it prints first."""
    out: str = await eventually(lambda: started.heard.out.endswith("\n") and started.heard.out, "a number")
    return int(out.split(maxsplit=1)[0])


@pytest.mark.parametrize("daemon", DAEMONS)
async def test_daemons_are_ended_although_their_parents_are_gone(here: Bench, daemon: str) -> None:
    started = here.start(sh(f"{DAEMONS[daemon]}\nexit 0"))
    left = await pid_of(started)
    footprint = started.process.footprint
    await eventually(lambda: not lives(footprint.pid), "the leader to end")
    await eventually(lambda: left in here.members.members(footprint), "the daemon to be found")
    assert here.members.signal(footprint, 15) > 0
    await here.end(started)
    assert not lives(left)
    assert here.members.members(footprint) == []


async def test_what_forks_without_pause_is_ended(here: Bench, tmp_path: Path) -> None:
    """Each parent is gone before a look at /proc is over; bounded, so that a failure fills no table of processes."""

    def hops() -> int:
        return int((tmp_path / "hops").read_bytes() or 0) if (tmp_path / "hops").exists() else 0

    started = here.start(
        Plan(task="relay", executable=sys.executable, arguments=["-c", RELAY], directory=str(tmp_path))
    )
    await eventually(lambda: hops() > 50, "the relay to run")
    ending: Deferred[None] = Deferred()
    Ending(here.members, started.process.footprint, reactor, lambda: ending.callback(None), grace=0.2)
    await ending
    reached = hops()
    await here.run(sh("sleep 0.5"))
    assert hops() == reached < HOPS - 1


async def test_a_daemon_with_no_trace_left_is_told_apart_by_the_times(here: Bench) -> None:
    """The other job began when the daemon was there already."""
    started = here.start(sh(DAEMONS["double forked without environment"]))
    left = await pid_of(started)
    other = here.start(sh("echo 1; sleep 1000"))
    await pid_of(other)
    assert left not in here.members.members(other.process.footprint)
    await here.end(other)
    assert lives(left)
    await here.end(started)
    assert not lives(left)


async def test_what_was_seen_is_remembered_while_other_jobs_run(here: Bench, tmp_path: Path) -> None:
    go_on = f"while [ ! -e {tmp_path}/go ]; do sleep 0.02; done"
    first = here.start(sh(f"env -i setsid sh -c 'echo $$; sleep 1000; :' & {go_on}"))
    other = here.start(sh("echo 1; sleep 1000"))
    left = await pid_of(first)
    here.members.look()
    here.members.look()
    (tmp_path / "go").touch()
    await eventually(lambda: not lives(first.process.footprint.pid), "the leader to end")
    here.members.look()
    assert left not in here.members.members(other.process.footprint)
    await here.end(first)
    assert not lives(left)


async def test_what_the_agent_starts_besides_jobs_belongs_to_none(here: Bench) -> None:
    """A terminal has a session of its own and no DEPLOYER_RUN."""
    job = here.start(sh("echo 1; sleep 1000"))
    await pid_of(job)
    heard = Heard()
    arguments = ["setsid", "sh", "-c", "echo $$; exec sleep 1000"]
    terminal = reactor.spawnProcess(heard, "/usr/bin/setsid", arguments, {"PATH": os.environ["PATH"]})
    await eventually(lambda: heard.out, "the terminal")
    found = here.members.members(job.process.footprint)
    assert terminal.pid not in found
    assert job.process.footprint.pid in found
    terminal.signalProcess("KILL")
    await heard.ended


async def test_another_agents_run_finds_what_was_left(here: Bench) -> None:
    """From the journal's footprint alone, as after a restart: by session, marker and cgroup."""
    started = here.start(sh(DAEMONS["double forked"] + "\nsleep 1000 & echo $!"))
    await eventually(lambda: len(started.heard.out.split()) == 2, "two numbers")
    fresh = Members(here.cgroups)
    found = fresh.members(started.process.footprint)
    assert {int(pid) for pid in started.heard.out.split()} <= set(found)
    await eventually(lambda: not fresh.signal(started.process.footprint, 9), "all to be ended")


async def test_a_footprint_of_another_boot_has_no_members(here: Bench) -> None:
    started = here.start(sh("echo 1; sleep 1000"))
    await pid_of(started)
    footprint = started.process.footprint
    old = Footprint(pid=footprint.pid, start=footprint.start, boot="other", marker=footprint.marker)
    assert Members().members(old) == []
    assert Members().signal(old, 9) == 0
    assert len(here.members.members(footprint)) > 0


async def test_a_number_that_another_process_has_now_is_left_alone(here: Bench) -> None:
    started = here.start(sh("echo 1; sleep 1000"))
    await pid_of(started)
    footprint = started.process.footprint
    earlier = Footprint(pid=footprint.pid, start=footprint.start - 1, boot=footprint.boot, marker="x:y:1")
    assert Members().signal(earlier, 9) == 0
    assert lives(footprint.pid)


async def test_memory_is_summed(here: Bench) -> None:
    started = here.start(
        sh(f"{sys.executable} -c 'import time; x = bytearray(50_000_000); print(1, flush=True); time.sleep(99)' & wait")
    )
    await pid_of(started)
    assert here.members.memory(started.process.footprint) > 50_000_000


async def test_orphans_are_buried_and_other_children_are_not() -> None:
    with bench() as here:
        mine = subprocess.Popen(["/bin/sh", "-c", "exit 3"])
        started = here.start(sh("(setsid sh -c 'echo $$' &)"))
        orphan = await pid_of(started)
        await started.heard.ended
        await eventually(lambda: reap_orphans() or not Path(f"/proc/{orphan}").exists(), "the orphan's burial")
        await eventually(lambda: reap_orphans() == 0 and not Path(f"/proc/{orphan}").exists(), "nobody to be left")
        assert mine.wait() == 3


async def test_the_cgroup_goes_when_it_is_forgotten(here: Bench) -> None:
    started = await here.run(sh("true"))
    await here.end(started)
    here.members.forget(started.process.footprint)
    if here.cgroups is not None:
        name = started.process.footprint.cgroup
        assert name is not None
        await eventually(lambda: here.cgroups.remove(name) or not here.cgroups.members(name), "an empty group")
        assert not any((place / name).exists() for place in here.cgroups.base.places)


class Fake(Proc):
    """Processes from a table: pid, parent, session, start, and their markers."""

    def __init__(self, *rows: tuple[int, int, int, int], markers: dict[int, str] | None = None) -> None:
        super().__init__(pid=lambda: 10)
        self._lines = [b"%d (a) b) S %d 1 %d %s%d 0" % (p, pp, s, b"0 " * 15, st) for p, pp, s, st in rows]
        self._table = markers or {}

    def boot(self) -> str:
        return "b"

    def stats(self) -> Iterator[object]:  # type: ignore[override]
        return filter(None, map(parse_stat, self._lines))

    def marker(self, pid: int) -> str:
        return self._table.get(pid, "")


AGENT = (10, 1, 10, 100)
JOB = Footprint(pid=20, start=200, boot="b", marker="m")


@pytest.mark.parametrize(
    ("rows", "markers", "found"),
    [
        ([(20, 10, 20, 200), (21, 20, 20, 201), (22, 1, 22, 300)], {}, {20, 21}),
        ([(21, 1, 20, 201)], {}, {21}),
        ([(20, 1, 20, 900), (21, 20, 20, 901)], {}, set()),
        ([(30, 1, 30, 300)], {30: "m"}, {30}),
        ([(30, 1, 30, 300), (31, 30, 31, 301), (32, 31, 32, 302)], {30: "m"}, {30, 31, 32}),
        ([(21, 1, 20, 201)], {21: "other"}, set()),
        ([(30, 10, 29, 300)], {}, {30}),
        ([(30, 10, 29, 199)], {}, set()),
        ([(30, 10, 10, 300)], {}, set()),
        ([(30, 1, 29, 300)], {}, set()),
    ],
)
def test_who_belongs_to_a_job(rows: list[tuple[int, int, int, int]], markers: dict[int, str], found: set[int]) -> None:
    members = Members(proc=Fake(AGENT, *rows, markers=markers), ticks=lambda: 1000)
    members.started(JOB)
    assert set(members.members(JOB)) == found


def test_an_agent_that_a_job_has_started_does_not_end_itself() -> None:
    proc = Fake((10, 1, 20, 210), (20, 1, 20, 200), (11, 10, 11, 300), markers={10: "m", 20: "m"})
    assert Members(proc=proc).members(JOB) == [20]


def test_an_orphan_that_two_jobs_can_have_started_belongs_to_neither() -> None:
    other = Footprint(pid=40, start=250, boot="b", marker="n")
    members = Members(proc=Fake(AGENT, (30, 10, 29, 300), (31, 10, 28, 240)), ticks=lambda: 400)
    members.started(JOB)
    members.started(other)
    assert members.members(JOB) == [31]
    members.forget(other)
    assert members.members(JOB) == [31]


def test_what_an_ended_job_may_have_started_is_nobodys() -> None:
    """The daemon 25 of an ended job lives, so that the orphan 31, which came later, may be its child."""
    proc = Fake(AGENT, (25, 10, 20, 210), (31, 10, 28, 600))
    members = Members(proc=proc, ticks=lambda: 400)
    other = Footprint(pid=40, start=250, boot="b", marker="n")
    members.started(JOB)
    members.started(other)
    members.look()
    members.forget(JOB)
    assert members.members(other) == []


def test_an_orphan_is_nobodys_while_another_one_of_an_ended_job_lives() -> None:
    """Either job can have started 30, and 30 the later 31."""
    rows = [(30, 10, 29, 300), (31, 10, 28, 600)]
    members = Members(proc=Fake(AGENT, *rows), ticks=lambda: 400)
    other = Footprint(pid=40, start=250, boot="b", marker="n")
    members.started(JOB)
    members.started(other)
    members.look()
    members.forget(JOB)
    assert members.members(other) == []


def test_where_there_are_cgroups_an_orphan_is_nobodys(tmp_path: Path) -> None:
    groups = Cgroups(Base(unified=True, pids=tmp_path, memory=tmp_path), "i" * 32)
    members = Members(groups, proc=Fake(AGENT, (30, 10, 29, 300)), ticks=lambda: 1000)
    members.started(JOB)
    assert members.members(JOB) == []


@pytest.mark.parametrize("text", [b"", b"x", b"1 (a", b"1 (a) S 2", b"1 (a) S x y z"])
def test_what_is_no_stat_is_nobody(text: bytes) -> None:
    assert parse_stat(text) is None


def test_our_own_process_is_read(tmp_path: Path) -> None:
    proc, token = Proc(), secrets.token_hex(4)
    own = proc.stat(os.getpid())
    assert own is not None
    assert (own.pid, own.parent, own.session, own.alive) == (os.getpid(), os.getppid(), os.getsid(0), True)
    assert own in list(proc.stats())
    assert proc.resident(own.pid) > 1_000_000
    child = subprocess.Popen(["sleep", "100"], env={"DEPLOYER_RUN": token, "PATH": os.environ["PATH"]}, cwd=tmp_path)
    until(lambda: proc.marker(child.pid) == token, what="the child's environment")
    assert child.pid in proc.children()
    child.kill()
    child.wait()
    assert proc.stat(child.pid) is None
