"""Named places at which a test ends, holds or fails a program: what random kills do not find (RELIABILITY).

`DEPLOYER_FAILPOINTS="NAME=ACTION[@N];…"` in the environment of a program that runs from a source checkout. ACTION:
`crash` (the process is gone at once), `pause:SECONDS` (all of it stands still), `raise`. N: the N-th time only, else
each time. `DEPLOYER_FAILPOINTS_LOG` names a file to which each that acts appends its name.
"""

import os
import re
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final

VARIABLE: Final = "DEPLOYER_FAILPOINTS"
LOG_VARIABLE: Final = "DEPLOYER_FAILPOINTS_LOG"
CRASHED: Final = 70
"""The exit status of a program that ended at one."""

_CHECKOUT: Final = Path(__file__).parents[3] / "setup.cfg"
_ONE: Final = re.compile(r"(?P<name>\w+)=(?P<action>crash|raise|pause:(?P<seconds>\d+(\.\d+)?))(@(?P<nth>[1-9]\d*))?")


class FailpointError(Exception):
    """What `raise` raises."""


class WrongFailpointsError(Exception):
    """The variable is not what it may be; the text says why."""


class _Armed:
    """One that acts."""

    def __init__(self, name: str, action: str, seconds: float, nth: int, sleep: Callable[[float], None]) -> None:
        self.sleep = sleep
        self.name = name
        self.action = action
        self.seconds = seconds
        self.nth = nth
        self.times = 0

    def reached(self) -> None:
        self.times += 1
        if self.nth not in {0, self.times}:
            return
        _note(self.name)
        if self.action == "crash":
            os._exit(CRASHED)
        if self.action == "raise":
            raise FailpointError(self.name)
        self.sleep(self.seconds)


_armed: dict[str, _Armed] = {}


def reach(name: str) -> None:
    """Be at a place; nothing happens unless it is armed."""
    if _armed and (point := _armed.get(name)) is not None:
        point.reached()


def arm(
    environment: Mapping[str, str],
    known: Collection[str],
    checkout: Path = _CHECKOUT,
    sleep: Callable[[float], None] = time.sleep,  # noqa: TID251 (all of the program is to stand still)
) -> None:
    """Arm what the environment says; WrongFailpointsError for what is unknown, and in a program that is installed."""
    _armed.clear()
    text = environment.get(VARIABLE, "")
    if not text:
        return
    if not checkout.exists():
        raise WrongFailpointsError(f"{VARIABLE} is set: it is for tests in a source checkout only")
    for one in text.split(";"):
        match = _ONE.fullmatch(one.strip())
        if match is None or match["name"] not in known:
            raise WrongFailpointsError(f"{VARIABLE}: {one.strip()!r} is no failpoint of this program")
        action = match["action"].partition(":")[0]
        _armed[match["name"]] = _Armed(
            match["name"], action, float(match["seconds"] or 0), int(match["nth"] or 0), sleep
        )


def _note(name: str) -> None:
    file = os.environ.get(LOG_VARIABLE)
    if file:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(handle, f"{name}\n".encode())
        os.close(handle)
