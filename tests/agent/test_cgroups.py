"""Where the agent's cgroups are, read from texts; version 2 is a tree of plain files here."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer_agent.errors import RefusedError, StartError
from deployer_agent.processes.cgroups_posix import Base, Cgroups
from deployer_agent.processes.launch_posix import leaf
from deployer_agent.processes.mounts_posix import Mount, find_cgroups, own_directory, parse_mounts, parse_own

INSTANCE = "0123456789abcdef0123456789abcdef"
MOUNTS = r"""22 27 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw
36 31 0:33 / /sys/fs/cgroup/memory rw,relatime shared:9 master:1 - cgroup cgroup rw,memory
40 31 0:37 /docker/abc /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
41 31 0:38 / /mnt/with\040blank rw,relatime - cgroup2 cgroup2 rw,nsdelegate
nonsense
"""
OWN = "9:name=systemd:/\n8:pids:/docker/abc/x\n4:memory:/a:b\n2:cpu,cpuacct:/\n0::/user.slice\nnonsense\n"


def test_mounts_are_read() -> None:
    found = parse_mounts(MOUNTS)
    assert found["pids"] == Mount("/docker/abc", "/sys/fs/cgroup/pids")
    assert found["memory"] == Mount("/", "/sys/fs/cgroup/memory")
    assert found["cpuacct"].point == "/sys/fs/cgroup/cpu,cpuacct"
    assert found[""].point == "/mnt/with blank"


def test_our_own_groups_are_read() -> None:
    found = parse_own(OWN)
    assert (found["memory"], found["pids"], found[""], found["cpu"]) == ("/a:b", "/docker/abc/x", "/user.slice", "/")


@pytest.mark.parametrize(
    ("mount", "own", "found"),
    [
        (Mount("/", "/c"), "/", "/c"),
        (Mount("/", "/c"), "/a/b", "/c/a/b"),
        (Mount("/a", "/c"), "/a/b", "/c/b"),
        (Mount("/a", "/c"), "/a", "/c"),
        (Mount("/a", "/c"), "/ab", None),
        (Mount("/", "/c"), "/../x", None),
        (Mount("/a", "/c"), "/", None),
    ],
)
def test_our_own_group_is_found_in_what_is_mounted(mount: Mount, own: str, found: str | None) -> None:
    assert own_directory({"pids": mount}, {"pids": own}, "pids") == (None if found is None else Path(found))
    assert own_directory({}, {"pids": own}, "pids") is None


@given(st.text())
def test_no_text_makes_the_parsers_fail(text: str) -> None:
    parse_mounts(text)
    parse_mounts(f"1 2 0:1 {text} - cgroup c rw,pids")
    parse_own(text)


@given(st.text(max_size=130), st.integers(min_value=1), st.text(max_size=130), st.integers(min_value=1))
def test_leaves_are_names_of_files_and_differ(task: str, run: int, other: str, again: int) -> None:
    name = leaf(task, run % 10**9)
    assert len(name) < 256
    assert "/" not in name
    assert not name.startswith(".")
    if task and other and (task, run % 10**9) != (other, again % 10**9):
        assert name != leaf(other, again % 10**9)


class Second:
    """A version 2 hierarchy of plain files, and a /proc/self that points to it."""

    def __init__(self, root: Path, own: str = "/unit.service") -> None:
        self.proc, self.mount = root / "proc", root / "cgroup"
        self.proc.mkdir()
        self.group = self.mount / own.strip("/")
        self.group.mkdir(parents=True)
        (self.proc / "mountinfo").write_text(f"41 31 0:38 / {self.mount} rw - cgroup2 cgroup2 rw\n")
        (self.proc / "cgroup").write_text(f"0::{own}\n")
        self.put("cgroup.controllers", "cpu memory pids\n")
        self.put("cgroup.subtree_control", "")
        self.put("cgroup.procs", "")

    def put(self, name: str, text: str) -> None:
        (self.group / name).write_text(text)

    def find(self, wanted: object = "auto") -> Cgroups | None:
        return find_cgroups(wanted, INSTANCE, self.proc, lambda: 77)  # type: ignore[arg-type]


def test_the_agent_makes_room_in_its_own_group(tmp_path: Path) -> None:
    tree = Second(tmp_path)
    (tree.group / "agent-itself").mkdir()
    (tree.group / "agent-itself" / "cgroup.procs").touch()
    found = tree.find()
    assert found is not None
    assert found.base == Base(unified=True, pids=tree.group, memory=tree.group)
    assert (tree.group / "agent-itself" / "cgroup.procs").read_text() == "77"
    assert (tree.group / "cgroup.subtree_control").read_text() == "+pids +memory"


def test_an_agent_that_was_started_in_the_leaf_takes_the_group_above(tmp_path: Path) -> None:
    tree = Second(tmp_path)
    tree.put("cgroup.subtree_control", "memory pids\n")
    (tree.group / "agent-itself").mkdir()
    (tree.proc / "cgroup").write_text("0::/unit.service/agent-itself\n")
    found = tree.find(True)
    assert found is not None
    assert found.base.pids == tree.group


@pytest.mark.parametrize("controllers", ["", "cpu memory"])
def test_groups_without_the_controllers_are_not_used(tmp_path: Path, controllers: str) -> None:
    tree = Second(tmp_path)
    tree.put("cgroup.controllers", controllers)
    assert tree.find() is None
    with pytest.raises(StartError, match="Delegate"):
        tree.find(True)


def test_groups_are_not_looked_for_when_they_are_off(tmp_path: Path) -> None:
    assert find_cgroups(False, INSTANCE, tmp_path) is None
    assert find_cgroups("auto", INSTANCE, tmp_path) is None


def test_a_group_has_its_limits_and_its_door(tmp_path: Path) -> None:
    groups = Cgroups(Base(unified=True, pids=tmp_path, memory=tmp_path), INSTANCE)
    home = tmp_path / "deployer-01234567"
    home.mkdir()
    with pytest.raises(RefusedError) as caught:  # plain directories have no control files
        groups.make("t-1", {"pids": 5})
    assert caught.value.code == "LIMITS"
    assert not (home / "t-1").exists()
    assert groups.doors("deployer-01234567/t-1") == [f"{home}/t-1/cgroup.procs"]


def test_what_the_kernel_ended_for_its_memory_is_told(tmp_path: Path) -> None:
    groups = Cgroups(Base(unified=True, pids=tmp_path, memory=tmp_path), INSTANCE)
    group = tmp_path / "g"
    group.mkdir()
    assert not groups.over_memory("g")
    (group / "memory.events").write_text("low 0\nhigh 0\nmax 7\noom 1\noom_kill 0\n")
    assert not groups.over_memory("g")
    (group / "memory.events").write_text("max 7\noom 1\noom_kill 2\noom_group_kill 1\n")
    assert groups.over_memory("g")


def test_a_version_2_group_is_ended_at_once_and_counted_with_those_below(tmp_path: Path) -> None:
    groups = Cgroups(Base(unified=True, pids=tmp_path, memory=tmp_path), INSTANCE)
    (tmp_path / "g" / "below").mkdir(parents=True)
    for name in ("cgroup.kill", "pids.max"):
        (tmp_path / "g" / name).touch()
    (tmp_path / "g" / "cgroup.procs").write_text("3\n2\n")
    (tmp_path / "g" / "below" / "cgroup.procs").write_text("7\n")
    groups.freeze("g")
    assert (tmp_path / "g" / "cgroup.kill").read_text() == "1"
    assert (tmp_path / "g" / "pids.max").read_text() == "0"
    assert groups.members("g") == [2, 3, 7]
    assert groups.members("gone") == []


def test_empty_groups_of_earlier_runs_are_removed(tmp_path: Path) -> None:
    base = Base(unified=True, pids=tmp_path, memory=tmp_path)
    (tmp_path / "deployer-01234567" / "t-1" / "below").mkdir(parents=True)
    (tmp_path / "deployer-ffffffff" / "other-1").mkdir(parents=True)
    held = tmp_path / "deployer-01234567" / "t-2"
    held.mkdir()
    (held / "somebody").touch()
    Cgroups(base, INSTANCE).clean()
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "deployer-01234567",
        "deployer-ffffffff",
        "other-1",
        "somebody",
        "t-2",
    ]
