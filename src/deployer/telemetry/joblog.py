"""A job's log: the part of a stream between two entries, of one job, read page by page or followed to its end."""

from collections.abc import AsyncIterator
from typing import Final

import msgspec
from msgspec import Struct

from deployer.kit.wake import LOOK_AGAIN_S, Hub
from deployer.model.jobs import job_state
from deployer.protocol.messages import StoredMessage
from deployer.protocol.states import FINAL
from deployer.stores import keys
from deployer.stores.jobs import JobRecord, Jobs
from deployer.stores.logs import LogEntry, Logs

ENTRIES_A_READ: Final = 8
LONGEST_NUMBER: Final = 19
"""Digits of a number in a place: Redis has 64 bits for each."""


class Position(Struct, frozen=True, order=True):
    """A message's place in a stream: the entry's two numbers and the index in it. Written `<ms>-<n>.<index>`."""

    ms: int
    number: int
    index: int

    def __str__(self) -> str:
        """The form of cursors and of SSE ids."""
        return f"{self.ms}-{self.number}.{self.index}"

    @property
    def entry(self) -> str:
        """The entry's id in Redis."""
        return f"{self.ms}-{self.number}"

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Read what `str()` wrote; ValueError for anything else."""
        entry, _, index = text.partition(".")
        ms, _, number = entry.partition("-")
        if not all(part.isascii() and part.isdigit() and len(part) <= LONGEST_NUMBER for part in (ms, number, index)):
            raise ValueError(f"{text[:40]!r} is no place in a log")
        return cls(int(ms), int(number), int(index))


START: Final = Position(0, 0, -1)


class Line(Struct, frozen=True):
    """One message of a job's log with its place."""

    at: Position
    message: StoredMessage


class Batch(Struct, frozen=True):
    """Some lines, in order; `job` is there when the log has ended with them."""

    lines: list[Line]
    job: JobRecord | None


class JobLogs:
    """Reads and follows the logs of jobs, on any master, from any place."""

    def __init__(self, jobs: Jobs, logs: Logs, hub: Hub) -> None:
        self._jobs = jobs
        self._logs = logs
        self._hub = hub

    async def page(self, company: str, job_id: str, after: Position, count: int) -> list[Line]:
        """Up to `count` lines after a place, oldest first."""
        record = await self._jobs.job(company, job_id)
        lines: list[Line] = []
        while len(lines) < count and (read := await self._read(record, after)) is not None:
            found, after = read
            lines += found
        return lines[:count]

    async def follow(self, company: str, job_id: str, after: Position) -> AsyncIterator[Batch]:
        """All lines after a place as they come, an empty batch every 15 s of silence, at last the final job.

        A task's messages are stored before its result, so the log of a final job is complete.
        """
        with self._hub.waiter((keys.LOGGED, job_id), (keys.DONE, job_id)) as waiter:
            while True:
                waiter.seen()
                record = await self._jobs.job(company, job_id)
                while (read := await self._read(record, after)) is not None:
                    lines, after = read
                    yield Batch(lines, None)
                if job_state(record.counts) in FINAL:
                    yield Batch([], record)
                    return
                if self._hub.closed:  # whoever reads goes on elsewhere, from the last place
                    return
                if not await waiter.wait(LOOK_AGAIN_S):
                    yield Batch([], None)

    async def _read(self, record: JobRecord, after: Position) -> tuple[list[Line], Position] | None:
        """The job's lines in the next few entries, and the place behind them; None at the end of what is there."""
        last = Position.parse(f"{record.log_last}.0") if record.log_stream else START
        if record.log_stream is None or (after.ms, after.number) > (last.ms, last.number):
            return None
        first = max(after, Position.parse(f"{record.log_first}.0"))
        entries = await self._logs.entries(record.log_stream, first.entry, record.log_last, ENTRIES_A_READ)
        if not entries:
            return None
        lines = [line for entry in entries for line in _lines(entry, record.document.id) if line.at > after]
        end = Position.parse(f"{entries[-1].id}.0")
        return lines, Position(end.ms, end.number + 1, -1)


_messages = msgspec.json.Decoder(list[StoredMessage]).decode


def _lines(entry: LogEntry, job_id: str) -> list[Line]:
    start = Position.parse(f"{entry.id}.0")
    try:
        messages = _messages(entry.messages)
    except (ValueError, RecursionError):  # the stream's name is public: somebody else may have written this
        return []
    of_batch = f"{job_id}:"
    return [
        Line(Position(start.ms, start.number, index), message)
        for index, message in zip(entry.places or range(len(messages)), messages, strict=False)
        if message.task == job_id or message.task.startswith(of_batch)
    ]
