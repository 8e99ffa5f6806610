"""Makes the exact bytes that an agent gets, and signs them with the masters' key."""

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import UNSET, Raw, Struct

from deployer.model import limits
from deployer.protocol.commands import KillArgs, LimitArgs, SignedCommand, sha256_text
from deployer.protocol.ids import AgentId
from deployer.protocol.signing import seal
from deployer.stores.jobs import JobDocument

KILL = "kill"


class Signer:
    """Seals commands."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    def wire(
        self, company: str, document: JobDocument, place: tuple[str, AgentId], data: str, args: bytes | None = None
    ) -> bytes:
        """The command of a task (its id, its agent), sealed, as JSON; `args`: others than its job's."""
        task, agent = place
        command = SignedCommand(
            id=task,
            company=company,
            gid=agent.gid,
            nid=agent.nid,
            cmd=document.cmd,
            args=document.args if args is None else Raw(args),
            data_sha256=sha256_text(data),
            created=document.created,
            not_after=document.not_after,
            priority=document.priority or UNSET,
        )
        return _encode(seal(self._key, command, data))

    def kill(self, company: str, task: str, agent: AgentId, created: int) -> bytes:
        """The command that kills a task; `created`: epoch ms."""
        return self._own((company, agent), kill_id(task), KILL, KillArgs(id=task), created)

    def limit(self, company: str, place: tuple[str, AgentId], own_id: str, max_time: int, created: int) -> bytes:
        """The command that gives a task (its id, its agent) another time limit; `created`: epoch ms."""
        task, agent = place
        return self._own((company, agent), own_id, "limit", LimitArgs(id=task, max_time=max_time), created)

    def _own(self, place: tuple[str, AgentId], own_id: str, cmd: str, args: Struct, created: int) -> bytes:
        company, agent = place
        command = SignedCommand(
            id=own_id,
            company=company,
            gid=agent.gid,
            nid=agent.nid,
            cmd=cmd,
            args=Raw(_encode(args)),
            data_sha256=sha256_text(""),
            created=created,
            not_after=created + limits.NOT_AFTER_S * 1000,
        )
        return _encode(seal(self._key, command, ""))


_encode = msgspec.json.Encoder().encode


def kill_id(task_id: str) -> str:
    """The id of the command that kills a task: one for each task, so that killing again is the same kill."""
    return f"{task_id}:{KILL}"
