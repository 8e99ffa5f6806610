"""An installation in Redis with one agent that has a session: where most tests of the stores begin."""

import hashlib

from msgspec import Raw

from deployer.protocol.ids import AgentId
from deployer.protocol.results import Result
from deployer.protocol.wire import JoinRequest
from deployer.stores.agents import Agents, Opened, Session
from deployer.stores.installation import Installations, Seed
from deployer.stores.jobs import JobDocument, Jobs, NewTask
from deployer.stores.redis import Redis
from deployer.stores.tokens import JOIN, USER, Token

NOW = 4_102_444_800_000  # far enough ahead that what a test makes has not expired
COMPANY = "acme"
INSTANCE = "0" * 32
AGENT = AgentId(1, 1)


class Seeded:
    """What a test asks and does, in few words."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.jobs = Jobs(redis)
        self.agents = Agents(redis)
        self.admin = Token.new(USER)
        self.join_token = Token.new(JOIN)

    async def install(self, public_key: str = "master-key") -> None:
        """Company, grid, admin, join token."""
        seed = Seed(COMPANY, public_key, self.admin, "admin", self.join_token)
        assert await Installations(self.redis).make(seed, NOW)

    async def join(self, public_key: str = "agent-key", nid: int | None = 1) -> AgentId:
        """An agent with a key."""
        wanted = JoinRequest(token="", public_key=public_key, hostname="host", gid=1, nid=nid)
        agent, company = await self.agents.join(self.join_token.kid, wanted, NOW)
        assert company == COMPANY
        return agent

    async def session(self, agent: AgentId = AGENT, instance: str = INSTANCE) -> Session:
        """A new session of an agent."""
        digest = hashlib.sha256(f"{agent}{instance}".encode()).hexdigest()
        epoch = await self.agents.open_session(Opened(agent, instance, digest, "1", "host"))
        return Session(agent, epoch, instance, COMPANY)

    async def submit(self, job: str, *agents: AgentId, sha: str = "sha", not_after: int = NOW + 10**9) -> str:
        """A job with one task for each agent."""
        document = JobDocument(
            id=job,
            cmd="ping",
            args=Raw(b"{}"),
            target="1:1",
            user="admin",
            created=NOW,
            not_after=not_after,
        )
        tasks = [NewTask(job, agent, wire(job)) for agent in agents or (AGENT,)]
        return await self.jobs.submit(COMPANY, document, sha, tasks)

    async def state(self, job: str) -> str:
        """The state of a job's first task."""
        return (await self.jobs.tasks(COMPANY, job, 0, 1))[0].state

    async def counts(self, job: str) -> dict[str, int]:
        """How many tasks are in which state."""
        return {state: n for state, n in (await self.jobs.job(COMPANY, job)).counts.items() if n}


def wire(job: str) -> bytes:
    """An envelope that nobody signed."""
    return b'{"payload":"%b","signature":""}' % job.encode()


def ok(task: str, data: str = "") -> Result:
    """A good result."""
    return Result(id=task, state="OK", data=data, exit_status=0, starttime=NOW, time=1)
