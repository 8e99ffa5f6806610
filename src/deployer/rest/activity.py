"""What an agent has done and does (seed 002)."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from deployer.errors import NotFoundError
from deployer.model import limits
from deployer.model.access import Caller, Permission
from deployer.protocol.ids import AgentId
from deployer.protocol.times import iso, iso_or_none
from deployer.rest.agents import known_agent
from deployer.rest.endpoint import endpoint
from deployer.rest.references import agent_href
from deployer.stores.activity import Activities, Failed
from deployer.stores.agents import Agents
from deployer.stores.jobs import Jobs


class StateChange(Struct, frozen=True):
    """The agent's state from then on."""

    at: str
    state: str


class FailureAnswer(Struct, frozen=True):
    """A task that ended in ERROR or TIMEOUT; `code`, `reason` and `job` null when its record has ended too."""

    at: str
    state: str
    task: str
    job: str | None
    code: str | None
    reason: str | None


class Assignments(Struct, frozen=True, kw_only=True):
    """Tasks that wait for the agent, were sent to it, and that it has accepted; the first hundred of the last by id."""

    queued: int
    sent: int
    accepted: int
    tasks: Sequence[str]


class AgentLimits(Struct, frozen=True):
    """What the master lets an agent have: tasks that wait, and messages in so many seconds."""

    queued: int
    messages: int
    messages_s: float


class ActivityAnswer(Struct, frozen=True, kw_only=True):
    """What an agent has done and does: its last twenty changes of state and failures, the newest first.

    `processed`: tasks that have ended, by state. `exceptions`: of the agent itself; they are messages of level 9 in the
    log of domain `agent`, name `exceptions`.
    """

    href: str
    last_seen: str | None
    states: Sequence[StateChange]
    failures: Sequence[FailureAnswer]
    processed: Mapping[str, int]
    exceptions: int
    assignments: Assignments
    limits: AgentLimits


class ActivityRoutes:
    """`/api/v1/agents/<agent>/activity`."""

    def __init__(self, agents: Agents, activities: Activities, jobs: Jobs) -> None:
        self._agents = agents
        self._activities = activities
        self._jobs = jobs

    @endpoint("GET", "/api/v1/agents/<agent>/activity", needs=Permission.READ, returns=ActivityAnswer)
    async def show(self, caller: Caller, agent: str) -> ActivityAnswer:
        """Changes of state, failures, what was processed, what is assigned."""
        known = await self._agents.agent(caller.company, known_agent(caller, agent))
        its = await self._activities.of(known.id)
        return ActivityAnswer(
            href=f"{agent_href(known.id)}/activity",
            last_seen=iso_or_none(known.last_seen),
            states=[StateChange(iso(one.at), one.state) for one in its.states],
            failures=[await self._failure(caller.company, known.id, one) for one in its.failures],
            processed=its.processed,
            exceptions=its.exceptions,
            assignments=Assignments(queued=its.queued, sent=its.sent, accepted=its.accepted, tasks=its.running),
            limits=AgentLimits(limits.QUEUE_PER_AGENT, limits.MESSAGES_PER_AGENT, limits.MESSAGES_S),
        )

    async def _failure(self, company: str, agent: AgentId, failed: Failed) -> FailureAnswer:
        task = failed.task.rpartition("@")[0]
        at, state = iso(failed.at), failed.state
        try:
            result = (await self._jobs.task(company, task, agent)).result
        except NotFoundError:
            return FailureAnswer(at, state, task, None, None, None)
        job = task.partition(":")[0]
        if result is None:
            return FailureAnswer(at, state, task, job, None, None)
        return FailureAnswer(at, state, task, job, result.code, result.reason)
