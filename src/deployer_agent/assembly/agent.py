"""The agent as a service: it finds out who it is, then works."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from deployer.kit.clock import WallClock
from deployer.kit.files import private_dir
from deployer.kit.notify import Notifier
from deployer.kit.version import own_version
from deployer_agent.assembly.working import Working
from deployer_agent.config import AgentSettings, traits
from deployer_agent.errors import StartError
from deployer_agent.journal.journal import Journal
from deployer_agent.journal.space import Space
from deployer_agent.link.door import Address, Door
from deployer_agent.link.firstcontact import read_pin
from deployer_agent.link.identity import KEY_FILE, Identity, ensure_key, load_identity, place_of, store_identity
from deployer_agent.link.join import Wish, join, join_again
from deployer_agent.link.requests import Requests
from deployer_agent.link.session import Proof, Session

JOURNAL_FILE: Final = "journal.db"


class Agent(Service):
    """The whole agent. `failed` is called with one sentence when it cannot start."""

    log = Logger()

    def __init__(self, settings: AgentSettings, reactor: Any, wall: WallClock, failed: Callable[[str], None]) -> None:
        self._settings = settings
        self._reactor = reactor
        self._wall = wall
        self._failed = failed
        self._starting: Deferred[None] | None = None
        self._journal: Journal | None = None
        self._working: Working | None = None
        self._notifier = Notifier(os.environ, reactor)
        self._door = Door(address(settings), reactor)

    def startService(self) -> None:
        """Begin as soon as the reactor runs, so that a failure can stop it."""
        Service.startService(self)
        self._reactor.callWhenRunning(self._begin)

    def stopService(self) -> Deferred[None]:
        """End what runs, tell the master, leave."""
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop())

    def _begin(self) -> None:
        if self.running:
            self._starting = Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        try:
            await self._build()
        except CancelledError:
            return  # it is stopped before it has started
        except (StartError, OSError) as error:
            self._failed(str(error))
        except Exception as error:  # noqa: BLE001 (the operator gets one line, the log the rest)
            self.log.failure("the agent cannot start")
            self._failed(f"the agent cannot start: {error}")

    async def _build(self) -> None:
        data_dir = private_dir(Path(self._settings.data_dir))
        space = Space(data_dir, self._settings.ballast_bytes)
        journal = self._journal = Journal.open(
            data_dir / JOURNAL_FILE,
            self._wall,
            self._reactor.callFromThread,
            create=not (data_dir / KEY_FILE).exists(),
            on_full=space.full,
            place=place_of(data_dir),
        )
        space.start()
        key = ensure_key(data_dir)
        identity = await self._identity(data_dir, key)
        http = self._door.http(identity.ca)

        def company() -> str:
            return identity.company if self._working is None else self._working.verifier.company

        names, declared = sorted(self._settings.extensions), traits(self._settings)
        proof = Proof(key, identity.agent, journal.instance, own_version(), names, declared, company)
        session = Session(http, proof, self._reactor, lambda: self._rejoin(key, identity))
        requests = Requests(http, session, identity.agent)
        self._working = Working(
            self._settings,
            self._reactor,
            self._wall,
            journal=journal,
            space=space,
            identity=identity,
            requests=requests,
        )
        await self._working.start()
        self._notifier.ready()
        self.log.info("agent {agent} asks {url} for work", agent=str(identity.agent), url=self._settings.url)

    async def _identity(self, data_dir: Path, key: Ed25519PrivateKey) -> Identity:
        """Who we are; found out by joining when nothing of it is on the disk."""
        identity = load_identity(data_dir)
        if identity is not None:
            return identity
        settings = self._settings
        if settings.join_token_file is None and not settings.ask_to_join:
            raise StartError(
                "this agent has not joined yet: give it a join token with --join-token-file, or --ask-to-join"
            )
        identity = await join(self._door, key, self._wish(settings.gid, settings.nid), self._reactor)
        store_identity(data_dir, identity)
        return identity

    def _wish(self, gid: int | None, nid: int | None) -> Wish:
        file = self._settings.join_token_file
        return Wish(None if file is None else Path(file), gid, nid)

    async def _rejoin(self, key: Ed25519PrivateKey, known: Identity) -> None:
        """A master that has lost its state may take the same agent again: same number, same masters' key."""
        told = await join_again(self._door, key, self._wish(known.gid, known.nid), known)
        store_identity(Path(self._settings.data_dir), told)
        if self._working is not None:
            self._working.verifier.company = told.company
        self.log.warn("the master did not know agent {agent} any more; it has joined again", agent=str(told.agent))

    async def _stop(self) -> None:
        self._notifier.stopping()
        if self._starting is not None and self._working is None:
            self._starting.cancel()
        if self._working is not None:
            await self._working.stop(self._settings.stop_s)
        if self._journal is not None:
            self._journal.close()
        await self._door.forget()
        self._notifier.stopped()


def address(settings: AgentSettings) -> Address:
    """What the operator says of the master."""
    return Address(
        url=settings.url,
        ca_file=settings.ca_file,
        pin=read_pin(settings.ca_fingerprint) if settings.ca_fingerprint else "",
        certificate=settings.tls_cert or "",
        key=settings.tls_key or "",
        version=own_version(),
    )
