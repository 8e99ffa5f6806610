"""The way to the master: where it is, by what it is known, and the connections that are kept to it."""

from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import Struct
from twisted.logger import Logger
from twisted.web.client import Agent as WebAgent
from twisted.web.client import HTTPConnectionPool

from deployer.protocol.wire import ChallengeAnswer
from deployer_agent.errors import LinkError
from deployer_agent.link.firstcontact import find_ca
from deployer_agent.link.http import Http
from deployer_agent.link.trust import Policy, Trust

CONNECT_S: Final = 10.0


class Address(Struct, frozen=True, kw_only=True):
    """What the operator says of the master. `pin`: its CA's fingerprint in hex, or empty."""

    url: str
    ca_file: str | None = None
    pin: str = ""
    certificate: str = ""
    key: str = ""
    version: str = ""

    @property
    def is_secure(self) -> bool:
        """Whether this is TLS."""
        return urlsplit(self.url).scheme == "https"


class Door:
    """Makes connections by what is known of the master at the time."""

    log = Logger()

    def __init__(self, address: Address, reactor: Any) -> None:
        self.address = address
        self._reactor = reactor
        self._pool = HTTPConnectionPool(reactor, persistent=True)
        self._pool.maxPersistentPerHost = 16
        self._pool.cachedConnectionTimeout = 30

    def http(self, ca: str | None) -> Http:
        """Requests to a master of this CA (PEM), of the operator's when one is set, else one of the system's roots."""
        its = self.address
        policy: Any = Policy(Trust(its.ca_file, ca, its.certificate, its.key), self._reactor)
        agent = WebAgent(self._reactor, contextFactory=policy, connectTimeout=CONNECT_S, pool=self._pool)
        return Http(agent, self._reactor, its.url, its.version)

    async def ca(self, pin: str) -> str | None:
        """The CA of a fingerprint, of the join token or else the settings; None where there is none to ask for.

        LinkError when the master is not the one of the fingerprint. What the operator's CA file says goes first.
        """
        pin = pin or self.address.pin
        if not pin or self.address.ca_file is not None:
            return None
        if not self.address.is_secure:
            raise LinkError(f"the master is known by a fingerprint, and {self.address.url} has no TLS: use https")
        return await find_ca(self._reactor, self.address.url, pin)

    async def settle(self, known: str | None, told: str | None) -> str | None:
        """Which CA is pinned from now on: the one that the master told when it joined us, if it is what is seen here.

        Not so behind a balancer with a certificate of another CA, which was verified by what the operator set.
        """
        if told is None or not self.address.is_secure or told == known:
            return known
        await self.forget()
        try:
            await self.http(told).get("/agent/v1/challenge", ChallengeAnswer)
        except LinkError as error:
            self.log.warn(
                "the CA that the master names is not that of {url}: {error}", url=self.address.url, error=error
            )
            return known
        return told

    async def forget(self) -> None:
        """Close the connections that are kept."""
        await self._pool.closeCachedConnections()
