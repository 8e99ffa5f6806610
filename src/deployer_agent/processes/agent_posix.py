"""The agent's own process: what it has to be so that its children are what they should be. Called once, at start."""

import ctypes
import os
import pwd
import resource
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

assert sys.platform != "win32"  # noqa: S101 (tells the type checker to leave this module out there)

_PR_SET_CHILD_SUBREAPER: Final = 36


def become_subreaper() -> bool:
    """Let orphans among our descendants become our children; False where the system does not offer that."""
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def seal_descriptors() -> None:
    """Let no child inherit what the agent itself was given beside 0, 1, 2; these exist from here on."""
    null = os.open(os.devnull, os.O_RDWR)
    while null <= 2:  # noqa: PLR2004 (stdin, stdout, stderr)
        null = os.open(os.devnull, os.O_RDWR)
    os.close(null)
    for name in os.listdir("/proc/self/fd" if sys.platform == "linux" else "/dev/fd"):  # noqa: PTH208 (names are all we need)
        if int(name) > 2:  # noqa: PLR2004 (as above)
            with suppress(OSError):  # the listing's own
                os.set_inheritable(int(name), False)


def no_core_dumps() -> None:
    """Let neither us, who have keys in memory, nor what we start leave core files."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def user_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the agent's environment, with what the user database knows where a service manager left it out."""
    try:
        user = pwd.getpwuid(os.geteuid())
    except KeyError:
        return dict(environ)
    known = {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name, "SHELL": user.pw_shell}
    return known | dict(environ)


def own_umask() -> int:
    """Return our umask, which can only be read by setting it."""
    umask = os.umask(0o077)
    os.umask(umask)
    return umask
