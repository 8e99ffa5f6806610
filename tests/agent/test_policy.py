"""What the host's administrator allows, decided without a host."""

from pathlib import Path

import msgspec
import pytest

from deployer_agent.errors import RefusedError, StartError
from deployer_agent.policy import Policy

UIDS = {"root": 0, "toor": 0, "0": 0, "web": 33, "job": 1000}


def judge(policy: Policy, uid: int = 1000, **asked: object) -> str:
    """The decision in short, or the code."""
    wish: dict[str, object] = {"user": None, "group": None, "limits": {}, **asked}
    try:
        made = policy.judge(agent_uid=uid, uid_of=UIDS.__getitem__, **wish)  # type: ignore[arg-type]
    except RefusedError as error:
        return error.code
    return f"{made.user}:{made.group}"


@pytest.mark.parametrize(
    ("policy", "uid", "asked", "decided"),
    [
        ({}, 1000, {}, "None:None"),
        ({}, 0, {}, "ROOT_REFUSED"),
        ({"allow_root": True}, 0, {}, "None:None"),
        ({"run_as": "job"}, 0, {}, "job:None"),
        ({"run_as": "job"}, 0, {"user": "job"}, "job:None"),
        ({"run_as": "job"}, 0, {"user": "web"}, "NOT_ALLOWED"),
        ({"run_as": "job"}, 0, {"user": "root"}, "NOT_ALLOWED"),
        ({"run_as": "root"}, 0, {}, "ROOT_REFUSED"),
        ({"run_as": "root", "allow_root": True}, 0, {}, "root:None"),
        ({"users": ["web"]}, 0, {"user": "web"}, "web:None"),
        ({"users": ["web"]}, 0, {}, "ROOT_REFUSED"),
        ({"users": ["*"]}, 0, {"user": "toor"}, "ROOT_REFUSED"),
        ({"users": ["*"]}, 0, {"user": "0"}, "ROOT_REFUSED"),
        ({"users": ["*"], "allow_root": True}, 0, {"user": "toor"}, "toor:None"),
        ({"allow_root": True}, 0, {"user": "web"}, "NOT_ALLOWED"),
        ({}, 1000, {"user": "job"}, "job:None"),
        ({}, 1000, {"user": "web"}, "NOT_ALLOWED"),
        ({"allow_root": True}, 0, {"user": "root"}, "root:None"),
        ({}, 0, {"user": "root"}, "ROOT_REFUSED"),
        ({"run_as": "job", "allow_root": True}, 0, {"user": "root"}, "NOT_ALLOWED"),
        ({}, 1000, {"group": "www"}, "NOT_ALLOWED"),
        ({"groups": ["www"]}, 1000, {"group": "www"}, "None:www"),
        ({"groups": ["*"]}, 1000, {"group": "any"}, "None:any"),
        ({}, 1000, {"limits": {"core": 0}}, "None:None"),
        ({}, 1000, {"limits": {"core": 1}}, "NOT_ALLOWED"),
        ({}, 1000, {"limits": {"pids": 4096}}, "None:None"),
        ({}, 1000, {"limits": {"pids": 4097}}, "NOT_ALLOWED"),
        ({"limits": {"pids": 9000}}, 1000, {"limits": {"pids": 9000}}, "None:None"),
        ({"limits": {"nofile": 10}}, 1000, {"limits": {"nofile": 11}}, "NOT_ALLOWED"),
        ({"limits": {"nofile": 10}}, 1000, {"limits": {"nofile": -1}}, "NOT_ALLOWED"),
        ({}, 1000, {"limits": {"nofile": 10**9}}, "None:None"),
        ({}, 1000, {"limits": {"niceness": 1}}, "BAD_ARGUMENTS"),
    ],
)
def test_as_whom_a_job_runs(policy: dict[str, object], uid: int, asked: dict[str, object], decided: str) -> None:
    assert judge(Policy(**policy), uid, **asked) == decided  # type: ignore[arg-type]


def test_limits_are_the_jobs_within_the_policys() -> None:
    policy = Policy(limits={"nofile": 100, "cpu": 60})
    made = policy.judge(user=None, group=None, limits={"nofile": 50, "as": 7}, agent_uid=1, uid_of=UIDS.__getitem__)
    assert made.limits == {"core": 0, "nofile": 50, "cpu": 60, "as": 7}


@pytest.mark.parametrize(
    ("globs", "path", "allowed"),
    [
        (["*"], "/bin/true", True),
        (["/opt/tools/*"], "/opt/tools/a", True),
        (["/opt/tools/*"], "/opt/tools/deep/a", True),
        (["/opt/tools/*"], "/opt/tools/../../bin/true", False),
        (["/opt/tools/*"], "/bin/true", False),
        (["/opt/tools/a"], "/opt/tools/A", False),
        ([], "/bin/true", False),
        (["/proc/*", "*/exe"], "/proc/self/exe", False),
        (["*bash", "/dev/fd/*"], "/dev/fd/3", False),
    ],
)
def test_which_programs_may_be_started(globs: list[str], path: str, *, allowed: bool) -> None:
    assert _passes(lambda: Policy(executables=globs).require_executable(path)) == allowed


def test_a_program_is_known_by_its_link_and_by_what_is_behind_it(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real").touch()
    real = (tmp_path / "real").resolve()
    for globs in ([str(tmp_path / "link")], [str(real)]):
        Policy(executables=globs).require_executable(str(tmp_path / "link"))


def test_what_is_behind_a_link_is_executed_where_only_that_is_allowed(tmp_path: Path) -> None:
    """The link is in a directory of others, who can change it after we have looked."""
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real").touch()
    link, real = str(tmp_path / "link"), str((tmp_path / "real").resolve())
    assert Policy(executables=[real]).require_executable(link) == real
    assert Policy(executables=[link]).require_executable(link) == link
    assert Policy().require_executable(link) == link


@pytest.mark.parametrize(
    ("policy", "names", "allowed"),
    [
        ({}, ["PERL5OPT", "PATH"], True),
        ({"executables": ["/bin/id"]}, ["LANG", "LC_ALL", "TZ", "TERM"], True),
        ({"executables": ["/bin/id"]}, ["LANG", "NODE_OPTIONS"], False),
        ({"commands": ["backup"]}, ["PATH"], False),
        ({"commands": ["backup"], "environment": ["APP_*"]}, ["APP_MODE"], True),
        ({"commands": ["backup"], "environment": ["APP_*"]}, ["LANG"], False),
        ({"environment": []}, ["LANG"], False),
        ({"environment": []}, [], True),
    ],
)
def test_which_variables_a_job_may_set(policy: dict[str, object], names: list[str], *, allowed: bool) -> None:
    assert _passes(lambda: Policy(**policy).require_environment(names)) == allowed  # type: ignore[arg-type]


def test_what_runs_can_always_be_ended() -> None:
    policy = Policy(commands=["get_*", "get_cpu_info"], shell=False, terminals=False)
    allowed = {
        cmd for cmd in ("execute", "kill", "killall", "ping", "get_cpu_info", "get_os_info") if _may(policy, cmd)
    }
    assert allowed == {"kill", "killall", "ping", "get_cpu_info"}
    assert not _passes(policy.require_shell)
    assert not _passes(policy.require_terminal)
    assert _may(Policy(), "execute")
    Policy().require_shell()
    Policy().require_terminal()


def _may(policy: Policy, cmd: str) -> bool:
    return _passes(lambda: policy.require_command(cmd))


def _passes(check: object) -> bool:
    try:
        check()  # type: ignore[operator]
    except RefusedError as error:
        assert error.code == "NOT_ALLOWED"  # noqa: PT017 (both ways are results here)
        return False
    return True


def written(folder: Path, text: str, mode: int = 0o644) -> Path:
    file = folder / "policy.toml"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_the_example_is_read_and_shows_the_defaults(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "etc" / "policy.toml"
    assert Policy.load(example) == Policy() == Policy.load(None)
    text = "\n".join(line[line.startswith("#") :] for line in example.read_text().splitlines() if line[:2] != "# ")
    shown = msgspec.to_builtins(Policy.load(written(tmp_path, text)))
    assert shown == msgspec.to_builtins(Policy()) | {
        "environment": ("*",),
        "run_as": "deployer-jobs",
        "max_jobs": 100,
        "limits": {"core": 0, "pids": 4096},
    }


def test_the_command_line_may_allow_root() -> None:
    assert Policy.load(None, allow_root=True).allow_root


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    text = 'run_as = "job"\nusers = ["a"]\ncgroups = false\nmax_jobs = 5\n[limits]\nnofile = 7\n'
    made = Policy.load(written(tmp_path, text))
    assert (made.run_as, list(made.users), made.cgroups, made.max_jobs) == ("job", ["a"], False, 5)
    assert dict(made.limits) == {"nofile": 7}


@pytest.mark.parametrize(
    "text",
    [
        'run_as = ""',
        "run_as = 5",
        'users = "web"',
        'cgroups = "maybe"',
        "max_jobs = 0",
        "typo = 1",
        "[limits]\nfiles = 1",
        "[limits]\nnofile = -1",
        "not toml",
        "\x00",
    ],
)
def test_a_wrong_file_says_where(tmp_path: Path, text: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(StartError, match=str(file)):
        Policy.load(file)


@pytest.mark.parametrize("mode", [0o666, 0o664, 0o602])
def test_a_file_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(StartError, match="chmod"):
        Policy.load(written(tmp_path, "", mode))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="cannot be read"):
        Policy.load(tmp_path / "none.toml")
