"""The agent's settings (etc/agent.toml has them with their meaning)."""

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from deployer.kit.settings import Settings, SettingsError, load
from deployer.protocol.commands import ARGUMENTS, SCRIPT_COMMANDS
from deployer.protocol.extensions import ExtensionName
from deployer.protocol.ids import GridId, Name, NodeId
from deployer.protocol.traits import LIMITS, PLACES, Labels, MaxLoad, MaxRam, Roles, Traits, Word
from deployer_agent.commands.extension import ExtensionSettings
from deployer_agent.commands.startup import StartupSettings, in_order
from deployer_agent.errors import StartError
from deployer_agent.link.firstcontact import read_pin

ENVIRONMENT: Final = "DEPLOYER_AGENT_"
MIB: Final = 1024 * 1024


class AgentSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that the host's operator may set. How the agent behaves otherwise, the master pushes."""

    data_dir: str = "/var/lib/deployer-agent"
    url: str = "http://127.0.0.1:8966"
    gid: GridId | None = None
    nid: NodeId | None = None
    join_token_file: str | None = None
    ask_to_join: bool = False
    ca_file: str | None = None
    ca_fingerprint: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    allow_plaintext: bool = False
    allow_root: bool = False
    max_tasks: Annotated[int, Meta(ge=1, le=100_000)] = 1000
    messages_bytes: Annotated[int, Meta(ge=200 * MIB)] = 2048 * MIB
    max_lines: Annotated[int, Meta(ge=0)] = 0
    outbox_bytes: Annotated[int, Meta(ge=MIB)] = 1024 * MIB
    ballast_bytes: Annotated[int, Meta(ge=64 * 1024)] = 8 * MIB
    stats_interval: Annotated[int, Meta(ge=1, le=3600)] = 30
    stats_bytes: Annotated[int, Meta(ge=MIB)] = 64 * MIB
    hold_bytes: Annotated[int, Meta(ge=MIB)] = 32 * MIB
    roles: Roles = []
    labels: Labels = {}
    rack: Word | None = None
    zone: Word | None = None
    datacenter: Word | None = None
    region: Word | None = None
    policy_file: str | None = None
    scripts_dir: str = "/etc/deployer/scripts"
    python: str = ""
    lua: str = ""
    startup: dict[Name, StartupSettings] = {}
    extensions: dict[ExtensionName, ExtensionSettings] = {}
    max_jobs: Annotated[int, Meta(ge=1, le=100_000)] = 1000
    max_ram: MaxRam | None = None
    max_load: MaxLoad | None = None
    drain_s: Annotated[float, Meta(ge=0, le=86_400)] = 0.0
    stop_s: Annotated[float, Meta(ge=0, le=600)] = 10.0


def traits(settings: AgentSettings) -> Traits:
    """What the agent declares of itself."""
    places = {name: getattr(settings, name) for name in PLACES}
    limits = {name: getattr(settings, name) for name in LIMITS}
    return Traits(roles=settings.roles or None, labels=settings.labels or None, **places, **limits)


def read(file: str | None, options: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> Settings[Any]:
    """File, environment and options in one record; StartError when something does not fit."""
    path = None if file is None else Path(file)
    try:
        settings = load(AgentSettings, file=path, environment=environment, prefix=ENVIRONMENT, options=options)
    except SettingsError as error:
        raise StartError(str(error)) from None
    _check_url(settings.values)
    _check_trust(settings.values)
    _check_own(settings.values)
    return settings


def _check_own(settings: AgentSettings) -> None:
    """Processes and commands of the agent's own."""
    in_order(settings.startup)
    for name, its in settings.startup.items():
        try:
            re.compile(its.ready_match or "")
        except re.error as error:
            raise StartError(f"[startup.{name}] ready_match is no regular expression: {error}") from None
    taken = sorted(set(settings.extensions) & {*ARGUMENTS, *SCRIPT_COMMANDS})
    if taken:
        raise StartError(f"[extensions.{taken[0]}]: this is the name of a command that every agent has")


def _check_url(settings: AgentSettings) -> None:
    try:
        parts = urlsplit(settings.url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or parts.username or parts.query or parts.fragment:
        raise StartError(f"url must be http://HOST:PORT or https://HOST:PORT, not {settings.url!r}")
    if parts.scheme == "http" and not settings.allow_plaintext and not _is_loopback(parts.hostname or ""):
        raise StartError(f"{settings.url} is not encrypted and not this host: use https, or allow_plaintext")


def _check_trust(settings: AgentSettings) -> None:
    if (settings.join_token_file or "").startswith("dpj_"):  # which must not be told: others read logs
        raise StartError("join_token_file is the path of a file that holds the join token, not the token itself")
    if settings.tls_key is not None and settings.tls_cert is None:
        raise StartError("tls_key without tls_cert: the agent shows a certificate when it has both")
    if settings.ca_fingerprint is None:
        return
    try:
        read_pin(settings.ca_fingerprint)
    except ValueError as error:
        raise StartError(f"ca_fingerprint: {error}") from None
    if settings.url.startswith("http:"):
        raise StartError("with ca_fingerprint the url must be https: plain http shows no CA")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
