"""What comes through the API goes into the audit log: changes before they are done, refusals, and tries of nobody."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct
from twisted.web.http import Request

from deployer.dispatch.audit import AuditTrail
from deployer.errors import DeployerError, NoSpaceError, UnavailableError
from deployer.kit.http.peer import Peer
from deployer.model.access import Caller
from deployer.model.audit import Decision, Deed
from deployer.rest.problems import request_id

READS: Final = frozenset({"GET", "HEAD"})


class Asked(Struct, frozen=True):
    """A request of somebody we know: its action is method and route, its object what these name."""

    caller: Caller
    action: str
    object: str
    address: str
    request_id: str

    def deed(self, decision: Decision, code: str = "") -> Deed:
        """As it is noted."""
        return Deed(
            user=self.caller.user,
            token=self.caller.token,
            address=self.address,
            action=self.action,
            object=self.object,
            decision=decision,
            code=code,
            request_id=self.request_id,
        )


class Auditor:
    """Notes in the log of the caller's company."""

    def __init__(self, trail: AuditTrail, peer_of: Callable[[Request], Peer]) -> None:
        self._trail = trail
        self._peer_of = peer_of

    def asked(self, caller: Caller, action: str, request: Request, path: Mapping[str, str], body: Any) -> Asked:
        """What is asked for."""
        names = [*path.values(), *_names(body)]
        return Asked(caller, action, "/".join(names), self._peer_of(request).address, request_id(request))

    async def allow(self, asked: Asked) -> None:
        """Note what is about to be done; what cannot be noted must not be done: UnavailableError, NoSpaceError."""
        await self._trail.note(asked.caller.company, asked.deed("allowed"))

    async def deny(self, asked: Asked, error: DeployerError) -> None:
        """Note what is refused; it is refused all the same when that cannot be noted."""
        with contextlib.suppress(UnavailableError, NoSpaceError):
            await self._trail.note(asked.caller.company, asked.deed("denied", error.code))

    def count(self, request: Request, error: DeployerError) -> None:
        """Count a refusal of somebody whom we do not know."""
        self._trail.refused(self._peer_of(request).source, error.code)


def _names(body: Any) -> list[str]:
    """What a body calls the thing that it makes."""
    found = [getattr(body, field, None) for field in ("id", "name", "user", "target")]
    return [one for one in found if isinstance(one, str) and one]
