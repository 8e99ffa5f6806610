"""Waiting for a job: what it puts out as it comes, whom it waits for, and no longer than is wanted."""

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from queue import Empty, Queue
from typing import Final

from deployer.cli.fold import by_number, fold
from deployer.client.client import Client
from deployer.client.errors import ClientError
from deployer.client.records import Dropped, Ended, Message, Task

LOOK_S: Final = 1.0
PATIENCE_S: Final = 10.0
"""So long nothing is said of whom a job waits for."""

MOST_TASKS: Final = 1000
MOST_LINES: Final = 5
MOST_WAITING: Final = 10_000
_WAITING: Final = frozenset({"BLOCKED", "QUEUED", "SENT"})

Event = Message | Dropped | Ended


class Overdue(Exception):  # noqa: N818 (it says what it is)
    """The job was not over in the time that was wanted."""


class Vigil:
    """One job that is waited for, for at most `timeout_s` seconds by `clock`."""

    def __init__(
        self,
        client: Client,
        job_id: str,
        timeout_s: float | None = None,
        *,
        silent: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._job_id = job_id
        self._clock = clock
        self._end = math.inf if timeout_s is None else clock() + timeout_s
        self._look = math.inf if silent else clock() + PATIENCE_S

    def news(self) -> list[str]:
        """Once, when it takes long: whom it waits for. Overdue."""
        now = self._clock()
        if now >= self._end:
            raise Overdue
        if now < self._look:
            return []
        try:
            found = waited_for(list(islice(self._client.tasks(self._job_id), MOST_TASKS)))
        except ClientError:
            found = []  # who waits for the job will hear of it
        self._look = math.inf if found else now + PATIENCE_S
        return found


def waited_for(tasks: Sequence[Task]) -> list[str]:
    """Those that have not begun, by why that is; without those of which it is not known. Pure."""
    reasons: dict[str, list[str]] = {}
    for task in tasks:
        if task.state in _WAITING and task.reason:
            reasons.setdefault(task.reason, []).append(task.agent_id if task.document.get("agent") else "")
    lines = [_line(reason, sorted({*filter(None, agents)}, key=by_number)) for reason, agents in reasons.items()]
    left = len(lines) - MOST_LINES
    return [*lines[:MOST_LINES], *([f"waits for more, for {left} other reasons"] if left > 0 else [])]


def _line(reason: str, agents: Sequence[str]) -> str:
    if not agents:
        return reason
    return f"{fold(agents)}: {reason}" if reason.startswith("waits") else f"waits for {fold(agents)}: {reason}"


def followed(client: Client, job_id: str, idle: Callable[[], None]) -> Iterator[Event]:
    """What a job puts out, as a thread reads it from a client that nobody else uses; `idle` is called all the time."""
    queue: Queue[Event | ClientError | None] = Queue(MOST_WAITING)
    threading.Thread(target=_read, args=(client, job_id, queue), daemon=True).start()
    while True:
        idle()
        try:
            one = queue.get(timeout=LOOK_S)
        except Empty:
            continue
        if one is None:
            return
        if isinstance(one, ClientError):
            raise one
        yield one


def _read(client: Client, job_id: str, queue: "Queue[Event | ClientError | None]") -> None:
    end: ClientError | None = ClientError(f"the log of {job_id} could not be read")
    try:
        for event in client.follow(job_id):
            queue.put(event)
        end = None
    except ClientError as error:
        end = error
    finally:
        client.close()
        queue.put(end)
