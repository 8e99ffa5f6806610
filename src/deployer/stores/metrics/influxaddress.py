"""Where an InfluxDB is: the setting `metrics`."""

import base64
import ipaddress
from typing import Final
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from deployer.errors import StartError

DEFAULT_PORT: Final = 8086


class Address(Struct, frozen=True):
    """`url`: scheme, host and port; `authorization`: a header's value, or none."""

    url: str
    database: str
    authorization: str = ""


def parse(url: str, *, allow_plaintext: bool = False) -> Address:
    """Read `influxdb://[user:password@]host[:port]/database`, `influxdbs://` with TLS. StartError."""
    try:
        its = urlsplit(url)
    except ValueError:
        raise StartError("`metrics` has no usable host") from None
    database = unquote(its.path.strip("/"))
    if its.scheme not in {"influxdb", "influxdbs"} or not its.hostname or not database or "/" in database:
        raise StartError("`metrics` is whisper, off, or influxdb[s]://[user:password@]host[:port]/database")
    if its.scheme == "influxdb" and not allow_plaintext and not _is_loopback(its.hostname):
        raise StartError(f"the InfluxDB at {its.hostname} is not on this host: use influxdbs://, or allow_plaintext")
    try:
        port = its.port or DEFAULT_PORT
    except ValueError:
        raise StartError("`metrics` has no usable port") from None
    scheme = "https" if its.scheme == "influxdbs" else "http"
    host = f"[{its.hostname}]" if ":" in its.hostname else its.hostname
    return Address(f"{scheme}://{host}:{port}", database, _basic(its.username, its.password))


def _basic(user: str | None, password: str | None) -> str:
    if user is None and password is None:
        return ""
    pair = f"{unquote(user or '')}:{unquote(password or '')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
