"""Messages of several jobs as one stream: by time what there is already, then as they come."""

import heapq
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, Queue
from typing import Final

from deployer.client.client import Client
from deployer.client.errors import ClientError
from deployer.client.records import Dropped, Ended, Message

SETTLE_S: Final = 0.2
"""What comes within this time is put in order."""

MOST_WAITING: Final = 10_000
MOST_FOLLOWED: Final = 50
"""Each takes a thread and a connection."""

LEAST_SHOWN: Final = 4


@dataclass(frozen=True, slots=True)
class Said:
    """A message of one of the jobs."""

    job: str
    item: Message | Dropped

    @property
    def epoch(self) -> float:
        """When, ms; 0 for what has no time."""
        return 0 if isinstance(self.item, Dropped) else float(self.item.document.get("epoch") or 0)


def merged(client: Client, ids: Sequence[str]) -> Iterator[Said]:
    """What there is, by time; messages of one job stay in their order."""
    return heapq.merge(*(_told(client, one) for one in ids), key=lambda said: said.epoch)


def _told(client: Client, job: str) -> Iterator[Said]:
    for item in client.log(job):
        yield Said(job, item)


def followed(make: Callable[[], Client], ids: Sequence[str]) -> Iterator[Said]:
    """What there is and what comes, until all jobs have ended; a thread and a client each. ClientError of the first."""
    queue: Queue[Said | ClientError | None] = Queue(MOST_WAITING)
    clients = [make() for _ in ids]
    for client, job in zip(clients, ids, strict=True):
        threading.Thread(target=_follow, args=(client, job, queue), daemon=True).start()
    running = len(ids)
    while running:
        batch, error = _batch(queue)
        running -= batch.count(None)
        yield from sorted((said for said in batch if said is not None), key=lambda said: said.epoch)
        if error is not None:
            raise error


def _follow(client: Client, job: str, queue: "Queue[Said | ClientError | None]") -> None:
    end: ClientError | None = None
    try:
        for event in client.follow(job):
            if not isinstance(event, Ended):
                queue.put(Said(job, event))
    except ClientError as error:
        end = error
    client.close()
    queue.put(end)


def _batch(queue: "Queue[Said | ClientError | None]") -> tuple[list[Said | None], ClientError | None]:
    """What comes together: at least one."""
    found: list[Said | None] = []
    end: float | None = None
    while len(found) < MOST_WAITING:
        try:
            one = queue.get(timeout=None if end is None else max(end - time.monotonic(), 0.0))
        except Empty:
            break
        if isinstance(one, ClientError):
            return found, one
        found.append(one)
        end = end or time.monotonic() + SETTLE_S
    return found, None


def short_ids(ids: Sequence[str]) -> dict[str, str]:
    """The ends of ids, as long as it takes to tell them apart: ids made together begin alike. Pure."""
    for length in range(LEAST_SHOWN, max(map(len, ids), default=0)):
        if len({one[-length:] for one in ids}) == len(set(ids)):
            return {one: one[-length:] for one in ids}
    return {one: one for one in ids}
