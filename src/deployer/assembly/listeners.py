"""Where the master listens: endpoints, those with TLS by contexts of ours (kit/tls) and not Twisted's."""

import re
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from msgspec import Struct
from twisted.internet.endpoints import serverFromString
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory

from deployer.config import MasterSettings
from deployer.errors import StartError
from deployer.kit.clock import WallClock
from deployer.kit.files import TooOpen
from deployer.kit.http.site import HardenedSite
from deployer.kit.periodic import Periodic
from deployer.kit.tls.context import ServerCreator, WrongCertificateError, server_context
from deployer.kit.tls.served import FileCertificate, OwnCertificate, Reasons, Shown
from deployer.stores.master_key import MasterKey

BACKLOG: Final = 1024
LOOK_S: Final = 60.0
TLS_DIR: Final = "tls"
_COLON: Final = re.compile(r"(?<!\\):")
_ESCAPED: Final = re.compile(r"\\(.)")
_ORDER: Final = ("port", "privateKey", "certKey", "sslmethod", "interface", "backlog", "extraCertChain")
"""Of Twisted's ssl: endpoint, whose descriptions stay valid."""


class Tls(Struct, frozen=True):
    """What others have to know of our TLS: our own CA (PEM) with its fingerprint, whether agents need certificates."""

    ca: str | None = None
    pin: str = ""
    clients: bool = False


NO_TLS: Final = Tls()


class Plan(Struct, frozen=True):
    """A listener: Twisted's description of the part below TLS, and where its certificate comes from.

    `files`: key and certificates; none for our own certificate; None for no TLS.
    """

    endpoint: str
    files: tuple[str, ...] | None


def plan(description: str, *, auto_tls: bool) -> Plan:
    """Read an endpoint's description; StartError for an ssl: endpoint that asks for what we do not offer."""
    kind, _, rest = description.partition(":")
    if kind != "ssl":
        return Plan(with_backlog(description), () if kind == "tcp" and auto_tls else None)
    parts = _parts(rest)
    unknown = sorted(set(parts) - set(_ORDER) | {"sslmethod"} & set(parts))
    if unknown or "privateKey" not in parts:
        raise StartError(f"{description}: ssl: takes port, privateKey, certKey, extraCertChain, interface and backlog")
    below = [f"{name}={parts[name]}" for name in ("interface", "backlog") if parts.get(name)]
    key = parts["privateKey"]
    files = (key, parts.get("certKey") or key, parts.get("extraCertChain") or "")
    endpoint = with_backlog(":".join(["tcp", parts.get("port", ""), *below]))
    return Plan(endpoint, tuple(_ESCAPED.sub(r"\1", file) for file in files if file))


def _parts(rest: str) -> dict[str, str]:
    places, named = iter(_ORDER), {}
    for part in _COLON.split(rest):
        name, equals, value = part.partition("=")
        named[name if equals else next(places, "")] = value if equals else part
    return named


def with_backlog(description: str) -> str:
    """An endpoint with room for a burst of connections: Twisted's 50 makes the others wait for a second."""
    if description.startswith(("tcp:", "unix:")) and ":backlog=" not in description:
        return f"{description}:backlog={BACKLOG}"
    return description


class Listeners:
    """All ports of a master. `tls` is what its answers say of them."""

    log = Logger()

    def __init__(self, settings: MasterSettings, key: MasterKey, reactor: Any, wall: WallClock) -> None:
        self._settings = settings
        self._reactor = reactor
        self._wall = wall
        self._plans = [plan(one, auto_tls=settings.auto_tls) for one in settings.http]
        self._authority = key.authority() if settings.auto_tls else None
        self._clients = client_cas(settings.client_ca_file)
        self.reasons = Reasons(reactor.seconds)
        self._ports: list[Any] = []
        self._renewals: list[Periodic] = []
        self._shown: dict[tuple[str, ...], Shown] = {}
        clients = bool(self._clients)
        if self._authority is None:
            self.tls = Tls(clients=clients)
        else:
            self.tls = Tls(self._authority.pem.decode(), self._authority.pin, clients)

    async def open(self, site: HardenedSite) -> None:
        """Listen everywhere, or raise."""
        if self.tls.pin:
            self.log.info("TLS by the installation's own CA, fingerprint sha256:{pin}", pin=self.tls.pin)
        for one in self._plans:
            factory = site if one.files is None else self._with_tls(site, one.files)
            port = await serverFromString(self._reactor, one.endpoint).listen(factory)
            self._ports.append(port)
            self.log.info("ready: the API listens at {where}", where=str(port.getHost()))

    async def close(self) -> None:
        """Take no more connections."""
        for renewal in self._renewals:
            renewal.stopService()
        for port in self._ports:
            await port.stopListening()

    def _with_tls(self, site: HardenedSite, files: tuple[str, ...]) -> TLSMemoryBIOFactory:
        if files not in self._shown:
            self._shown[files] = self._show(files)
        shown = self._shown[files]
        creator: Any = ServerCreator(lambda: shown.context)
        below: Any = site  # zope's interfaces, which mypy does not see
        return TLSMemoryBIOFactory(creator, False, below, self._reactor)

    def _show(self, files: tuple[str, ...]) -> Shown:
        """Begin with a certificate, and look after it."""
        try:
            shown = Shown(self._certificate(files), lambda pem: server_context(pem, self._clients, self.reasons.tell))
        except (WrongCertificateError, TooOpen, OSError) as error:
            raise StartError(f"{files[0] if files else TLS_DIR} cannot be served with: {error}") from None
        renewal = Periodic("looking after a certificate", LOOK_S, shown.look, self._reactor)
        renewal.startService()
        self._renewals.append(renewal)
        return shown

    def _certificate(self, files: tuple[str, ...]) -> OwnCertificate | FileCertificate:
        if files or self._authority is None:
            return FileCertificate(self._wall, *map(Path, files))
        directory = Path(self._settings.data_dir).resolve() / TLS_DIR
        return OwnCertificate(directory, self._authority, self._names(), self._wall)

    def _names(self) -> list[str]:
        """By which this master is reached: more come from the operator."""
        host = socket.gethostname()
        own = [host] if re.fullmatch(r"[A-Za-z0-9.-]{1,253}", host) else []
        return [*own, "localhost", "127.0.0.1", "::1", *self._settings.tls_names]


def client_cas(file: str | None) -> Sequence[x509.Certificate]:
    """Read the CAs of clients' certificates; StartError when the file has none."""
    if file is None:
        return ()
    try:
        return x509.load_pem_x509_certificates(Path(file).read_bytes())
    except (OSError, ValueError) as error:
        raise StartError(f"client_ca_file {file} cannot be read: {error}") from None
