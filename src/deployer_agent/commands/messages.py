"""`get_msgs` and `del_msgs`: what was said on this host, found again and removed (seed 001)."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct
from twisted.logger import Logger

from deployer.kit.clock import WallClock, epoch_ms
from deployer.kit.threads import Threads
from deployer.protocol import getmsgs, levels
from deployer.protocol.getmsgs import FilterArgs, GetMsgsArgs
from deployer.protocol.results import Result
from deployer_agent.commands.registry import Handler, Task, of
from deployer_agent.messages import query
from deployer_agent.messages.query import Filter
from deployer_agent.messages.store import MessageStore

LARGEST: Final = 2**63 - 1

_encode = msgspec.json.Encoder().encode


class Item(Struct, frozen=True):
    """One message as seed 001 has it, and its flags."""

    id: int
    jobid: str
    domain: str
    name: str
    epoch: int
    level: int
    data: str
    flags: int


class Answer(Struct, frozen=True, omit_defaults=True):
    """A page. `skipped`: files of the store that are damaged and were passed over."""

    items: list[Item]
    next: str | None
    skipped: list[str] = []


class MessageCommands:
    """Both. What was said before they came is written before they look."""

    log = Logger()

    def __init__(self, store: MessageStore, threads: Threads, clock: Any, wall: WallClock) -> None:
        self._store = store
        self._threads = threads
        self._clock = clock
        self._wall = wall

    def handlers(self) -> Mapping[str, Handler]:
        """By name."""
        return {
            "get_msgs": Handler(of(GetMsgsArgs), self.get),
            "del_msgs": Handler(of(FilterArgs), self.delete),
        }

    async def get(self, task: Task) -> Result:
        """A page of what fits."""
        args: GetMsgsArgs = task.args
        begun = self._begin()
        await self._store.written_through()
        after = None if args.cursor is None else min(int(args.cursor), LARGEST)
        page = await self._threads.run(self._page, args, after)
        items = [Item(m.id, m.jobid, m.domain, m.name, m.epoch, m.level, m.data, m.flags) for m in page.items]
        answer = Answer(items, None if page.next is None else str(page.next), list(page.skipped))
        return self._result(task, begun, _encode(answer).decode())

    async def delete(self, task: Task) -> Result:
        """Remove all that fits; the number."""
        wanted, begun = wanted_by(task.args), self._begin()
        removed: list[int] = []
        await self._store.run(lambda database: removed.append(query.delete(database, wanted)))
        older, skipped = await self._threads.run(query.delete_in_full, self._store.files, wanted)
        count = removed[0] + older
        self.log.warn("audit: task {task} removes {count} messages", task=task.id, count=count, skipped=skipped)
        return self._result(task, begun, str(count))

    def _page(self, args: GetMsgsArgs, after: int | None) -> query.Page:
        ascending = args.order == "asc"
        return query.page(self._store.files, wanted_by(args), after=after, ascending=ascending, count=args.limit)

    def _begin(self) -> tuple[int, float]:
        return epoch_ms(self._wall), self._clock.seconds()

    def _result(self, task: Task, begun: tuple[int, float], data: str) -> Result:
        return Result(
            id=task.id,
            run=task.entry.command.run,
            state="OK",
            data=data,
            level=levels.RESULT_JSON,
            starttime=begun[0],
            time=int((self._clock.seconds() - begun[1]) * 1000),
        )


def wanted_by(args: FilterArgs) -> Filter:
    """The filter that arguments name."""
    return Filter(
        jobid=args.jobid,
        timefrom=None if args.timefrom is None else getmsgs.epoch_ms(args.timefrom),
        timeto=None if args.timeto is None else getmsgs.epoch_ms(args.timeto),
        levels=None if args.levels in {None, "*"} else levels.parse(args.levels or ""),
        domain=args.domain,
        name=args.name,
    )
