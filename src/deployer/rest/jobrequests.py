"""What a client asks for, checked before it becomes a job: command, arguments, target, rights."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from deployer.dispatch.jobs import Dispatcher, NewJob
from deployer.errors import ForbiddenError, InvalidError, NotFoundError
from deployer.model import limits
from deployer.model.access import Caller, Permission
from deployer.model.placement import Place, placed
from deployer.model.targets import BadTarget, Numbered, Target, parse
from deployer.protocol import extensions
from deployer.protocol.codecs import Misfit, NotJson, convert
from deployer.protocol.commands import ARGUMENTS, MAX_DATA_BYTES, SCRIPT_COMMANDS, ExecuteArgs, KillArgs
from deployer.protocol.ids import AgentId
from deployer.protocol.scripts import ScriptArgs
from deployer.rest.fleet import Fleet
from deployer.rest.idempotency import Identified
from deployer.stores.activity import Activities
from deployer.stores.agents import Agents
from deployer.stores.library import Library

ARGUMENTS_IN_DATA = frozenset({"kill", "get_process_stats", "get_processes_stats", "get_msgs", "del_msgs"})
"""Commands whose arguments may come in `data` as a JSON object, as seed 001 has it."""


NOWHERE: Final = AgentId(0, 0)
"""No agent has this number."""


def _no_arguments() -> Raw:
    return Raw(b"{}")


class JobRequest(Identified, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a client posts.

    `target`: an agent as `gid:nid`, or an expression (docs/targets.md) that may mean many. `fanout`: a task on each of
    them, on one, or on so many; those that are online come first, then those with the least to do.
    """

    cmd: Annotated[str, Meta(max_length=128)]
    args: Raw = msgspec.field(default_factory=_no_arguments)
    data: str = ""
    target: Annotated[str, Meta(max_length=1000)]
    fanout: Literal["all", "one"] | Annotated[int, Meta(ge=1, le=1_000_000)] = "all"
    not_after: Annotated[datetime, Meta(tz=True)] | None = None


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

    async def check(self, caller: Caller, body: JobRequest) -> NewJob:
        """The job; InvalidError points at what does not fit, ForbiddenError and NotFoundError say what may not be."""
        if len(body.data.encode("utf-8", "surrogatepass")) > MAX_DATA_BYTES:
            raise InvalidError("/data", f"longer than {MAX_DATA_BYTES} bytes")
        agents = await self._meant(caller, body)
        args = await self._arguments(caller, body, agents)
        await self._require_allowed(caller, args, agents)
        return NewJob(
            id=body.id,
            cmd=body.cmd,
            args=args,
            data=body.data,
            target=body.target,
            agents=agents,
            fanout=body.fanout,
            not_after=None if body.not_after is None else int(body.not_after.astimezone(UTC).timestamp() * 1000),
        )

    async def _meant(self, caller: Caller, body: JobRequest) -> Sequence[AgentId]:
        """The agents that get a task each."""
        target = _target(body.target)
        if isinstance(target, Numbered) and target.gid is not None and target.nid is not None:
            return [_agent(caller, target.gid, target.nid)]
        most = limits.TASKS_PER_JOB
        found = await self._fleet.meant(caller, target, limits.AGENTS if body.fanout != "all" else most)
        loads = [0] * len(found)
        if body.fanout != "all":
            loads = await self._activities.loads([one.id for one in found])
        places = [Place(one.id, one.state == "online", load) for one, load in zip(found, loads, strict=True)]
        agents = placed(places, body.fanout)
        if not agents:
            raise InvalidError("/target", "no agent matches this target", "no_matching_agent")
        if len(agents) > most:
            raise InvalidError("/target", f"this target means more than the {most} agents that a job may have")
        return agents

    async def _arguments(self, caller: Caller, body: JobRequest, agents: Sequence[AgentId]) -> Struct:
        try:
            kind = ScriptArgs if body.cmd in SCRIPT_COMMANDS else ARGUMENTS.get(body.cmd)
            if kind is not None:
                args = convert(kind, _with_data(body) if body.cmd in ARGUMENTS_IN_DATA else body.args)
                return await self._resolved(caller, args) if isinstance(args, ScriptArgs) else args
            for agent in agents:
                await self._require_extension(caller, body.cmd, agent)
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

    async def _require_extension(self, caller: Caller, cmd: str, target: AgentId) -> None:
        known = await self._agents.extensions(caller.company, target)
        if cmd not in known:
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
