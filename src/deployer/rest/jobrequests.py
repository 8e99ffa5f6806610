"""What a client asks for, checked before it becomes a job: command, arguments, target, rights."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from deployer.dispatch.jobs import Dispatcher, NewJob, no_such_job
from deployer.errors import ForbiddenError, InvalidError, NotFoundError
from deployer.model import limits
from deployer.model.access import Caller, Permission
from deployer.model.batches import BadBatch, Item, Range, has_place, items, longest_filled
from deployer.model.changes import Priority
from deployer.model.placement import Place, placed
from deployer.model.plans import Dependency, Requires, Rolling
from deployer.model.targets import BadTarget, Numbered, Target, parse
from deployer.protocol import extensions
from deployer.protocol.codecs import Misfit, NotJson, convert
from deployer.protocol.commands import ARGUMENTS, MAX_DATA_BYTES, SCRIPT_COMMANDS, ExecuteArgs, KillArgs
from deployer.protocol.ids import AgentId, JobId
from deployer.protocol.scripts import ScriptArgs
from deployer.protocol.times import epoch_ms_of
from deployer.rest.fleet import Fleet
from deployer.rest.idempotency import Identified
from deployer.rest.jobsight import require_seen
from deployer.stores.activity import Activities
from deployer.stores.agents import AgentRecord, Agents
from deployer.stores.library import Library

ARGUMENTS_IN_DATA = frozenset({"kill", "get_process_stats", "get_processes_stats", "get_msgs", "del_msgs"})
"""Commands whose arguments may come in `data` as a JSON object, as seed 001 has it."""


NOWHERE: Final = AgentId(0, 0)
"""No agent has this number."""
LOOKED_AT: Final = 1000
"""Of more agents it is not asked whether a task would fit on one of them."""
EVERYTHING: Final = Rolling(max_failures=None)
"""All tasks at once, whatever fails."""


def _no_arguments() -> Raw:
    return Raw(b"{}")


class JobRequest(Identified, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a client posts.

    `target`: an agent as `gid:nid`, or an expression (docs/targets.md) that may mean many. `fanout`: a task on each of
    them, on one, or on so many; those that are online come first, then those with the least to do. `away`: what becomes
    of those that are not online. `batch`: a task for each item, on one of the agents each. More is in docs/jobs.md.
    """

    cmd: Annotated[str, Meta(max_length=128)]
    args: Raw = msgspec.field(default_factory=_no_arguments)
    data: str = ""
    target: Annotated[str, Meta(max_length=1000)]
    fanout: Literal["all", "one"] | Annotated[int, Meta(ge=1, le=1_000_000)] = "all"
    not_after: Annotated[datetime, Meta(tz=True)] | None = None
    away: Literal["queue", "skip"] = "queue"
    batch: Range | list[Item] | None = None
    depends_on: Annotated[Sequence[JobId | Dependency], Meta(max_length=limits.DEPENDENCIES)] = ()
    requires: Requires | None = None
    priority: Priority = 0
    rolling: Rolling | None = None


class Meant(Struct, frozen=True):
    """The agents that a job is for, and how many were left out because they were away."""

    agents: Sequence[AgentId]
    skipped: int = 0


class JobRequests:
    """Makes jobs of requests, or tells what is wrong with them."""

    def __init__(
        self, dispatcher: Dispatcher, agents: Agents, library: Library, fleet: Fleet, activities: Activities
    ) -> None:
        self._library = library
        self._fleet = fleet
        self._activities = activities
        self._dispatcher = dispatcher
        self._agents = agents

    async def check(
        self, caller: Caller, body: JobRequest, agents: Sequence[AgentId] | None = None, *, later: bool = False
    ) -> NewJob:
        """The job, on these agents or those of its target; `later`: its tasks are not made at once.

        InvalidError points at what does not fit, ForbiddenError and NotFoundError say what may not be.
        """
        if len(body.data.encode("utf-8", "surrogatepass")) > MAX_DATA_BYTES:
            raise InvalidError("/data", f"longer than {MAX_DATA_BYTES} bytes")
        meant = await self._meant(caller, body) if agents is None else Meant(agents)
        args = await self._arguments(caller, body, meant.agents)
        await self._require_allowed(caller, args, meant.agents)
        if body.requires is not None:
            await self._require_room(caller, meant.agents, body.requires)
        depends_on = _dependencies(body)
        await self._require_seen(caller, depends_on)
        rolling = body.rolling or EVERYTHING
        new = NewJob(
            id=body.id,
            cmd=body.cmd,
            args=args,
            data=body.data,
            target=body.target,
            agents=meant.agents,
            fanout=body.fanout,
            not_after=None if body.not_after is None else epoch_ms_of(body.not_after),
            items=_items(body, args),
            depends_on=depends_on,
            requires=body.requires,
            priority=body.priority,
            size=0 if rolling.size == EVERYTHING.size else rolling.size,
            max_failures=rolling.max_failures or 0,
            skipped=meant.skipped,
        )
        if new.total * len(new.data) > limits.JOB_CHARS:
            raise InvalidError("/data", f"{new.total} times this is too much: keep what is long as a script or a file")
        if new.has_plan or later:
            await self._require_there(caller, new.agents)
        return new

    async def _require_there(self, caller: Caller, agents: Sequence[AgentId]) -> None:
        """Of one that was asked for by its number it is known only here whether it is there: its task is made later."""
        if len(agents) == 1 and not any(
            one.state != "revoked" for one in await self._agents.those(caller.company, agents)
        ):
            raise InvalidError("/target", "no agent matches this target", "no_matching_agent")

    async def _meant(self, caller: Caller, body: JobRequest) -> Meant:
        """The agents that get a task each, or may get one of a batch."""
        target = _target(body.target)
        if isinstance(target, Numbered) and target.gid is not None and target.nid is not None and body.away == "queue":
            return Meant([_agent(caller, target.gid, target.nid)])
        is_batch = body.batch is not None
        most = limits.AGENTS if is_batch else limits.TASKS_PER_JOB
        found = await self._fleet.meant(caller, target, most if body.fanout == "all" else limits.AGENTS)
        there = found if body.away == "queue" else [one for one in found if one.state == "online"]
        agents = await self._placed(there, body)
        if not agents:
            away = " that is online" if found else ""
            raise InvalidError("/target", f"no agent matches this target{away}", "no_matching_agent")
        if len(agents) > most:
            raise InvalidError("/target", f"this target means more than the {most} agents that a job may have")
        return Meant(agents, len(found) - len(there))

    async def _placed(self, found: Sequence[AgentRecord], body: JobRequest) -> Sequence[AgentId]:
        if body.fanout == "all":
            return [one.id for one in found]
        loads = await self._activities.loads([one.id for one in found])
        places = [Place(one.id, one.state == "online", load) for one, load in zip(found, loads, strict=True)]
        return placed(places, body.fanout)

    async def _require_room(self, caller: Caller, agents: Sequence[AgentId], wanted: Requires) -> None:
        """InvalidError for more than any of these agents may ever have."""
        records = await self._agents.those(caller.company, agents[:LOOKED_AT])
        for name, asked in (("ram", wanted.ram), ("load", wanted.load)):
            most = [getattr(one.traits, f"max_{name}") for one in records]
            if most and len(agents) <= LOOKED_AT and all(one is not None and one < asked for one in most):
                raise InvalidError(f"/requires/{name}", f"no agent of this target may have more than {max(most):g}")

    async def _require_seen(self, caller: Caller, others: Sequence[Dependency]) -> None:
        """What is on none of the caller's agents is as what is not there; that is what SUBMIT looks at."""
        if caller.agents is None:
            return
        for number, one in enumerate(others):
            try:
                require_seen(caller, await self._dispatcher.job(caller.company, one.id))
            except NotFoundError:
                raise no_such_job(number, one.id) from None

    async def _arguments(self, caller: Caller, body: JobRequest, agents: Sequence[AgentId]) -> Struct:
        try:
            kind = ScriptArgs if body.cmd in SCRIPT_COMMANDS else ARGUMENTS.get(body.cmd)
            if kind is not None:
                args = convert(kind, _with_data(body) if body.cmd in ARGUMENTS_IN_DATA else body.args)
                return await self._resolved(caller, args) if isinstance(args, ScriptArgs) else args
            await self._require_extension(caller, body.cmd, agents)
            return extensions.read(body.args)
        except Misfit as error:
            raise InvalidError(f"/args{error.pointer}", error.message) from None

    async def _resolved(self, caller: Caller, args: ScriptArgs) -> ScriptArgs:
        """With the hash of the version that is meant; without one when only the agent's host may have the script."""
        try:
            if args.sha256 is not None:
                await self._library.text(caller.company, args.domain, args.name, args.sha256)
                return args
            record = await self._library.record(caller.company, args.domain, args.name)
        except NotFoundError as error:
            if args.sha256 is not None:
                raise InvalidError("/args/sha256", str(error)) from None
            return args
        return msgspec.structs.replace(args, sha256=record.sha256)

    async def _require_extension(self, caller: Caller, cmd: str, agents: Sequence[AgentId]) -> None:
        """Each of these agents must be there and define the command; InvalidError otherwise."""
        knowing = {one.id for one in await self._agents.those(caller.company, agents) if cmd in one.extensions}
        if not knowing.issuperset(agents):
            raise InvalidError("/cmd", f"no command is named {cmd[:64]!r}", "unknown_command")

    async def _require_allowed(self, caller: Caller, args: Struct, agents: Sequence[AgentId]) -> None:
        """A shell is a right of its own; what is killed must be there (J17)."""
        if isinstance(args, ExecuteArgs) and args.shell and not caller.may(Permission.SHELL):
            raise ForbiddenError("your role may not use the shell: leave out `shell`, or ask an owner")
        if isinstance(args, KillArgs):
            for agent in agents:
                await self._dispatcher.task(caller.company, args.id, agent)


def _with_data(body: JobRequest) -> Raw:
    """All arguments; those of `args` win over those of `data`."""
    if not body.data:
        return body.args
    try:
        data = convert(dict[str, Raw], Raw(body.data.encode()))
    except (NotJson, Misfit, UnicodeEncodeError):
        raise InvalidError("/data", f"the data of {body.cmd} is a JSON object with its arguments, or empty") from None
    return Raw(msgspec.json.encode({**data, **convert(dict[str, Raw], body.args)}))


def _items(body: JobRequest, args: Struct) -> Sequence[Item]:
    """The items of a batch; none when it is no batch."""
    if body.batch is None:
        return ()
    if body.fanout != "all":
        raise InvalidError("/fanout", "a batch has a task for each item: leave out `fanout`")
    if not has_place(msgspec.json.encode(args)):
        raise InvalidError("/args/args", "no argument has a place for the item: write $item where it belongs")
    found = items_of(body.batch)
    if (length := longest_filled(msgspec.json.encode(args), found)) > limits.FILLED_CHARS:
        raise InvalidError(
            "/args/args",
            f"with its item a task has {length} characters of arguments, the most are {limits.FILLED_CHARS}",
        )
    return found


def items_of(batch: Range | Sequence[Item]) -> Sequence[Item]:
    """The items of a batch; InvalidError when it is none."""
    try:
        return items(batch, limits.TASKS_PER_JOB)
    except BadBatch as error:
        raise InvalidError("/batch", str(error)) from None


def _dependencies(body: JobRequest) -> Sequence[Dependency]:
    """Other jobs, each once."""
    found = [one if isinstance(one, Dependency) else Dependency(one) for one in body.depends_on]
    for number, one in enumerate(found):
        if one.id == body.id:
            raise InvalidError(f"/depends_on/{number}", "a job cannot wait for itself")
        if one.id in {other.id for other in found[:number]}:
            raise InvalidError(f"/depends_on/{number}", f"job {one.id} is named twice")
    return found


def _target(text: str) -> Target:
    try:
        return parse(text)
    except BadTarget as error:
        raise InvalidError("/target", str(error)) from None


def _agent(caller: Caller, gid: int, nid: int) -> AgentId:
    """The agent that is meant; for one that is not the caller's one that is nowhere, so that the answers are alike."""
    try:
        agent = AgentId.parse(f"{gid}:{nid}")
    except ValueError as error:
        raise InvalidError("/target", str(error)) from None
    return agent if caller.sees(agent) else NOWHERE
