"""Agents that ask to be let in without a join token: shown, accepted, rejected."""

from msgspec import Struct
from twisted.logger import Logger

from deployer.kit.clock import WallClock, epoch_ms
from deployer.model import limits
from deployer.model.access import Caller, Permission
from deployer.protocol.ids import GridId, NodeId
from deployer.protocol.times import iso
from deployer.rest.endpoint import endpoint
from deployer.rest.references import agent_href
from deployer.stores.waitingroom import Waiting, WaitingRoom


class AgentRequestAnswer(Struct, frozen=True, kw_only=True):
    """An agent that asks. `id` is the fingerprint of its key, which its log tells too: compare them.

    `hostname`, `system`, `version` are what it says of itself; `address` is where its request came from. `gid`, `nid`:
    what it wants to be. It is forgotten at `expires` unless it asks again.
    """

    id: str
    href: str
    state: str
    hostname: str
    system: str
    version: str
    address: str
    gid: int | None
    nid: int | None
    first: str
    last: str
    expires: str


class AgentRequestPage(Struct, frozen=True):
    """All of the company, who asked last at the end."""

    items: list[AgentRequestAnswer]
    next: None = None


class Admission(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As what it is let in; null: what it asked for, and without that the grid's next number."""

    gid: GridId | None = None
    nid: NodeId | None = None


class Admitted(Struct, frozen=True):
    """The agent that it is now."""

    id: str
    href: str


class Rejected(Struct, frozen=True):
    """It is told so for a day."""

    id: str


class AgentRequestRoutes:
    """`/api/v1/agent-requests`."""

    log = Logger()

    def __init__(self, room: WaitingRoom, wall: WallClock) -> None:
        self._room = room
        self._wall = wall

    @endpoint("GET", "/api/v1/agent-requests", needs=Permission.MANAGE, returns=AgentRequestPage)
    async def list_all(self, caller: Caller) -> AgentRequestPage:
        """The agents that wait to be let in, and those that were rejected within a day."""
        return AgentRequestPage([_answer(one) for one in await self._room.listed(caller.company)])

    @endpoint(
        "POST",
        "/api/v1/agent-requests/<fingerprint>/accept",
        needs=Permission.MANAGE,
        returns=Admitted,
        body=Admission,
    )
    async def accept(self, caller: Caller, fingerprint: str, body: Admission) -> Admitted:
        """Let an agent in: with its next request it joins."""
        agent = await self._room.admit(caller.company, fingerprint, body.gid, body.nid, epoch_ms(self._wall))
        self._tell(caller, "accepts", fingerprint, f"as agent {agent}")
        return Admitted(str(agent), agent_href(agent))

    @endpoint("POST", "/api/v1/agent-requests/<fingerprint>/reject", needs=Permission.MANAGE, returns=Rejected)
    async def reject(self, caller: Caller, fingerprint: str) -> Rejected:
        """Reject an agent. It can be accepted nevertheless as long as it is shown."""
        await self._room.reject(caller.company, fingerprint)
        self._tell(caller, "rejects", fingerprint, "")
        return Rejected(fingerprint)

    def _tell(self, caller: Caller, does: str, fingerprint: str, what: str) -> None:
        self.log.warn(
            "audit: user {user} {does} the agent with the key {fingerprint} {what}",
            user=caller.user,
            does=does,
            fingerprint=fingerprint,
            what=what,
        )


def _answer(one: Waiting) -> AgentRequestAnswer:
    return AgentRequestAnswer(
        id=one.fingerprint,
        href=f"/api/v1/agent-requests/{one.fingerprint}",
        state="rejected" if one.rejected else "waiting",
        hostname=one.hostname,
        system=one.system,
        version=one.version,
        address=one.address,
        gid=one.gid,
        nid=one.nid,
        first=iso(one.first),
        last=iso(one.last),
        expires=iso(one.last + limits.WAITING_MS),
    )
