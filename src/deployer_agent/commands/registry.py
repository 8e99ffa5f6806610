"""The commands of this agent: one frozen table, name to handler. Nothing is looked up by attribute (J6)."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec
from msgspec import Struct

from deployer.protocol import codes, levels
from deployer.protocol.codecs import Misfit, NotJson, convert
from deployer.protocol.commands import ExecuteArgs, KillArgs, NoArgs, SignedCommand
from deployer.protocol.results import Result
from deployer_agent.errors import RefusedError

PONG: Final = '"pong"'


class Request(Struct, frozen=True):
    """One command that is to be carried out now."""

    command: SignedCommand
    args: Any
    data: str


class Handlers(Struct, frozen=True):
    """What commands do beyond a plain answer, given by assembly. `kill(task)` tells whether it is known here."""

    execute: Callable[[Request], None]
    kill: Callable[[str], bool]


class Entry(Struct, frozen=True):
    """A command: its arguments, and its handler. `answer`: it has no side effect and its result is there at once."""

    args: type[Struct]
    answer: Callable[[Request], Result] | None


def ping(request: Request) -> Result:
    """`ping`: the agent answers."""
    return Result(id=request.command.id, run=request.command.run, state="OK", data=PONG, level=levels.RESULT_JSON)


TABLE: Final[Mapping[str, Entry]] = MappingProxyType(
    {
        "execute": Entry(ExecuteArgs, None),
        "kill": Entry(KillArgs, None),
        "ping": Entry(NoArgs, ping),
    }
)


def request(command: SignedCommand, data: str) -> Request:
    """Check a command's name and arguments; RefusedError when it cannot be carried out."""
    entry = TABLE.get(command.cmd)
    if entry is None:
        raise RefusedError(codes.UNKNOWN_COMMAND, f"this agent has no command {command.cmd[:64]!r}")
    try:
        return Request(command, convert(entry.args, command.args), data)
    except (Misfit, NotJson, msgspec.DecodeError) as error:
        raise RefusedError(codes.BAD_ARGUMENTS, f"arguments of {command.cmd}: {error}") from None
