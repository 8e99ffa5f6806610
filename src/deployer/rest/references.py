"""How answers refer to other things: by `href`, which `?expand=` follows, and an id where it is known."""

from msgspec import Struct

from deployer.protocol.ids import AgentId


class HostReference(Struct, frozen=True):
    """The machine that an agent is on."""

    href: str


class CompanyReference(Struct, frozen=True):
    """Which company something belongs to."""

    id: str
    href: str


class UserReference(Struct, frozen=True):
    """Who did it; it may be gone since."""

    id: str
    href: str


class UsersReference(Struct, frozen=True):
    """The users that may use an agent."""

    href: str


class AgentReference(Struct, frozen=True):
    """Which agent something is on."""

    gid: int
    nid: int
    href: str

    @classmethod
    def to(cls, agent: AgentId) -> "AgentReference":
        """The reference to an agent."""
        return cls(agent.gid, agent.nid, agent_href(agent))


class JobReference(Struct, frozen=True):
    """Of which job something is; it may be gone since."""

    id: str
    href: str


class ScheduleReference(Struct, frozen=True):
    """Which schedule started something; it may be gone since."""

    id: str
    href: str


def agent_href(agent: AgentId) -> str:
    """Where an agent is found."""
    return f"/api/v1/agents/{agent}"


def company_href(company: str) -> str:
    """Where a company is found."""
    return f"/api/v1/companies/{company}"


def host_href(agent: AgentId) -> str:
    """Where the host of an agent is found: it has one agent and its number."""
    return f"/api/v1/hosts/{agent}"


def job_reference(job: str) -> JobReference:
    """The reference to a job."""
    return JobReference(job, f"/api/v1/jobs/{job}")


def user_reference(user: str) -> UserReference:
    """The reference to a user by its name."""
    return UserReference(user, f"/api/v1/users/{user}")


def schedule_reference(schedule: str) -> ScheduleReference:
    """The reference to a schedule."""
    return ScheduleReference(schedule, f"/api/v1/schedules/{schedule}")
