"""Requests in the name of the session: a session that has ended is opened anew, once, before giving up."""

from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred

from deployer.protocol.ids import AgentId
from deployer_agent.errors import ProblemError
from deployer_agent.link.http import Http
from deployer_agent.link.session import STALE, UNAUTHORIZED, Session

T = TypeVar("T")
Ask = Callable[[str], Coroutine[Deferred[Any], Any, T]]
POLL_GRACE_S: Final = 10.0
FULL_S: Final = 1.0


class Requests:
    """The agent's routes, `/{gid}/{nid}/…`."""

    def __init__(self, http: Http, session: Session, agent: AgentId) -> None:
        self._http = http
        self._session = session
        self._path = f"/{agent.gid}/{agent.nid}/"

    async def post(self, route: str, body: bytes, kind: type[T]) -> T:
        """POST to one of the routes; LinkError when that fails."""
        return await self._authorized(lambda token: self._http.post(self._path + route, body, kind, token=token))

    async def get(self, route: str, kind: type[T]) -> T:
        """GET from one of the routes; LinkError when that fails."""
        return await self._authorized(lambda token: self._http.get(self._path + route, kind, token=token))

    async def poll(self, count: int, kind: type[T]) -> T:
        """Ask for commands; a poll that is silent for too long is given up, so that a black hole is noticed.

        Without room for commands it only asks for kills, and soon again: there may be room by then.
        """
        poll_s = (await self._session.current()).configuration.poll_s if count else FULL_S
        path = f"{self._path}cmd?n={count}&wait={poll_s:.0f}"
        return await self._authorized(
            lambda token: self._http.get(path, kind, token=token, deadline_s=poll_s + POLL_GRACE_S)
        )

    async def _authorized(self, ask: Ask[T]) -> T:
        token = (await self._session.current()).token
        try:
            return await ask(token)
        except ProblemError as error:
            if not _is_over(error):
                raise
            self._session.drop(token)
        return await ask((await self._session.current()).token)


def _is_over(error: ProblemError) -> bool:
    return error.status == UNAUTHORIZED or error.code == STALE
