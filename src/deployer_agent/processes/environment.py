"""What a child sees of the agent's surroundings. Pure: the agent's own environment is an argument."""

import re
from collections.abc import Mapping
from typing import Final

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ALLOWED: Final = frozenset({"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TERM"})
_LOCALE: Final = re.compile(r"LC_[A-Z_]+\Z")
_PLACEHOLDER: Final = re.compile(r"\$(agentroot|root|tmp)(?![A-Za-z0-9_])")
_NOBODY: Final[Mapping[str, str]] = {}


def child_environment(
    base: Mapping[str, str], job: Mapping[str, str], own: Mapping[str, str], user: Mapping[str, str] = _NOBODY
) -> dict[str, str]:
    """Make the environment: the allow-list of `base`, then what differs for another `user`, the job's, our own.

    What comes later wins. `user` has HOME, USER, LOGNAME and SHELL when the job does not run as the agent's user.
    """
    allowed = {name: value for name, value in base.items() if name in _ALLOWED or _LOCALE.match(name)}
    return {"PATH": DEFAULT_PATH} | allowed | dict(user) | dict(job) | dict(own)


def fill(text: str, values: Mapping[str, str]) -> str:
    """Replace `$agentroot`, `$root`, `$tmp`, once: what a value brings in is not looked at again (J5)."""
    return _PLACEHOLDER.sub(lambda match: values[match[1]], text)
