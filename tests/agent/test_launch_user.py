"""Jobs as another user: with nothing of root's left, and not at all when that cannot be (J7, J11 to J15)."""

import os
import pwd
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployer_agent.policy import Policy
from deployer_agent.processes.plan import Plan
from support.launching import NOBODY, bench, eventually, lives, sh
from tests.agent.test_launch_plain import DESCRIPTORS, refused

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
WAYS = [False, True]


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A directory that everybody may enter, also its parents."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path


@pytest.mark.parametrize("cgroups", WAYS)
async def test_nothing_of_root_is_left(*, cgroups: bool) -> None:
    with bench(cgroups=cgroups) as here:
        text = "id -u; id -g; id -G; umask; pwd; grep -E '^(Cap(Inh|Prm|Eff)|NoNewPrivs|Groups)' /proc/$$/status"
        started = await here.run(sh(text, user="nobody"))
    uid, gid, groups, umask, where, *status = started.heard.out.splitlines()
    assert (uid, gid, groups) == (str(NOBODY), str(pwd.getpwuid(NOBODY).pw_gid), str(pwd.getpwuid(NOBODY).pw_gid))
    assert (umask, where) == ("0077", "/")
    told = dict(line.split(":\t") for line in status)
    assert told["NoNewPrivs"] == "1"
    assert {int(told[name], 16) for name in ("CapInh", "CapPrm", "CapEff")} == {0}


@pytest.mark.parametrize("cgroups", WAYS)
async def test_the_environment_is_that_of_the_user(*, cgroups: bool) -> None:
    base = {"HOME": "/root", "USER": "root", "LANG": "C", "PATH": os.defpath, "DEPLOYER_AGENT_TOKEN": "secret"}
    with bench(cgroups=cgroups, environment=base) as here:
        plan = Plan(task="t", executable="/usr/bin/env", user=str(NOBODY), environment={"A": "1"})
        started = await here.run(plan)
    seen = dict(line.split("=", 1) for line in started.heard.out.splitlines())
    nobody = pwd.getpwuid(NOBODY)
    assert seen.pop("DEPLOYER_RUN")
    assert seen == {
        "A": "1",
        "LANG": "C",
        "PATH": os.defpath,
        "HOME": nobody.pw_dir,
        "USER": "nobody",
        "LOGNAME": "nobody",
        "SHELL": nobody.pw_shell,
    }


@pytest.mark.parametrize("cgroups", WAYS)
async def test_variables_that_change_what_programs_load_do_not_reach_the_stages_of_root(
    *, cgroups: bool, open_dir: Path
) -> None:
    trace = open_dir / "trace"
    trace.mkdir()
    trace.chmod(0o777)
    loud = {"LD_DEBUG": "libs", "LD_DEBUG_OUTPUT": str(trace / "loaded")}
    with bench(cgroups=cgroups) as here:
        await here.run(Plan(task="t", executable="/bin/true", user="nobody", environment=loud))
    owners = {file.stat().st_uid for file in trace.iterdir()}
    assert owners == {NOBODY}


@pytest.mark.parametrize("cgroups", WAYS)
async def test_every_variable_reaches_the_job_as_it_was_given(*, cgroups: bool) -> None:
    """Those too that the stages' shell uses itself or cannot set."""
    names = "s c OPTIND OPTARG PPID UID IFS PS4 LINENO RANDOM SHELLOPTS BASHOPTS BASH_VERSION PWD _ ENV LC_ALL x"
    given = {name: f"{name} = 'a' \"$b\"; -- _" for name in names.split()}
    with bench(cgroups=cgroups) as here:
        plan = Plan(task="t", executable="/usr/bin/env", user="nobody", environment=given)
        started = await here.run(plan)
    seen = dict(line.split("=", 1) for line in started.heard.out.splitlines())
    assert started.code is None
    assert {name: seen.get(name) for name in given} == given


@pytest.mark.parametrize("cgroups", WAYS)
async def test_a_child_has_three_descriptors(*, cgroups: bool) -> None:
    with bench(cgroups=cgroups) as here:
        started = await here.run(sh(DESCRIPTORS, user="nobody"))
    assert started.heard.out.splitlines()[:-1] == ["0", "1", "2"]


@pytest.mark.parametrize("cgroups", WAYS)
async def test_a_directory_is_entered_with_the_users_rights(*, cgroups: bool, open_dir: Path) -> None:
    (open_dir / "link").symlink_to("/root")
    (open_dir / "private").mkdir(mode=0o700)
    (open_dir / "own").mkdir()
    with bench(cgroups=cgroups) as here:
        for name in ("link", "private", "missing", "own/../../../root"):
            plan = sh(f"echo ran > {open_dir}/ran", user="nobody", directory=str(open_dir / name))
            assert await refused(here, plan) == "BAD_WORKDIR", name
        started = await here.run(sh("pwd", user="nobody", directory=str(open_dir / "own")))
    assert started.heard.out == f"{open_dir}/own\n"
    assert not (open_dir / "ran").exists()


@pytest.mark.parametrize("cgroups", WAYS)
async def test_a_program_that_the_user_may_not_execute_has_a_code(*, cgroups: bool, open_dir: Path) -> None:
    script = open_dir / "script"
    script.write_text("#!/bin/sh\necho ran")
    script.chmod(0o700)
    with bench(cgroups=cgroups) as here:
        assert await refused(here, Plan(task="t", executable=str(script), user="nobody")) == "NOT_EXECUTABLE"
        script.chmod(0o755)
        started = await here.run(Plan(task="t", run=2, executable="./script", user="nobody", directory=str(open_dir)))
        assert started.heard.out == "ran\n"


@pytest.mark.parametrize(
    ("plan", "code"),
    [
        ({"user": "no-such-user"}, "NO_SUCH_USER"),
        ({"user": "4000000000"}, "NO_SUCH_USER"),
        ({"user": "nobody", "group": "no-such-group"}, "NO_SUCH_USER"),
        ({"user": "-1"}, "NO_SUCH_USER"),
        ({"user": ""}, "NO_SUCH_USER"),
    ],
)
async def test_who_does_not_exist_runs_nothing(plan: dict[str, str], code: str) -> None:
    with bench() as here:
        assert await refused(here, sh("true", **plan)) == code


async def test_an_agent_that_is_not_root_becomes_nobody_else() -> None:
    with bench(Policy(users=["*"], groups=["*"]), uid=lambda: NOBODY) as here:
        assert await refused(here, sh("true", user="daemon")) == "PRIVILEGES"
        assert await refused(here, sh("true", group="daemon")) == "PRIVILEGES"


@pytest.mark.parametrize("cgroups", WAYS)
async def test_privileges_that_cannot_be_dropped_run_nothing(*, cgroups: bool, open_dir: Path) -> None:
    """With and without the program that drops them, and with one that the kernel does not let do it."""
    ran = open_dir / "ran"
    weak = open_dir / "setpriv"
    weak.write_text('#!/bin/sh\nexec /usr/bin/setpriv --bounding-set=-setuid,-setgid -- /usr/bin/setpriv "$@"\n')
    weak.chmod(0o755)
    for number, program in enumerate(("/no/such/setpriv", str(weak))):
        with bench(cgroups=cgroups, setpriv=program) as here:
            plan = sh(f"echo > {ran}", user="nobody", run=number + 1)
            assert await refused(here, plan) == "PRIVILEGES", program
    assert not ran.exists()


async def test_a_group_may_be_given_alone() -> None:
    with bench() as here:
        started = await here.run(sh("id -u; id -g", group="daemon"))
    assert started.heard.out.split() == ["0", "1"]


async def test_what_the_data_is_nobody_sees_in_the_list_of_processes(open_dir: Path) -> None:
    """J12: another user reads every command line while the job runs, and its environment not at all."""
    look = "cat /proc/*/cmdline /proc/*/environ 2>/dev/null | tr '\\0' '\\n' | grep -c -e s3cret -e p4ssword; true"
    with bench() as here:
        job = here.start(
            sh("read line; sleep 60", user="daemon", data="s3" + "cret\n", environment={"P": "p4" + "ssword"})
        )
        spy = await here.run(sh(look.replace("s3cret", "s3[c]ret").replace("p4ssword", "p4[s]sword"), user="nobody"))
        assert spy.heard.out.strip() == "0"
        assert lives(job.process.footprint.pid)


async def test_files_of_a_job_are_its_own(open_dir: Path) -> None:
    open_dir.chmod(0o777)
    with bench() as here:
        await here.run(sh("echo > f; mkdir d", user="nobody", directory=str(open_dir)))
    for name, mode in (("f", 0o600), ("d", 0o700)):
        made = (open_dir / name).stat()
        assert (made.st_uid, stat.S_IMODE(made.st_mode)) == (NOBODY, mode)


async def test_a_job_of_another_user_cannot_stop_the_agent() -> None:
    with bench() as here:
        started = await here.run(sh(f"kill -STOP {os.getpid()}; echo $?", user="nobody"))
    assert started.heard.out.strip() != "0"


async def test_jobs_run_as_the_policy_says() -> None:
    with bench(Policy(run_as="nobody")) as here:
        started = await here.run(sh("id -un"))
        assert started.heard.out == "nobody\n"
        assert await refused(here, sh("true", user="daemon")) == "NOT_ALLOWED"
        assert await refused(here, sh("true", user="root")) == "NOT_ALLOWED"
        await eventually(lambda: not here.members.members(started.process.footprint), "nobody to be left")
