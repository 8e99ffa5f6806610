"""Real processes: what a child gets, how it is ended, and that Twisted's hook is still the one we override."""

import inspect
import os
import time
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor  # noqa: TID251 (real processes)
from twisted.internet.process import Process

from deployer_agent.errors import RefusedError
from deployer_agent.processes.environment import child_environment, fill
from deployer_agent.processes.launch_posix import PosixLauncher, seal_descriptors
from deployer_agent.processes.manager import Manager
from deployer_agent.processes.output import Output
from deployer_agent.processes.plan import Ended, Plan
from deployer_agent.processes.session_posix import SessionEnder

ENVIRONMENT = {"PATH": os.environ["PATH"]}


class Seen:
    """What a process printed."""

    def __init__(self) -> None:
        self.output: Output = []

    def __call__(self, output: Output) -> None:
        self.output.extend(output)

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.output]


def manager(**options: Any) -> Manager:
    seal_descriptors()
    launcher = PosixLauncher(reactor, **{"allow_root": True, **options})
    return Manager(launcher.launch, SessionEnder(), reactor, time.time)


async def run(plan: Plan, seen: Seen | None = None) -> Ended:
    return await manager().run(plan, seen or Seen())


def sh(text: str, **more: Any) -> Plan:
    return Plan(task="t", executable="sh", arguments=["-c", text], environment=ENVIRONMENT, **more)


def test_twisted_still_calls_the_hook_that_we_override() -> None:
    names = list(inspect.signature(Process._trySpawnInsteadOfFork).parameters)
    assert names == ["self", "path", "uid", "gid", "executable", "args", "environment", "kwargs"]


async def test_a_child_has_three_descriptors_and_a_session_of_its_own(tmp_path: Path) -> None:
    held = os.open(tmp_path / "held", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(held, True)
    seen = Seen()
    await run(
        sh("for f in $(seq 0 40); do [ -e /proc/$$/fd/$f ] && echo $f; done; cut -d' ' -f1,6 /proc/$$/stat"),
        seen,
    )
    os.close(held)
    *descriptors, numbers = seen.texts
    assert descriptors == ["0", "1", "2"]
    assert len(set(numbers.split())) == 1


async def test_a_child_has_default_signals_and_none_blocked() -> None:
    seen = Seen()
    await run(
        Plan(
            task="t", executable="grep", arguments=["-E", "^Sig(Blk|Ign)", "/proc/self/status"], environment=ENVIRONMENT
        ),
        seen,
    )
    glibc = 3 << 31  # signals 32 and 33 are the C library's own
    assert [int(text.split()[1], 16) & ~glibc for text in seen.texts] == [0, 0]


async def test_arguments_are_literal_and_the_environment_is_what_was_given() -> None:
    seen = Seen()
    words = ["; rm x", "$(id)", "`id`", "a\nb", "-", "--", "$tmp", "ä"]
    await run(Plan(task="t", executable="printf", arguments=["%s|", *words], environment=ENVIRONMENT), seen)
    assert "\n".join(seen.texts) == "|".join(words) + "|"
    seen = Seen()
    await run(Plan(task="t", executable="/usr/bin/env", environment={"A": "1"}), seen)
    assert seen.texts == ["A=1"]


async def test_the_working_directory_is_changed_for_the_child_only(tmp_path: Path) -> None:
    before, seen = Path.cwd(), Seen()
    await run(sh("pwd", directory=str(tmp_path)), seen)
    assert seen.texts == [str(tmp_path)]
    assert Path.cwd() == before


@pytest.mark.parametrize(
    ("plan", "code"),
    [
        (Plan(task="t", executable="no-such-program", environment=ENVIRONMENT), "NOT_FOUND"),
        (Plan(task="t", executable="/no/such/program"), "NOT_FOUND"),
        (Plan(task="t", executable="/etc/passwd"), "NOT_EXECUTABLE"),
        (Plan(task="t", executable="/tmp"), "NOT_EXECUTABLE"),  # noqa: S108 (a directory that always is)
        (Plan(task="t", executable="/bin/true", directory="/no/such"), "BAD_WORKDIR"),
        (Plan(task="t", executable="/bin/true", directory="/etc/passwd"), "BAD_WORKDIR"),
        (Plan(task="t", executable="/bin/true", arguments=["x" * 3_000_000]), "SPAWN_FAILED"),
    ],
)
async def test_what_cannot_be_started_has_a_code(plan: Plan, code: str) -> None:
    with pytest.raises(RefusedError) as caught:
        await run(plan)
    assert caught.value.code == code


async def test_a_script_whose_first_line_is_missing_is_not_executable(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("garbage")
    script.chmod(0o755)
    with pytest.raises(RefusedError) as caught:
        await run(Plan(task="t", executable=str(script)))
    assert caught.value.code == "NOT_EXECUTABLE"


async def test_root_starts_nothing_unless_it_is_allowed() -> None:
    with pytest.raises(RefusedError) as caught:
        await manager(allow_root=False, uid=lambda: 0).run(sh("true"), Seen())
    assert caught.value.code == "ROOT_REFUSED"


async def test_data_is_read_from_stdin_and_may_be_ignored() -> None:
    seen = Seen()
    await run(sh("cat", data="ä\n" * 200_000), seen)
    assert seen.texts == ["ä"] * 200_000
    assert (await run(sh("exit 0", data="x" * 500_000))).exit_status == 0


async def test_ends_are_told_as_they_were() -> None:
    assert (await run(sh("exit 7"))).exit_status == 7
    ended = await run(sh("kill -9 $$"))
    assert (ended.exit_status, ended.signal, ended.by) == (None, "SIGKILL", "")


async def test_max_time_ends_the_whole_session_although_term_is_ignored() -> None:
    seen = Seen()
    plan = sh("trap '' TERM; (trap '' TERM; sleep 100) & echo $!; sleep 100", max_time=0.3, grace=0.3)
    ended = await run(plan, seen)
    assert (ended.by, ended.signal) == ("MAX_TIME", "SIGKILL")
    assert ended.time < 5000
    assert not _lives(int(seen.texts[0]))


async def test_a_kill_is_killed_whatever_it_answers() -> None:
    here = manager()
    seen = Seen()

    def and_kill(output: Output) -> None:
        seen(output)
        here.kill("t")

    ended = await here.run(sh("trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done"), and_kill)
    assert (ended.by, ended.exit_status) == ("KILLED", 0)
    assert not here.kill("t")


async def test_a_process_left_behind_does_not_keep_its_task_open() -> None:
    seen = Seen()
    ended = await run(sh("sleep 20 & echo $!; echo 20::done"), seen)
    left = int(seen.texts[0])
    assert (ended.exit_status, ended.data) == (0, "done")
    assert 1500 < ended.time < 10_000
    assert _lives(left)
    os.kill(left, 9)


async def test_nothing_is_lost_while_reading_is_held() -> None:
    here, seen = manager(), Seen()

    def hold_once(output: Output) -> None:
        seen(output)
        if not here._held and len(seen.output) < 20_000:
            here.hold(held=True)
            reactor.callLater(0.05, here.hold, held=False)  # type: ignore[attr-defined]  # zope's interfaces

    await here.run(Plan(task="t", executable="seq", arguments=["40000"], environment=ENVIRONMENT), hold_once)
    assert seen.texts == [str(number) for number in range(1, 40_001)]


def test_a_session_whose_number_is_another_process_has_no_members(tmp_path: Path) -> None:
    for pid, session in ((7, 7), (8, 7), (9, 9)):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (a) b) S 1 {pid} {session} 0 0")
    assert sorted(SessionEnder(tmp_path).members(7, leader_lives=True)) == [7, 8]
    assert SessionEnder(tmp_path).members(7, leader_lives=False) == []


PLACES = {"agentroot": "/a", "root": "/", "tmp": "$root"}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("$agentroot/x", "/a/x"),
        ("$tmp", "$root"),
        (
            "$agentrootx ${agentroot} $$ %s {0.__class__} {{7*7}}",
            "$agentrootx ${agentroot} $$ %s {0.__class__} {{7*7}}",
        ),
    ],
)
def test_three_names_are_replaced_once(text: str, filled: str) -> None:
    assert fill(text, PLACES) == filled


def test_a_child_sees_the_allow_list_and_our_own_variables() -> None:
    base = {"HOME": "/h", "LC_ALL": "C", "SECRET": "s", "DEPLOYER_AGENT_URL": "u"}
    made = child_environment(base, {"X": "1", "DEPLOYER_JOB": "forged"}, {"DEPLOYER_JOB": "j"})
    assert made.pop("PATH")
    assert made == {"HOME": "/h", "LC_ALL": "C", "X": "1", "DEPLOYER_JOB": "j"}


def _lives(pid: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
