"""`get_process_stats`, `get_processes_stats`, `get_aggregated_stats`: what runs here now consumes, as a JSON result.

A task counts with everything that it started; built-in commands, which have no process, are listed with zeros.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from deployer.kit.clock import WallClock, epoch_ms, sleep
from deployer.protocol import codes
from deployer.protocol.commands import NoArgs, ProcessArgs
from deployer.protocol.levels import RESULT_JSON
from deployer.protocol.results import Result
from deployer_agent.commands.outcome import refused
from deployer_agent.commands.registry import Handler, Task, of
from deployer_agent.stats.sampler import Sampler
from deployer_agent.stats.usage import Consumption

BETWEEN_S: Final = 0.25
"""The share of the cpu is what is used between two looks so far apart."""

_encode = msgspec.json.Encoder().encode


class Asked(Struct, frozen=True):
    """The command that a process belongs to."""

    id: str
    gid: int
    nid: int
    cmd: str
    args: Raw


class ProcessStats(Struct, frozen=True):
    """What one task's processes consume. `cpu` in percent of one cpu; `debug`: their pids, as seed 001's agents say."""

    cmd: Asked | None
    cpu: float
    rss: int
    vms: int
    swap: int
    threads: int
    fds: int
    connections: int
    read_bytes: int
    write_bytes: int
    net_sent: int
    net_received: int
    processes: int
    debug: str


class UsageCommands:
    """All three. `tasks` are those that are here, `pids` the processes of one of them."""

    def __init__(
        self,
        tasks: Callable[[], Sequence[Task]],
        pids: Callable[[str], Sequence[int]],
        clock: Any,
        wall: WallClock,
    ) -> None:
        self._tasks = tasks
        self._pids = pids
        self._clock = clock
        self._wall = wall

    def handlers(self) -> dict[str, Handler]:
        """By name."""
        return {
            "get_process_stats": Handler(of(ProcessArgs), self.one),
            "get_processes_stats": Handler(of(NoArgs), self.all),
            "get_aggregated_stats": Handler(of(NoArgs), self.together),
        }

    async def one(self, task: Task) -> Result:
        """One task's."""
        args: ProcessArgs = task.args
        chosen = [other for other in self._at_work() if other.id == args.id]
        if not chosen:
            return refused(task.entry.key, codes.NO_SUCH_TASK, f"no task {args.id} runs here")
        return await self._answer(task, chosen, lambda found: found[0])

    async def all(self, task: Task) -> Result:
        """Those of all that run now, of a domain and a name where they are given."""
        args: NoArgs = task.args
        chosen = [other for other in self._at_work() if _fits(other, args) and not (other is task and _filters(args))]
        return await self._answer(task, chosen, lambda found: found)

    async def together(self, task: Task) -> Result:
        """The sum over all of them and the agent itself."""
        return await self._answer(task, [*self._at_work(), None], _sum)

    def _at_work(self) -> list[Task]:
        return [task for task in self._tasks() if task.at_work]

    async def _answer(
        self, task: Task, chosen: Sequence[Task | None], form: Callable[[list[ProcessStats]], Any]
    ) -> Result:
        begun = epoch_ms(self._wall)
        begun_s, sampler = self._clock.seconds(), Sampler(self._clock)
        await sampler.sample(self._roots(chosen))
        await sleep(self._clock, BETWEEN_S)
        roots = self._roots(chosen)
        consumed = await sampler.sample(roots)
        answer = form([_record(other, roots[_key(other)], consumed[_key(other)]) for other in chosen])
        data, ms = _encode(answer).decode(), int((self._clock.seconds() - begun_s) * 1000)
        run = task.entry.command.run
        return Result(id=task.id, run=run, state="OK", data=data, level=RESULT_JSON, starttime=begun, time=ms)

    def _roots(self, chosen: Sequence[Task | None]) -> dict[str, Sequence[int]]:
        return {_key(task): [os.getpid()] if task is None else self._pids(task.id) for task in chosen}


def _key(task: Task | None) -> str:
    """What the agent itself, which is no task, is sampled by."""
    return "" if task is None else task.id


def _record(task: Task | None, pids: Sequence[int], consumed: Consumption) -> ProcessStats:
    return ProcessStats(
        cmd=None if task is None else _asked(task),
        cpu=round(consumed.cpu, 2),
        rss=consumed.rss,
        vms=consumed.vms,
        swap=consumed.swap,
        threads=consumed.threads,
        fds=consumed.fds,
        connections=consumed.connections,
        read_bytes=consumed.read_bytes,
        write_bytes=consumed.write_bytes,
        net_sent=consumed.net_sent,
        net_received=consumed.net_received,
        processes=consumed.processes,
        debug=" ".join(map(str, pids)),
    )


def _asked(task: Task) -> Asked:
    command = task.entry.command
    return Asked(command.id, command.gid, command.nid, command.cmd, command.args)


def _filters(args: NoArgs) -> bool:
    """Whether only some are asked for: the asking task, which carries the filter, is then none of them."""
    return bool(args.domain or args.name)


def _fits(task: Task, args: NoArgs) -> bool:
    domain, name = getattr(task.args, "domain", ""), getattr(task.args, "name", "")
    return args.domain in {"", domain} and args.name in {"", name}


def _sum(found: list[ProcessStats]) -> ProcessStats:
    def added(field: str) -> Any:
        return sum(getattr(one, field) for one in found)

    sums = {name: added(name) for name in ProcessStats.__struct_fields__ if name not in {"cmd", "cpu", "debug"}}
    return ProcessStats(
        cmd=None, cpu=round(added("cpu"), 2), debug=" ".join(one.debug for one in found if one.debug), **sums
    )
