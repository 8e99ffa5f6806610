"""The public contract of seed 001: `RPUSH cmds_queue <command>`, and the result comes into `cmds_queue_<id>`.

An entry stays in the queue until it is a job, so that a master may die at any time: another one takes it again, and
SUBMIT knows it by its id. One master at a time does this, which saves work and is not needed for safety. What cannot
become a job and has an id is answered with a result of state ERROR; what has none is set aside in `cmds_queue:bad`.
"""

import contextlib
import secrets
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw, Struct
from twisted.logger import Logger

from deployer.errors import DeployerError, InvalidError, NoSpaceError, QueueFullError, UnavailableError
from deployer.protocol import codes
from deployer.protocol.codecs import Misfit, NotJson, decode
from deployer.protocol.ids import GridId, JobId, NodeId
from deployer.stores.commandqueue import CommandQueue

TOGETHER: Final = 100
LOOK_S: Final = 1.0
"""So long a command of another than the default company may lie here."""

LEVELS: Final = "2-9,20-23,30"
"""What is sent to the master of a command that comes this way and does not say (DESIGN 4)."""

MAX_ENTRY_BYTES: Final = 1024 * 1024
_SAID: Final = {"execute", "execute_js_py", "execute_js_lua"}


class QueuedCommand(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entry of the queue: seed 001's command."""

    id: JobId
    gid: GridId
    nid: NodeId
    cmd: Annotated[str, Meta(max_length=128)]
    args: Raw = Raw(b"{}")
    data: str = ""


class Named(Struct, frozen=True):
    """What of a bad entry is enough to answer it."""

    id: JobId


Submit = Callable[[str, QueuedCommand], Awaitable[None]]
"""Make it a job of this company, or raise a DeployerError."""


class CommandMover:
    """Takes what comes into the queues of all companies. Counts what it could not use."""

    log = Logger()

    def __init__(self, queue: CommandQueue, companies: Callable[[], Awaitable[list[str]]], submit: Submit) -> None:
        self._queue = queue
        self._companies = companies
        self._submit = submit
        self._owner = secrets.token_hex(8)
        self.moved = 0
        self.refused = 0
        self.set_aside = 0

    async def round(self) -> bool:
        """Take what there is; False when there is a reason to wait."""
        if not await self._queue.is_mine(self._owner):
            return False
        await self._queue.wait(LOOK_S)
        taken = [await self._take(company) for company in await self._companies()]
        return all(taken)

    async def _take(self, company: str) -> bool:
        """False when the queues behind it are full: all stays where it is."""
        for entry in await self._queue.first(company, TOGETHER):
            try:
                await self._move(company, entry)
            except QueueFullError:
                return False
            self.moved += 1
        return True

    async def _move(self, company: str, entry: bytes) -> None:
        try:
            command = _read(entry)
            await self._submit(company, _with_levels(command))
        except (QueueFullError, UnavailableError, NoSpaceError):
            raise
        except (DeployerError, NotJson, Misfit) as error:
            pointer = error.pointer if isinstance(error, InvalidError) else ""
            await self._refuse(company, entry, f"{pointer}: {error}" if pointer else str(error))
        else:
            await self._queue.done(company, entry)

    async def _refuse(self, company: str, entry: bytes, reason: str) -> None:
        named = _named(entry)
        self.log.warn("audit: an entry of cmds_queue is refused: {reason}", reason=reason[:300], company=company)
        if named is None:
            self.set_aside += 1
            await self._queue.set_aside(company, entry, reason)
            return
        self.refused += 1
        await self._queue.answer(company, entry, named, _answer(named, entry, reason))


def _read(entry: bytes) -> QueuedCommand:
    if len(entry) > MAX_ENTRY_BYTES:
        raise InvalidError("", f"longer than {MAX_ENTRY_BYTES} bytes")
    return decode(QueuedCommand, entry)


def _with_levels(command: QueuedCommand) -> QueuedCommand:
    if command.cmd not in _SAID:
        return command
    with contextlib.suppress(msgspec.DecodeError):
        args = msgspec.json.decode(command.args, type=dict[str, Raw])
        args.setdefault("loglevels_ac", Raw(msgspec.json.encode(LEVELS)))
        return msgspec.structs.replace(command, args=Raw(msgspec.json.encode(args)))
    return command


def _named(entry: bytes) -> str | None:
    with contextlib.suppress(NotJson, Misfit):
        return decode(Named, entry[:MAX_ENTRY_BYTES]).id
    return None


def _answer(id_: str, entry: bytes, reason: str) -> bytes:
    """The result of what never became a job, as far as its form was understood."""
    given: dict[str, Any] = {"gid": 0, "nid": 0, "cmd": "", "args": {}}
    with contextlib.suppress(msgspec.DecodeError):
        read = msgspec.json.decode(entry)
        given = {name: read.get(name, usual) for name, usual in given.items()} if isinstance(read, dict) else given
    return msgspec.json.encode(
        {
            "id": id_,
            **given,
            "state": "ERROR",
            "code": codes.BAD_ARGUMENTS,
            "reason": reason[:2000],
            "data": "",
            "level": 0,
            "time": 0,
            "starttime": 0,
        }
    )
