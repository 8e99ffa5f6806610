"""Signals by name, with or without `SIG` in front, as kill(1) takes them. Numbers are the agent's system's."""

from typing import Annotated, Final

from msgspec import Meta

NAMES: Final = [
    "HUP",
    "INT",
    "QUIT",
    "ABRT",
    "KILL",
    "USR1",
    "USR2",
    "ALRM",
    "TERM",
    "CONT",
    "STOP",
    "TSTP",
    "TTIN",
    "TTOU",
    "WINCH",
    "PIPE",
    "URG",
    "IO",
    "PWR",
    "SYS",
    "TRAP",
    "VTALRM",
    "PROF",
]

ENDING: Final = frozenset({"TERM", "INT", "QUIT", "ABRT", "KILL"})
"""Who sends one of these wants the process to end."""

SignalName = Annotated[str, Meta(pattern=rf"^(SIG)?({'|'.join(NAMES)})\Z")]


def plain(name: str) -> str:
    """The name without `SIG`."""
    return name.removeprefix("SIG")
