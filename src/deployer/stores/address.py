"""Where a configured Redis is: `redis://`, `rediss://` (TLS) or `unix:` (DESIGN 3)."""

import ipaddress
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from deployer.errors import StartError
from deployer.stores.connection import Login

DEFAULT_PORT = 6379


class Address(Struct, frozen=True):
    """A Twisted endpoint string and how to log in."""

    endpoint: str
    login: Login


def parse(url: str) -> Address:
    """Read the setting; StartError when it is no address, or one that anyone on the network could use."""
    if url.startswith("unix:"):
        return Address(f"unix:{_escape(url[5:].removeprefix('//'))}", Login())
    parts = urlsplit(url)
    if parts.scheme not in {"redis", "rediss"} or not parts.hostname:
        raise StartError("`redis` must be redis://host:port, rediss://host:port or unix:/path")
    login = Login(_text(parts.username), _text(parts.password), _database(parts.path))
    if parts.scheme == "redis" and login.password is None and not _is_loopback(parts.hostname):
        raise StartError(f"the Redis at {parts.hostname} is not on this host: it needs a password or TLS (rediss://)")
    kind = "tls" if parts.scheme == "rediss" else "tcp"
    return Address(f"{kind}:{_escape(parts.hostname)}:{_port(url)}", login)


def _port(url: str) -> int:
    try:
        return urlsplit(url).port or DEFAULT_PORT
    except ValueError:
        raise StartError("`redis` has no usable port") from None


def _database(path: str) -> int:
    text = path.strip("/")
    if text and not text.isdigit():
        raise StartError("the path of `redis` is the number of a database")
    return int(text or 0)


def _text(part: str | None) -> str | None:
    return unquote(part) if part else None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace(":", "\\:").replace("=", "\\=")
