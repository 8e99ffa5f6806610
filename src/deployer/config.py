"""The master's settings (etc/master.toml has them with their meaning)."""

import ipaddress
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from deployer.errors import StartError
from deployer.ingest.listening import DATAGRAMS_A_SOURCE, Kind, Listening, listening
from deployer.kit.settings import Settings, SettingsError, load
from deployer.model import thinning
from deployer.model.storage import AggregationRule, Plans, SchemaRule
from deployer.stores.metrics.influxaddress import Address, parse

ENVIRONMENT: Final = "DEPLOYER_"
_COLON: Final = re.compile(r"(?<!\\):")  # one that is not escaped, as in an IPv6 address
_HOST: Final = re.compile(
    r"(?=.{1,253}\Z)(\*\.)?([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
DEFAULT_HTTP: Final = "tcp:8966:interface=127.0.0.1"


class MasterSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that an operator may set."""

    data_dir: str = "/var/lib/deployer-master"
    http: tuple[str, ...] = (DEFAULT_HTTP,)
    allow_plaintext: bool = False
    key_file: str | None = None
    redis: str | None = None
    redis_max_memory: Annotated[int, Meta(ge=64 * 1024 * 1024)] = 2 * 1024**3
    redis_wait_s: Annotated[float, Meta(gt=0)] = 60.0
    accept_data_loss: bool = False
    auto_tls: bool = False
    tls_names: tuple[str, ...] = ()
    client_ca_file: str | None = None
    waiting_room: bool = False
    trusted_proxies: tuple[str, ...] = ()
    webhook_networks: tuple[str, ...] = ()
    drain_s: Annotated[float, Meta(ge=0, le=300)] | None = None
    redis_commands: bool | None = None
    metrics: str = "whisper"
    series_per_company: Annotated[int, Meta(ge=1, le=100_000)] = 10_000
    series_days: Annotated[int, Meta(ge=1, le=3650)] = 90
    storage_schemas: tuple[SchemaRule, ...] = ()
    storage_aggregation: tuple[AggregationRule, ...] = ()
    log_thinning: str = "all:7d, 1/10:30d, 1/100:1y"
    log_bytes_per_company: Annotated[int, Meta(ge=1024 * 1024)] = 512 * 1024 * 1024
    log_share_bytes: Annotated[int, Meta(ge=0)] = 64 * 1024 * 1024
    syslog: tuple[str, ...] = ()
    statsd: tuple[str, ...] = ()
    graphite: tuple[str, ...] = ()
    source_networks: dict[str, str] = {}
    ingest_per_source: Annotated[int, Meta(ge=1)] = DATAGRAMS_A_SOURCE


def read(file: str | None, options: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> Settings[Any]:
    """File, environment and options in one record; StartError when something does not fit."""
    path = None if file is None else Path(file)
    try:
        settings = load(MasterSettings, file=path, environment=environment, prefix=ENVIRONMENT, options=options)
    except SettingsError as error:
        raise StartError(str(error)) from None
    _check(settings.values)
    return settings


def _check(settings: MasterSettings) -> None:
    if settings.redis is not None and settings.key_file is None:
        raise StartError("with a `redis` setting `key_file` is needed: all masters of an installation share one key")
    if settings.client_ca_file is not None and not settings.auto_tls and not any(map(_is_tls, settings.http)):
        raise StartError("client_ca_file needs TLS that ends here: auto_tls, or an ssl: endpoint")
    influxdb(settings)
    storage_plans(settings)
    thinning_schedule(settings)
    proxies(settings)
    webhook_networks(settings)
    receivers(settings)
    source_networks(settings)
    _check_names(settings)
    for description in settings.http:
        kind = description.partition(":")[0]
        if kind not in ENDPOINTS:
            raise StartError(
                f"http: {description!r}: there is no endpoint of type {kind!r}, only {', '.join(ENDPOINTS)}"
            )
        if not settings.allow_plaintext and not _is_private(description, settings.auto_tls):
            raise StartError(
                f"{description} would carry tokens in plain text over the network: "
                "use auto_tls, ssl:, interface=127.0.0.1, or allow_plaintext"
            )


ENDPOINTS: Final = ("tcp", "tcp6", "ssl", "unix", "systemd", "haproxy")
"""Where the API may listen."""


def _is_tls(description: str) -> bool:
    return description.startswith("ssl:")


def _check_names(settings: MasterSettings) -> None:
    for name in settings.tls_names:
        if not _HOST.fullmatch(name) and not _is_address(name):
            raise StartError(f"tls_names has host names (a first part of * stands for any) and addresses, not {name!r}")


def _is_address(text: str) -> bool:
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False


FILES: Final = "whisper"
OFF: Final = "off"


def influxdb(settings: MasterSettings) -> Address | None:
    """The InfluxDB that numbers are kept in; None without one, StartError for what is none."""
    if settings.metrics in {FILES, OFF}:
        return None
    return parse(settings.metrics, allow_plaintext=settings.allow_plaintext)


def storage_plans(settings: MasterSettings) -> Plans:
    """How series are kept; StartError for a rule that is none."""
    try:
        return Plans(settings.storage_schemas, settings.storage_aggregation)
    except ValueError as error:
        raise StartError(f"storage_schemas and storage_aggregation: {error}") from None


def thinning_schedule(settings: MasterSettings) -> thinning.Schedule:
    """How logs thin out; StartError for what is no schedule."""
    try:
        return thinning.parse(settings.log_thinning)
    except ValueError as error:
        raise StartError(f"log_thinning: {error}") from None


def proxies(settings: MasterSettings) -> tuple[Network, ...]:
    """The balancers' addresses and networks; StartError for what is neither."""
    return _networks("trusted_proxies", settings.trusted_proxies)


def webhook_networks(settings: MasterSettings) -> tuple[Network, ...]:
    """Networks that are not public and may be told of events all the same; StartError for what is none."""
    return _networks("webhook_networks", settings.webhook_networks)


def receivers(settings: MasterSettings) -> list[Listening]:
    """Where machines' data comes in; StartError for a description that is none."""
    asked: list[tuple[Kind, str]] = [("syslog", one) for one in settings.syslog]
    asked += [("statsd", one) for one in settings.statsd]
    asked += [("graphite", one) for one in settings.graphite]
    return [listening(kind, description) for kind, description in asked]


def source_networks(settings: MasterSettings) -> dict[Network, str]:
    """Companies, as they are named in the settings, by the network of a sender; StartError for what is none."""
    names = settings.source_networks
    return dict(zip(_networks("source_networks", tuple(names)), names.values(), strict=True))


def _networks(name: str, texts: Sequence[str]) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(text) for text in texts)
    except ValueError as error:
        raise StartError(f"{name} has addresses or networks: {error}") from None


def _is_private(description: str, auto_tls: bool) -> bool:  # noqa: FBT001 (a setting)
    """Tell whether an endpoint is encrypted or reached from this host only."""
    kind, _, rest = description.partition(":")
    if kind in {"ssl", "unix"} or (kind == "tcp" and auto_tls):
        return True
    parts = _COLON.split(rest)
    interface = next((part.removeprefix("interface=") for part in parts if part.startswith("interface=")), "")
    try:
        return ipaddress.ip_address(interface.replace("\\", "")).is_loopback
    except ValueError:
        return interface == "localhost"
