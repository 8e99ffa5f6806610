"""The shell in front of a job that is not simply started: one line each for two stages, values as parameters only.

JOIN, as root, enters the cgroups. setpriv drops the privileges. ENTER, as the target user, sets umask and limits, goes
to the directory and becomes the job. Standard error of all three is a pipe to the agent, and what is written there is
why nothing was run; the job's own waits at descriptor 3. The job gets 0, 1 and 2 only: the shell moves the pipe to a
descriptor that closes when the program starts, and a program that cannot be started ends in the trap (dash) or in the
line after it (bash with `execfail`). Root's stages must not see variables that the job was given, since some change
what a program loads, so these come as `DPL_name` and get their names back last. The stages have no
variables of their own that could stand in the way of the job's.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from deployer.protocol import codes
from deployer_agent.errors import RefusedError
from deployer_agent.processes.environment import DEFAULT_PATH

assert sys.platform != "win32"  # noqa: S101 (tells the type checker to leave this module out there)

SHELL: Final = "/bin/sh"
RUN: Final = "DEPLOYER_RUN"

_JOIN: Final = """trap 'echo "@LIMITS $?" >&2' EXIT; \
while [ "$1" != -- ]; do echo 0 >"$1" || exit; shift; done; shift; \
trap 'echo "@PRIVILEGES $?" >&2' EXIT; exec "$@" """
_ENTER: Final = """trap 'echo "@LIMITS $?" >&2' EXIT; \
while [ "$1" != -- ]; do echo 0 >"$1" || exit; shift; done; shift; umask "$1" || exit; shift; \
while [ "$1" != -- ]; do ulimit "$1" "$2" 2>/dev/null || { [ "$1" = -u ] && ulimit -p "$2"; } || exit; shift 2; \
done; shift; trap 'echo "@BAD_WORKDIR $?" >&2' EXIT; cd -P "$1" 2>/dev/null || cd -P "$2" || exit; shift 2; \
trap 'echo "@SPAWN_FAILED $?" >&2' EXIT; \
unset PWD OLDPWD SHLVL DEPLOYER_RUN; \
while [ "$1" != -- ]; do eval "export $1=\\"\\$DPL_$1\\"; unset DPL_$1" 2>/dev/null || exit; shift; done; \
shift; \
trap 'set -- $? "$1"; [ -f "$2" ] && [ -x "$2" ] && set -- 1; echo "@PROGRAM $1" >&2' EXIT; \
shopt -s execfail 2>/dev/null; { exec "$@"; } 2>&3 3>&-; exit"""

_ENV: Final = "/usr/bin/env"
_SHELLS_OWN: Final = re.compile(
    r"(_|OPT(IND|ARG|ERR)|P?PID|E?UID|IFS|LINENO|S?RANDOM|SECONDS|EPOCH\w+|SHELLOPTS|BASH\w*|FUNCNAME|DIRSTACK|GROUPS"
    r"|PIPESTATUS|HISTCMD|PS[0-9]|PWD|OLDPWD|SHLVL|ENV|POSIXLY_CORRECT)\Z",
    re.ASCII,
)
"""Variables that mean something to one or another shell, or cannot be set in it."""

_STAGE: Final = re.compile(r"^@([A-Z_]+) (\d+)$", re.MULTILINE)
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z", re.ASCII)
_STATUS: Final = {"127": codes.NOT_FOUND, "126": codes.NOT_EXECUTABLE}
_WHAT: Final = {
    codes.LIMITS: "its limits could not be set",
    codes.PRIVILEGES: "its user could not be set",
    codes.BAD_WORKDIR: "its working directory cannot be entered",
    codes.NOT_FOUND: "it does not exist, or its interpreter does not",
    codes.NOT_EXECUTABLE: "its user may not execute it",
}


def command(
    program: Sequence[str],
    *,
    directories: tuple[str, str],
    umask: int,
    ulimits: Sequence[str],
    groups: Sequence[str],
    drop: Sequence[str],
    environment: Mapping[str, str],
) -> list[str]:
    """Compose the whole command.

    `directories`: where to go, and where when that fails (the same: nowhere). `ulimits`: options and values. `groups`:
    the files through which cgroups are entered. `drop`: setpriv and its options, empty to stay who we are.
    `environment`: what the program gets; it comes to the stages as `hidden` says.
    """
    names = [name for name in environment if not _SHELLS_OWN.match(name)]
    program = [*_by_env(environment, program[0]), *program]
    enter = [f"{umask:04o}", *ulimits, "--", *directories, *names, "--", *program]
    if not drop:
        return [SHELL, "-c", _ENTER, SHELL, *groups, "--", *enter]
    inner = [*drop, SHELL, "-c", _ENTER, SHELL, "--", *enter]
    return [SHELL, "-c", _JOIN, SHELL, *groups, "--", *inner] if groups else inner


def _by_env(environment: Mapping[str, str], program: str) -> list[str]:
    """Let env(1) set what the shell cannot; these values can be seen in the list of processes for a moment."""
    pairs = [f"{name}={value}" for name, value in environment.items() if _SHELLS_OWN.match(name)]
    if pairs and "=" in program:
        raise RefusedError(codes.BAD_ARGUMENTS, f"{program} cannot be started with the variable {pairs[0]}")
    return [_ENV, *pairs] if pairs else []


def hidden(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the stages; RefusedError for a name that a shell cannot set."""
    for name in environment:
        if not _VARIABLE.match(name):
            raise RefusedError(codes.BAD_ARGUMENTS, f"{name!r} cannot be set: names have letters, digits, underscores")
    stages = {f"DPL_{name}": value for name, value in environment.items() if not _SHELLS_OWN.match(name)}
    return stages | {"PATH": DEFAULT_PATH, RUN: environment.get(RUN, "")}


def refusal(text: str, executable: str) -> RefusedError | None:
    """Read what the stages wrote: why nothing was run, None when they wrote nothing."""
    if not text.strip():
        return None
    stages = _STAGE.findall(text)
    code, status = stages[-1] if stages else (codes.PRIVILEGES, "")
    code = _STATUS.get(status, codes.SPAWN_FAILED) if code == "PROGRAM" else code
    said = " ".join(_STAGE.sub("", text).split())[:500]
    what = _WHAT.get(code, "the system did not let us")
    return RefusedError(code, f"{executable} was not started: {what}{': ' if said else ''}{said}")
