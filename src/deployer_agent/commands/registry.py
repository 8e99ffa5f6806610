"""The commands of this agent: one frozen table from name to handler; nothing is looked up by attribute (J6)."""

from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred

from deployer.protocol import codecs, codes
from deployer.protocol.commands import SignedCommand
from deployer.protocol.results import Result
from deployer_agent.errors import RefusedError
from deployer_agent.journal.records import Entry

Work = Callable[[Entry, Any], Coroutine[Deferred[Any], Any, Result]]


class Handler(Struct, frozen=True):
    """How one command is done.

    `control`: at once when it is in the journal, before all that waits to start. `harmless`: it changes nothing, so
    that its start need not be written down before its result.
    """

    arguments: type[Struct]
    work: Work
    control: bool = False
    harmless: bool = False


Table = Mapping[str, Handler]


class Task(Struct, eq=False):
    """A command that this agent has taken and not finished."""

    entry: Entry
    handler: Handler
    args: Struct
    killed: bool = False


def frozen(handlers: Mapping[str, Handler]) -> Table:
    """Make the table."""
    return MappingProxyType(dict(handlers))


def prepare(table: Table, entry: Entry) -> Task:
    """Find the handler and check the arguments; RefusedError says what is wrong."""
    command = entry.command
    handler = table.get(command.cmd)
    if handler is None:
        raise RefusedError(codes.UNKNOWN_COMMAND, f"this agent knows no command {command.cmd[:100]!r}")
    return Task(entry, handler, _arguments(handler, command))


def _arguments(handler: Handler, command: SignedCommand) -> Struct:
    try:
        return codecs.convert(handler.arguments, command.args)
    except (codecs.NotJson, codecs.Misfit) as error:
        raise RefusedError(codes.BAD_ARGUMENTS, f"arguments of {command.cmd}: {error}") from None
