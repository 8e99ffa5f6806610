"""Real processes, started directly and through the stages: what a child gets, and what is told when it cannot start."""

import inspect
import os
from pathlib import Path

import pytest
from twisted.internet import reactor  # noqa: TID251 (real processes)
from twisted.internet.process import Process

from deployer_agent.errors import RefusedError
from deployer_agent.policy import Policy
from deployer_agent.processes.environment import child_environment, fill
from deployer_agent.processes.plan import Plan
from support.launching import Bench, Started, bench, sh

WAYS = {"plain": {}, "limits": {"limits": {"nofile": 500}}, "umask": {"umask": 0o027}}
DESCRIPTORS = "for f in $(seq 0 40); do [ -e /proc/$$/fd/$f ] && echo $f; done; cut -d' ' -f1,6 /proc/$$/stat"


async def run(plan: Plan) -> Started:
    with bench() as here:
        return await here.run(plan)


def test_twisted_still_calls_the_hook_that_we_override() -> None:
    names = list(inspect.signature(Process._trySpawnInsteadOfFork).parameters)
    assert names == ["self", "path", "uid", "gid", "executable", "args", "environment", "kwargs"]


@pytest.mark.parametrize("way", WAYS)
async def test_a_child_has_three_descriptors_and_a_session_of_its_own(tmp_path: Path, way: str) -> None:
    held = os.open(tmp_path / "held", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(held, True)
    started = await run(sh(DESCRIPTORS, **WAYS[way]))
    os.close(held)
    *descriptors, numbers = started.heard.out.splitlines()
    assert descriptors == ["0", "1", "2"]
    assert set(numbers.split()) == {str(started.process.footprint.pid)}


@pytest.mark.parametrize("way", WAYS)
async def test_a_child_has_default_signals_and_none_blocked(way: str) -> None:
    started = await run(
        Plan(task="t", executable="grep", arguments=["-E", "^Sig(Blk|Ign)", "/proc/self/status"], **WAYS[way])
    )
    glibc = 3 << 31  # signals 32 and 33 are the C library's own
    assert [int(line.split()[1], 16) & ~glibc for line in started.heard.out.splitlines()] == [0, 0]


@pytest.mark.parametrize("way", WAYS)
async def test_arguments_are_literal(way: str) -> None:
    words = ["; rm x", "$(id)", "`id`", "a\nb", "-", "--", "$tmp", "ä", "", "| cat", "* ?"]
    started = await run(Plan(task="t", executable="printf", arguments=["%s|", *words], **WAYS[way]))
    assert started.heard.out == "|".join(words) + "|"


@pytest.mark.parametrize("way", WAYS)
async def test_the_environment_is_the_allow_list_and_what_the_job_asked_for(way: str) -> None:
    base = {"HOME": "/h", "LC_TIME": "C", "SECRET": "s", "DEPLOYER_AGENT_URL": "u", "http_proxy": "p", "PATH": "/bin"}
    job = {"A": "x y' $z\n\"", "DEPLOYER_RUN": "forged", "IFS": ",", "why": "\\n", "DPL_A": "b"}
    with bench(environment=base) as here:
        plan = Plan(task="t:1", run=2, executable="/usr/bin/env", arguments=["-0"], environment=job, **WAYS[way])
        started = await here.run(plan)
        marker = f"{here.instance}:t:1:2"
    seen = dict(entry.split("=", 1) for entry in started.heard.out.rstrip("\0").split("\0"))
    assert seen == {"HOME": "/h", "LC_TIME": "C", "PATH": "/bin", **job, "DEPLOYER_RUN": marker}
    assert started.process.footprint.marker == marker


@pytest.mark.parametrize("way", WAYS)
async def test_the_working_directory_is_changed_for_the_child_only(tmp_path: Path, way: str) -> None:
    before = Path.cwd()
    for name in ("-", "a b", "$HOME"):
        (tmp_path / name).mkdir()
        started = await run(sh("pwd", directory=str(tmp_path / name), **WAYS[way]))
        assert started.heard.out == f"{tmp_path / name}\n"
    assert Path.cwd() == before


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("plan", "code"),
    [
        ({"executable": "no-such-program"}, "NOT_FOUND"),
        ({"executable": "/no/such/program"}, "NOT_FOUND"),
        ({"executable": "/etc/passwd"}, "NOT_EXECUTABLE"),
        ({"executable": "/tmp"}, "NOT_EXECUTABLE"),  # noqa: S108 (a directory that always is)
        ({"executable": "/bin/true", "directory": "/no/such"}, "BAD_WORKDIR"),
        ({"executable": "/bin/true", "directory": "/etc/passwd"}, "BAD_WORKDIR"),
        ({"executable": "/bin/true", "directory": "/a\0b"}, "BAD_ARGUMENTS"),
        ({"executable": "/bin/true", "directory": "../../"}, "BAD_WORKDIR"),
        ({"executable": "/bin/true", "directory": ""}, "BAD_WORKDIR"),
        ({"executable": "/bin/true", "arguments": ["a\0b"]}, "BAD_ARGUMENTS"),
        ({"executable": "/bin/true", "environment": {"A": "a\0b"}}, "BAD_ARGUMENTS"),
        ({"executable": "/bin/true", "arguments": ["\ud800"]}, "BAD_ARGUMENTS"),
        ({"executable": "/bin/true", "directory": "/\ud800"}, "BAD_ARGUMENTS"),
        ({"executable": "/bin/tr\0ue"}, "BAD_ARGUMENTS"),
        ({"executable": "tr\0ue"}, "BAD_ARGUMENTS"),
        ({"executable": ""}, "NOT_FOUND"),
        ({"executable": "/bin/true", "arguments": ["x" * 3_000_000]}, "SPAWN_FAILED"),
        ({"executable": "/bin/true", "limits": {"nofile": 10**12}}, "LIMITS"),
        ({"executable": "/bin/true", "limits": {"typo": 1}}, "BAD_ARGUMENTS"),
    ],
)
async def test_what_cannot_be_started_has_a_code(plan: dict[str, object], code: str, way: str) -> None:
    with bench() as here:
        assert await refused(here, Plan(**{"task": "t", **WAYS[way], **plan})) == code


async def refused(here: Bench, plan: Plan) -> str:
    """Return the code, whether it is known at once or when the process has ended."""
    try:
        started = await here.run(plan)
    except RefusedError as error:
        return error.code
    assert started.process.refusal is not None
    return started.process.refusal.code


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("text", "code"),
    [("garbage", "NOT_EXECUTABLE"), ("#!/no/such/interpreter\n", "NOT_FOUND"), ("", "NOT_EXECUTABLE")],
)
async def test_a_script_without_a_usable_first_line_is_not_run(tmp_path: Path, text: str, code: str, way: str) -> None:
    script = tmp_path / "script"
    script.write_text(text)
    script.chmod(0o755)
    with bench() as here:
        assert await refused(here, Plan(task="t", executable=str(script), **WAYS[way])) == code


@pytest.mark.parametrize("status", [1, 126, 127])
@pytest.mark.parametrize("way", WAYS)
async def test_a_jobs_own_status_is_never_taken_for_a_refusal(way: str, status: int) -> None:
    started = await run(sh(f"echo @LIMITS 2 >&2; exit {status}", **WAYS[way]))
    assert (started.process.refusal, started.heard.exit) == (None, (status, None))
    assert started.heard.streams[2] == b"@LIMITS 2\n"


async def test_root_starts_nothing_unless_it_is_allowed() -> None:
    with bench(Policy(), uid=lambda: 0) as here:
        assert await refused(here, sh("true")) == "ROOT_REFUSED"


@pytest.mark.parametrize("way", WAYS)
async def test_data_is_read_from_stdin_and_may_be_ignored(way: str) -> None:
    started = await run(sh("cat", data="ä\n" * 200_000, **WAYS[way]))
    assert started.heard.out == "ä\n" * 200_000
    assert (await run(sh("exit 0", data="x" * 500_000, **WAYS[way]))).heard.exit == (0, None)


async def test_the_umask_is_private_unless_it_is_given() -> None:
    assert (await run(sh("umask"))).heard.out.strip() == "0077"
    assert (await run(sh("umask", umask=0o022))).heard.out.strip() == "0022"


async def test_nothing_is_lost_while_reading_is_held() -> None:
    with bench() as here:
        started = here.start(Plan(task="t", executable="seq", arguments=["40000"]))
        started.process.hold(held=True)
        reactor.callLater(0.05, started.process.hold, held=False)  # type: ignore[attr-defined]  # zope's interfaces
        await started.heard.ended
    assert started.heard.out.split() == [str(number) for number in range(1, 40_001)]


@pytest.mark.parametrize("way", WAYS)
async def test_many_descriptors_of_ours_do_not_get_in_the_way(way: str) -> None:
    """Whatever numbers our ends of the pipes have, the child's are 0 to 2."""
    with bench() as here:
        for _ in range(8):
            started = await here.run(sh("echo out; echo err >&2; cat", data="in", **WAYS[way]))
            assert (started.heard.out, started.heard.streams[2]) == ("out\nin", b"err\n")


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
    assert child_environment(base, {}, {}, {"HOME": "/n"})["HOME"] == "/n"
    assert child_environment(base, {"HOME": "/j"}, {}, {"HOME": "/n"})["HOME"] == "/j"


async def test_what_needs_no_stages_has_none() -> None:
    with bench() as here:
        assert here.start(sh("true")).process.pipes.keys() == {1, 2}
        assert here.start(sh("true", umask=0o022)).process.pipes.keys() == {1, 2, 3}
        for started in here.started:
            await started.heard.ended
