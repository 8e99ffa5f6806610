"""Whose turn is it? At most so many tasks run at once, and those of one queue one after another. Pure."""

from collections import deque


class Turns:
    """Tasks wait here until they start: those with the highest priority first, else first come first served.

    Within a queue only the order of their coming counts. A task whose queue is busy does not hold up those behind it,
    and takes no place while it waits.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._ready: dict[int, deque[str]] = {}
        self._priority_of: dict[str, int] = {}
        self._queues: dict[str, deque[str]] = {}
        self._queue_of: dict[str, str] = {}
        self._gone: set[str] = set()
        self._active: set[str] = set()

    @property
    def waiting(self) -> int:
        """How many have not had their turn."""
        return (
            sum(map(len, self._ready.values())) - len(self._gone) + sum(len(line) - 1 for line in self._queues.values())
        )

    def join(self, id_: str, queue: str, priority: int = 0) -> None:
        """Stand in line; without a queue (the empty name) only priority and the number of places count."""
        self._priority_of[id_] = priority
        if not queue:
            self._put(id_)
            return
        self._queue_of[id_] = queue
        line = self._queues.setdefault(queue, deque())
        line.append(id_)
        if len(line) == 1:
            self._put(id_)

    def hold(self, id_: str, queue: str) -> None:
        """Take a turn at once, whatever the number of places: what was running before the agent's restart."""
        self._active.add(id_)
        if queue:
            self._queue_of[id_] = queue
            self._queues.setdefault(queue, deque()).appendleft(id_)

    def take(self) -> list[str]:
        """Those whose turn it is now, in order; each has its place until `leave`."""
        taken: list[str] = []
        while len(self._active) < self._most and (id_ := self._next()) is not None:
            if id_ in self._gone:
                self._gone.discard(id_)
                continue
            self._active.add(id_)
            taken.append(id_)
        return taken

    def _put(self, id_: str) -> None:
        self._ready.setdefault(self._priority_of.get(id_, 0), deque()).append(id_)

    def _next(self) -> str | None:
        """The first of the highest priority."""
        if not self._ready:
            return None
        highest = max(self._ready)
        id_ = self._ready[highest].popleft()
        if not self._ready[highest]:
            del self._ready[highest]
        return id_

    def leave(self, id_: str) -> None:
        """It has ended, or waits no longer; whoever is next in its queue may have a turn."""
        was_active = id_ in self._active
        self._active.discard(id_)
        waits = id_ in self._ready.get(self._priority_of.pop(id_, 0), ())
        queue = self._queue_of.pop(id_, "")
        if not queue:
            if not was_active and waits:
                self._gone.add(id_)
            return
        self._leave_queue(id_, queue, was_active=was_active)

    def _leave_queue(self, id_: str, queue: str, *, was_active: bool) -> None:
        line = self._queues[queue]
        was_first = line[0] == id_
        line.remove(id_)
        if was_first and not was_active:
            self._gone.add(id_)
        if not line:
            del self._queues[queue]
        elif was_first and line[0] not in self._active:
            self._put(line[0])
