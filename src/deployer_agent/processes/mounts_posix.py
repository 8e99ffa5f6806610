"""Which cgroups the agent may use: read from /proc/self/mountinfo and /proc/self/cgroup, then tried."""

import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from msgspec import Struct

from deployer_agent.errors import StartError
from deployer_agent.processes import cgroups_posix

assert sys.platform != "win32"  # noqa: S101 (tells the type checker to leave this module out there)

NEEDED: Final = ("pids", "memory")
UNIFIED: Final = ""
"""The key of version 2 among the controllers."""

_AGENT: Final = "agent-itself"
_ESCAPE: Final = re.compile(r"\\([0-7]{3})")

Wanted = bool | Literal["auto"]


class Mount(Struct, frozen=True):
    """A hierarchy: what it shows (`root`, a path in the hierarchy) and where (`point`, a path here)."""

    root: str
    point: str


def parse_mounts(text: str) -> dict[str, Mount]:
    """Read mountinfo (proc_pid_mountinfo(5)): the first mount of each controller, version 2 under ""."""
    found: dict[str, Mount] = {}
    for line in text.splitlines():
        before, separator, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")
        if separator and len(fields) > 4 and kind[0] in {"cgroup", "cgroup2"}:  # noqa: PLR2004 (root and point)
            names = [UNIFIED] if kind[0] == "cgroup2" else kind[-1].split(",")
            for name in names:
                found.setdefault(name, Mount(_plain(fields[3]), _plain(fields[4])))
    return found


def parse_own(text: str) -> dict[str, str]:
    """Read /proc/PID/cgroup (cgroups(7)): the path in the hierarchy of each controller, version 2 under ""."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        names, separator, path = rest.partition(":")
        if separator and number.isdigit():
            found.update(dict.fromkeys(names.split(","), path))
    return found


def own_directory(mounts: Mapping[str, Mount], own: Mapping[str, str], controller: str) -> Path | None:
    """Return where our own group is; None when that is not mounted, or lies outside of what is."""
    mount, path = mounts.get(controller), own.get(controller)
    if mount is None or path is None or ".." in PurePosixPath(path).parts:
        return None
    group = PurePosixPath(path)
    if group.is_relative_to(mount.root):
        return Path(mount.point, group.relative_to(mount.root))
    return None


def find_cgroups(
    wanted: Wanted, instance: str, proc: Path = Path("/proc/self"), pid: Callable[[], int] = os.getpid
) -> cgroups_posix.Cgroups | None:
    """Return the cgroups that this agent may use; StartError when they are wanted (True) and there are none."""
    base = None
    if wanted:
        with suppress(OSError):
            mounts, own = parse_mounts((proc / "mountinfo").read_text()), parse_own((proc / "cgroup").read_text())
            base = _second(mounts, own, pid) or _first(mounts, own)
    if base is None:
        if wanted is True:
            raise StartError(
                "cgroups = true, but the agent may not make groups with pids and memory: run it as root, "
                "or with Delegate=yes in its systemd unit"
            )
        return None
    made = cgroups_posix.Cgroups(base, instance)
    made.clean()
    return made


def _first(mounts: Mapping[str, Mount], own: Mapping[str, str]) -> cgroups_posix.Base | None:
    pids, memory = (own_directory(mounts, own, name) for name in NEEDED)
    if pids is None or memory is None or not (_writable(pids) and _writable(memory)):
        return None
    return cgroups_posix.Base(unified=False, pids=pids, memory=memory)


def _second(mounts: Mapping[str, Mount], own: Mapping[str, str], pid: Callable[[], int]) -> cgroups_posix.Base | None:
    group = own_directory(mounts, own, UNIFIED)
    if group is not None and group.name == _AGENT and not group.samefile(mounts[UNIFIED].point):
        group = group.parent  # where an agent before us, in the same unit, has put us
    if group is None or not _writable(group) or not _delegated(group):
        return None
    if not _ready(group):
        _make_room(group, pid())
    return cgroups_posix.Base(unified=True, pids=group, memory=group) if _ready(group) else None


def _make_room(group: Path, pid: int) -> None:
    """Leave the group for a leaf of it, so that it may have controllers; come back when it may not."""
    leaf = group / _AGENT
    try:
        leaf.mkdir(exist_ok=True)
        (leaf / cgroups_posix.PROCS).write_text(str(pid))
        (group / "cgroup.subtree_control").write_text("+pids +memory")
    except OSError:  # others are in the group too, so it is not ours alone
        with suppress(OSError):
            (group / cgroups_posix.PROCS).write_text(str(pid))
            leaf.rmdir()


def _ready(group: Path) -> bool:
    enabled = (group / "cgroup.subtree_control").read_text().replace("+", " ").split()
    return set(NEEDED) <= set(enabled)


def _delegated(group: Path) -> bool:
    with suppress(OSError):
        return set(NEEDED) <= set((group / "cgroup.controllers").read_text().split())
    return False


def _writable(group: Path) -> bool:
    return os.access(group, os.W_OK | os.X_OK) and os.access(group / cgroups_posix.PROCS, os.W_OK)


def _plain(path: str) -> str:
    """A path of mountinfo without its escapes for blanks."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), path)
