"""The client of programs beside the master's Redis (seed 001): commands are pushed into it, results waited for in it.

    client = RedisClient("/var/lib/deployer-master")          # or redis://…, rediss://…, unix:/…
    command = client.execute(1, 1, "execute", {"cmd": "/bin/echo", "args": ["20::[1, 2]"]})
    print(command.result(30).value)                           # [1, 2]
    for done in client.as_completed(client.execute_many([(1, 1), (1, 2)], "ping"), 30): ...

`RPUSH cmds_queue <command>`; the result comes into the list `cmds_queue_<id>`. It is looked at first and taken away
when it is here, so that a lost connection loses no result; a command that was pushed twice with one id is one command.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deployer.client.errors import ClientError, Unreachable
from deployer.client.records import Document
from deployer.client.redisconnection import Connection, Where, Word
from deployer.client.requests import end_of, new_id
from deployer.client.transport import pause
from deployer.kit.backoff import Backoff

SLICE_S: Final = 10.0
"""So long Redis is asked to wait at once."""

PUSHED_AT_ONCE: Final = 1000
QUICK_S, SLOW_S = 0.02, 0.5
JSON: Final = 20


class TimedOut(ClientError):  # noqa: N818 (it says what it is)
    """No result came in time; the command goes on."""


class CommandFailed(ClientError):  # noqa: N818 (it says what it is)
    """The command ended otherwise than OK; `result` says how."""

    def __init__(self, result: "Result") -> None:
        why = " ".join(filter(None, [result.code, result.reason and f"({result.reason})"]))
        super().__init__(f"{result.cmd} {result.id} on {result.gid}:{result.nid}: {result.state} {why}".strip())
        self.result = result


@dataclass(frozen=True, slots=True)
class Result:
    """What a command returned: seed 001's result. `time`: ms it took; `starttime`: epoch ms, 0 if it never started."""

    id: str
    gid: int
    nid: int
    cmd: str
    state: str
    data: str
    level: int
    time: int
    starttime: int
    code: str | None
    reason: str | None
    exit_status: int | None
    document: Document

    @classmethod
    def read(cls, document: Document) -> "Result":
        """From JSON."""
        texts = [str(document.get(name) or "") for name in ("id", "cmd", "state", "data")]
        gid, nid, level, took, begun = (int(document.get(n) or 0) for n in ("gid", "nid", "level", "time", "starttime"))
        identity, cmd, state, data = texts
        code, reason, status = (document.get(name) for name in ("code", "reason", "exit_status"))
        return cls(identity, gid, nid, cmd, state, data, level, took, begun, code, reason, status, document)

    @property
    def value(self) -> Any:
        """What `data` says: of level 20 the parsed JSON, ClientError when it is none; else the text."""
        if self.level != JSON or not self.data:
            return self.data
        try:
            return json.loads(self.data)
        except ValueError as error:
            raise ClientError(f"the result of {self.id} is no JSON: {self.data[:80]!r}") from error


@dataclass(frozen=True, slots=True)
class Page:
    """Messages that an agent keeps; `next` is the `cursor` of the following page, None at the end."""

    items: Sequence[Document]
    next: str | None


class Command:
    """A command that was pushed. Its result is fetched once and then kept."""

    def __init__(self, client: "RedisClient", id_: str) -> None:
        self.id = id_
        self._client = client
        self._result: Result | None = None

    def wait(self, timeout_s: float | None = None) -> Result:
        """The result, however it ended; of a command that goes on that of its first run. TimedOut, Unreachable."""
        if self._result is None:
            self._result = self._client.pop(self.id, timeout_s)
        return self._result

    def result(self, timeout_s: float | None = None) -> Result:
        """The result of a command that ended OK; else CommandFailed. TimedOut, Unreachable."""
        result = self.wait(timeout_s)
        if result.state != "OK":
            raise CommandFailed(result)
        return result

    def runs(self, timeout_s: float | None = None) -> Iterator[Result]:
        """The results of one run after the other; TimedOut when none comes for so long."""
        while True:
            yield self._client.pop(self.id, timeout_s)

    def keep(self, result: Result) -> None:
        """It has come by another way."""
        self._result = result

    @property
    def done(self) -> bool:
        """Whether its result is here."""
        return self._result is not None


class RedisClient:
    """One Redis, into which the commands of one company go: the default one, or the one with the id `company`.

    It has one connection: use one in each thread.
    """

    def __init__(
        self,
        address: str | Path,
        *,
        ca_file: str | None = None,
        company: str | None = None,
        timeout_s: float = 10.0,
        patience_s: float = 5.0,
        pause: Callable[[float], None] = pause,
    ) -> None:
        where = Where.read(address)
        self._connection = Connection(where, ca_file=ca_file, timeout_s=timeout_s, patience_s=patience_s, pause=pause)
        self._queue = "cmds_queue" if company is None else f"c:{company}:cmds_queue"
        self._pause = pause

    def close(self) -> None:
        """Drop the connection."""
        self._connection.close()

    def execute(
        self,
        gid: int,
        nid: int,
        cmd: str,
        args: Mapping[str, Any] | None = None,
        data: Any = "",
        *,
        id_: str | None = None,
    ) -> Command:
        """Push a command for one agent. `data`: a text, or what is sent as JSON. The same id again is not run twice."""
        return self._push([_entry((gid, nid), cmd, args, data, id_)])[0]

    def execute_many(
        self, nodes: Iterable[tuple[int, int]], cmd: str, args: Mapping[str, Any] | None = None, data: Any = ""
    ) -> list[Command]:
        """Push a command for each of these agents (`gid`, `nid`); the commands in their order."""
        return self._push([_entry(node, cmd, args, data, None) for node in nodes])

    def command(self, id_: str) -> Command:
        """A command that was pushed earlier, or by another program."""
        return Command(self, id_)

    def as_completed(self, commands: Iterable[Command], timeout_s: float | None = None) -> Iterator[Command]:
        """The commands as their results come; TimedOut when some have none after `timeout_s`."""
        end = end_of(timeout_s, time.monotonic())
        left = {command.id: command for command in commands}
        pauses = Backoff(QUICK_S, SLOW_S, uniform=lambda _, bound: bound)
        while left:
            found = [command for command in left.values() if command.done] or self._look(list(left.values()))
            for command in found:
                del left[command.id]
                yield command
            if found:
                pauses.reset()
            elif time.monotonic() >= end:
                raise TimedOut(f"{len(left)} commands have no result after {timeout_s:g} s, as {next(iter(left))}")
            else:
                self._pause(max(min(pauses.next_delay(), end - time.monotonic()), 0.0))

    def gather(self, commands: Sequence[Command], timeout_s: float | None = None) -> list[Result]:
        """The results in the order of the commands; TimedOut when some have none after `timeout_s`."""
        for _ in self.as_completed(commands, timeout_s):
            pass
        return [command.wait(0) for command in commands]

    def get_msgs(self, gid: int, nid: int, *, timeout_s: float | None = 30.0, **asked: Any) -> Page:
        """A page of the messages that an agent keeps, the newest first: `jobid`, `timefrom`, `timeto`, `levels`, ….

        What is left out is any. CommandFailed, TimedOut.
        """
        page = self.execute(gid, nid, "get_msgs", asked).result(timeout_s).value
        return Page(page["items"], page["next"])

    def pop(self, id_: str, timeout_s: float | None) -> Result:
        """Wait for the next result of a command and take it; TimedOut."""
        key, end = self._key(id_), end_of(timeout_s, time.monotonic())
        while True:
            raw = self._head(key, max(end - time.monotonic(), 0.0))
            if raw is not None:
                self._connection.ask("LREM", key, 1, raw)
                return _result(id_, raw)
            if time.monotonic() >= end:
                raise TimedOut(f"the command {id_} has no result after {timeout_s:g} s")

    def _head(self, key: str, left_s: float) -> bytes | None:
        """The first result, which stays there; a Redis that was there before may be away meanwhile."""
        wait_s = round(min(SLICE_S, left_s), 3)
        look: tuple[Word, ...] = ("BLMOVE", key, key, "LEFT", "LEFT", wait_s) if wait_s else ("LINDEX", key, 0)
        try:
            found: bytes | None = self._connection.ask(*look, wait_s=wait_s, most_s=left_s)
        except Unreachable:
            if not (wait_s and self._connection.was_there):
                raise
            return None
        return found

    def _look(self, commands: Sequence[Command]) -> list[Command]:
        """Those whose result has come, which is taken."""
        found = []
        for begin in range(0, len(commands), PUSHED_AT_ONCE):
            some = commands[begin : begin + PUSHED_AT_ONCE]
            heads = self._connection.ask_all([("LINDEX", self._key(one.id), 0) for one in some])
            come = [(one, raw) for one, raw in zip(some, heads, strict=True) if raw is not None]
            if come:
                self._connection.ask_all([("LREM", self._key(one.id), 1, raw) for one, raw in come])
            for one, raw in come:
                one.keep(_result(one.id, raw))
                found.append(one)
        return found

    def _push(self, entries: Sequence[Document]) -> list[Command]:
        for begin in range(0, len(entries), PUSHED_AT_ONCE):
            some = entries[begin : begin + PUSHED_AT_ONCE]
            self._connection.ask("RPUSH", self._queue, *(json.dumps(entry, ensure_ascii=False) for entry in some))
        return [Command(self, entry["id"]) for entry in entries]

    def _key(self, id_: str) -> str:
        return f"{self._queue}_{id_}"


def _entry(node: tuple[int, int], cmd: str, args: Mapping[str, Any] | None, data: Any, id_: str | None) -> Document:
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    gid, nid = node
    return {"id": id_ or new_id(), "gid": gid, "nid": nid, "cmd": cmd, "args": dict(args or {}), "data": text}


def _result(id_: str, raw: bytes) -> Result:
    try:
        return Result.read(json.loads(raw))
    except (ValueError, AttributeError, TypeError) as error:
        raise ClientError(f"what is in the place of the result of {id_} is none: {raw[:80]!r}") from error
