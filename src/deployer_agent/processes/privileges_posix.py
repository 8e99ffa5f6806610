"""As whom a job runs: names and numbers of the user database, and the command that gives up everything else."""

import grp
import os
import pwd
import sys
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from deployer.protocol import codes
from deployer_agent.errors import RefusedError

assert sys.platform != "win32"  # noqa: S101 (tells the type checker to leave this module out there)

SETPRIV: Final = "/usr/bin/setpriv"
"""The program of util-linux that gives up privileges."""


class Identity(Struct, frozen=True, kw_only=True):
    """A user with all groups, as the kernel wants them, and what the environment says of the user."""

    uid: int
    gid: int
    groups: Sequence[int]
    name: str
    home: str
    shell: str

    @property
    def environment(self) -> dict[str, str]:
        """HOME and the like."""
        shell = self.shell or "/bin/sh"
        return {"HOME": self.home, "USER": self.name, "LOGNAME": self.name, "SHELL": shell}


def identity(user: str | None, group: str | None, own: int) -> Identity:
    """Look up a user (None: of the number `own`) and a group (None: the user's own); RefusedError NO_SUCH_USER."""
    entry = _user(str(own) if user is None else user)
    gid = entry.pw_gid if group is None else _group(group)
    return Identity(
        uid=entry.pw_uid,
        gid=gid,
        groups=sorted({gid, *os.getgrouplist(entry.pw_name, entry.pw_gid)}),
        name=entry.pw_name,
        home=entry.pw_dir,
        shell=entry.pw_shell,
    )


def uid_of(user: str) -> int:
    """Return a user's number; RefusedError NO_SUCH_USER."""
    return _user(user).pw_uid


def drop(target: Identity, setpriv: str) -> list[str]:
    """Return the command in front of another one that makes it run as the target, with no way back."""
    groups = ",".join(map(str, target.groups))
    return [
        setpriv,
        f"--reuid={target.uid}",
        f"--regid={target.gid}",
        f"--groups={groups}",
        "--inh-caps=-all",
        "--no-new-privs",
        "--",
    ]


def _user(user: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except (KeyError, OverflowError, ValueError):
        raise RefusedError(codes.NO_SUCH_USER, f"this host has no user {user!r}") from None


def _group(group: str) -> int:
    try:
        return (grp.getgrgid(int(group)) if group.isdecimal() else grp.getgrnam(group)).gr_gid
    except (KeyError, OverflowError, ValueError):
        raise RefusedError(codes.NO_SUCH_USER, f"this host has no group {group!r}") from None
