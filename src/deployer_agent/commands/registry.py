"""The commands of this agent: one frozen table from name to handler; nothing is looked up by attribute (J6)."""

from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct
from twisted.internet.defer import Deferred

from deployer.protocol import codecs, codes
from deployer.protocol.results import Result
from deployer_agent.commands.interrupt import Interrupt
from deployer_agent.errors import RefusedError
from deployer_agent.journal.records import Entry, History

Read = Callable[[Raw], Any]
"""Arguments as they came into their record; codecs.NotJson or codecs.Misfit when they do not fit."""


class Handler(Struct, frozen=True):
    """How one command is done: None instead of a result says that the task goes on with the agent's next start.

    `control`: at once when it is in the journal, before all that waits to start. `harmless`: it changes nothing, so
    that its start need not be written down before its result. Any other takes its turn among what runs.
    `then`: called when the result is in the journal.
    """

    read: Read
    work: "Work"
    control: bool = False
    harmless: bool = False
    then: Callable[[], None] | None = None


Table = Mapping[str, Handler]


class Task(Struct, eq=False):
    """A command that this agent has taken and not finished."""

    entry: Entry
    handler: Handler
    args: Any
    history: History = History()
    interrupt: Interrupt = msgspec.field(default_factory=Interrupt)
    at_work: bool = False

    @property
    def id(self) -> str:
        """The task's id."""
        return self.entry.command.id

    @property
    def remembered(self) -> bool:
        """It outlives a restart of the agent."""
        return bool(getattr(self.args, "remembered", False))

    @property
    def queue(self) -> str:
        """The queue in which it stands; empty: none."""
        return str(getattr(self.args, "queue", ""))

    @property
    def priority(self) -> int:
        """Those with more have their turn before it."""
        priority = self.entry.command.priority
        return 0 if priority is UNSET else priority


Work = Callable[[Task], Coroutine[Deferred[Any], Any, Result | None]]


def frozen(handlers: Mapping[str, Handler]) -> Table:
    """Make the table."""
    return MappingProxyType(dict(handlers))


def of(kind: type[Struct]) -> Read:
    """Reads a record of this kind."""
    return lambda raw: codecs.convert(kind, raw)


def prepare(table: Table, entry: Entry, history: History = History()) -> Task:  # noqa: B008 (frozen)
    """Find the handler and check the arguments; RefusedError says what is wrong."""
    command = entry.command
    handler = table.get(command.cmd)
    if handler is None:
        raise RefusedError(codes.UNKNOWN_COMMAND, f"this agent knows no command {command.cmd[:100]!r}")
    try:
        args = handler.read(command.args)
    except (codecs.NotJson, codecs.Misfit) as error:
        raise RefusedError(codes.BAD_ARGUMENTS, f"arguments of {command.cmd}: {error}") from None
    return Task(entry, handler, args, history)
