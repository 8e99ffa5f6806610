"""Control groups of jobs: `<the agent's own group>/deployer-<instance>/<leaf>`, one for each start.

With version 2 the agent's group must have the controllers pids and memory and be writable (systemd: `Delegate=yes`);
the agent goes to a leaf `agent-itself` of it, as a group with controllers may not hold processes itself. With version
1 the agent's groups of the two hierarchies must be writable. A name stands for the leaf in every hierarchy.
"""

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Final

from msgspec import Struct
from twisted.logger import Logger

from deployer.protocol import codes
from deployer_agent.errors import RefusedError

assert sys.platform != "win32"  # noqa: S101 (tells the type checker to leave this module out there)

PREFIX: Final = "deployer-"
PROCS: Final = "cgroup.procs"
TASKS: Final = "tasks"
_STALE_S: Final = 600.0
_TRIES: Final = 16
_FILES: Final[Mapping[bool, Mapping[str, Sequence[str]]]] = {
    False: {"pids": ["pids.max"], "memory": ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]},
    True: {"pids": ["pids.max"], "memory": ["memory.max"]},
}


class Base(Struct, frozen=True, kw_only=True):
    """Where groups are made. `pids` and `memory` are the same directory with version 2."""

    unified: bool
    pids: Path
    memory: Path

    @property
    def places(self) -> list[Path]:
        """Each directory once."""
        return [self.pids] if self.unified else [self.pids, self.memory]


class Cgroups:
    """Makes, finds, ends and removes the groups of one agent."""

    log = Logger()

    def __init__(self, base: Base, instance: str) -> None:
        self.base = base
        self._home = PREFIX + instance[:8]
        self._left: dict[str, None] = {}

    def name(self, leaf: str) -> str:
        """Return the name of a group."""
        return f"{self._home}/{leaf}"

    def make(self, leaf: str, limits: Mapping[str, int]) -> str:
        """Make a group and return its name; RefusedError LIMITS. `limits`: `pids` and `memory` (bytes)."""
        name = self.name(leaf)
        try:
            for place in self.base.places:
                self._make(place, leaf)
            for resource, limit in limits.items():
                self._limit(name, resource, limit)
        except OSError as error:
            self.remove(name)
            raise RefusedError(codes.LIMITS, f"its cgroup {name} could not be made: {error}") from None
        return name

    def doors(self, name: str) -> list[str]:
        """Return the files into which a process writes 0 to enter."""
        return [f"{place}/{name}/{PROCS}" for place in self.base.places]

    @property
    def enterable(self) -> bool:
        """Whether one of our threads can enter: version 1 moves threads, version 2 whole processes only."""
        return not self.base.unified

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Let this thread be in the group, so that what it starts is there from its first moment. RefusedError LIMITS.

        Twice as fast as letting the child enter, which takes a shell in front of it.
        """
        try:
            self._enter(name)
            yield
        finally:
            for place in self.base.places:
                _write(place / TASKS, "0")

    def members(self, name: str) -> list[int]:
        """Return all that are in the group or below it, zombies included."""
        found: set[int] = set()
        for directory in self._below(name):
            with suppress(OSError):
                found.update(map(int, (directory / PROCS).read_bytes().split()))
        return sorted(found)

    def freeze(self, name: str) -> bool:
        """Let nobody in it start anything any more, and with version 2 end them all; False when it is gone."""
        try:
            _write(self.base.pids / name / "pids.max", "0")
        except OSError:
            return False
        if self.base.unified:
            with suppress(OSError):  # before Linux 5.14 there is none: they are ended one by one
                _write(self.base.pids / name / "cgroup.kill", "1")
        return True

    def over_memory(self, name: str) -> bool:
        """Whether the kernel ended somebody because the group was over its memory."""
        file = "memory.events" if self.base.unified else "memory.oom_control"
        return _field(self.base.memory / name / file, "oom_kill") > 0

    def remove(self, name: str) -> None:
        """Remove a group; one that is not empty yet is tried again with later calls."""
        for left in [name, *islice(self._left, _TRIES)]:
            self._left.pop(left, None)
            if not self._removed(left):
                self._left[left] = None  # at the end: all get their turn

    def clean(self) -> None:
        """Remove empty groups of earlier runs: ours, and those of others that are long unused."""
        before = time.time() - _STALE_S
        for home in [home for place in self.base.places for home in place.glob(f"{PREFIX}*")]:
            with suppress(OSError):  # another agent may remove its own meanwhile
                for group in [*home.iterdir(), home]:
                    mine = home.name == self._home and group != home
                    if group.is_dir() and (mine or group.stat().st_mtime < before):
                        _remove_tree(group)

    def close(self) -> None:
        """Remove what is empty of everything that was made."""
        self.clean()
        for place in self.base.places:
            with suppress(OSError):
                (place / self._home).rmdir()

    def _make(self, place: Path, leaf: str) -> None:
        home = place / self._home
        try:
            os.mkdir(home / leaf, 0o755)  # noqa: PTH102 (once for each job: Path.mkdir is slower)
        except FileExistsError:
            (home / leaf).rmdir()  # it was left, and has its old limits
            (home / leaf).mkdir(mode=0o755)
        except FileNotFoundError:
            home.mkdir(mode=0o755, exist_ok=True)
            if self.base.unified:
                _write(home / "cgroup.subtree_control", "+pids +memory")
            (home / leaf).mkdir(mode=0o755)

    def _enter(self, name: str) -> None:
        try:
            for place in self.base.places:
                _write(place / name / TASKS, "0")
        except OSError as error:
            raise RefusedError(codes.LIMITS, f"its cgroup {name} could not be entered: {error}") from None

    def _limit(self, name: str, resource: str, limit: int) -> None:
        place = self.base.pids if resource == "pids" else self.base.memory
        first, *more = _FILES[self.base.unified][resource]
        _write(place / name / first, str(limit))
        for file in more:
            if (place / name / file).exists():
                _write(place / name / file, str(limit))
        if self.base.unified and resource == "memory":
            for file, value in (("memory.swap.max", "0"), ("memory.oom.group", "1")):
                if (place / name / file).exists():
                    _write(place / name / file, value)

    def _below(self, name: str) -> list[Path]:
        return [Path(found) for place in self.base.places for found, _, _ in os.walk(place / name)]

    def _removed(self, name: str) -> bool:
        gone = [_is_gone(f"{place}/{name}") for place in self.base.places]
        return all(gone)


def _is_gone(group: str) -> bool:
    """Remove it; whether it is not there any more."""
    try:
        os.rmdir(group)  # noqa: PTH106 (twice for each job: a Path costs more than the call)
    except FileNotFoundError:
        return True
    except OSError:
        _remove_tree(Path(group))
        return not Path(group).exists()
    return True


def _remove_tree(group: Path) -> None:
    """Remove a group with all below, as far as nobody is in them."""
    for directory, _, _ in os.walk(group, topdown=False):
        with suppress(OSError):
            os.rmdir(directory)  # noqa: PTH106 (a str, as walk gives it)


def _write(file: Path, text: str) -> None:
    """Write to a control file that must exist; OSError says what the kernel thinks of it."""
    handle = os.open(file, os.O_WRONLY)
    try:
        os.write(handle, text.encode())
    finally:
        os.close(handle)


def _field(file: Path, name: str) -> int:
    with suppress(OSError, ValueError):
        for line in file.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0
