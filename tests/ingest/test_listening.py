"""Descriptions of where data comes in, and whose it is."""

import ipaddress

import pytest

from deployer.config import MasterSettings, read, receivers, source_networks
from deployer.errors import StartError
from deployer.ingest.listening import Kind, Listening, listening
from deployer.ingest.tenants import Tenants


@pytest.mark.parametrize(
    ("kind", "description", "expected"),
    [
        ("syslog", "udp:514", Listening("syslog", "udp", 514)),
        ("syslog", "udp", Listening("syslog", "udp", 5140)),
        ("syslog", "udp:", Listening("syslog", "udp", 5140)),
        ("statsd", "udp:", Listening("statsd", "udp", 8125)),
        ("graphite", "tcp:", Listening("graphite", "tcp", 2003)),
        ("statsd", "udp:interface=0.0.0.0", Listening("statsd", "udp", 8125, "0.0.0.0")),  # noqa: S104
        ("syslog", "udp:1:company=acme", Listening("syslog", "udp", 1, "127.0.0.1", "acme")),
        ("syslog", "udp:1:interface=\\:\\:1:company=a\\:b", Listening("syslog", "udp", 1, "::1", "a:b")),
    ],
)
def test_a_description_names_port_interface_and_company(kind: Kind, description: str, expected: Listening) -> None:
    assert listening(kind, description) == expected


@pytest.mark.parametrize(
    ("kind", "description"),
    [
        ("syslog", ""),
        ("syslog", "5140"),
        ("syslog", "tcp:5140"),
        ("statsd", "tcp:8125"),
        ("graphite", "ssl:2003"),
        ("syslog", "udp:x"),
        ("syslog", "udp:65536"),
        ("syslog", "udp:-1"),
        ("syslog", "udp:٣"),
        ("syslog", "udp:1:2"),
        ("syslog", "udp:1:interface=host"),
        ("syslog", "udp:1:interface="),
        ("syslog", "udp:1:company="),
        ("syslog", "udp:1:company=a:company=b"),
        ("syslog", "udp:1:size=9"),
    ],
)
def test_any_other_description_stops_the_start(kind: Kind, description: str) -> None:
    with pytest.raises(StartError, match=kind):
        listening(kind, description)


def test_the_settings_have_all_receivers_in_order() -> None:
    settings = MasterSettings(syslog=("udp:1", "udp:2"), statsd=("udp:",), graphite=("tcp:", "udp:"))
    assert [(one.kind, one.transport, one.port) for one in receivers(settings)] == [
        ("syslog", "udp", 1),
        ("syslog", "udp", 2),
        ("statsd", "udp", 8125),
        ("graphite", "tcp", 2003),
        ("graphite", "udp", 2003),
    ]


@pytest.mark.parametrize(
    "options",
    [{"syslog": ["udp:x"]}, {"source_networks": {"10.0.0.1/8": "acme"}}, {"source_networks": {"web": "acme"}}],
)
def test_wrong_settings_stop_the_start(options: dict[str, object]) -> None:
    with pytest.raises(StartError):
        read(None, options, {})


def test_the_longest_prefix_decides_about_the_company() -> None:
    networks = source_networks(
        MasterSettings(source_networks={"10.0.0.0/8": "wide", "10.1.0.0/16": "near", "fd00::/8": "six"})
    )
    tenants = Tenants(networks)
    assert tenants.company("10.2.0.1", "listener") == "wide"
    assert tenants.company("10.1.0.1", "listener") == "near"
    assert tenants.company("::ffff:10.1.0.1", "listener") == "near"
    assert tenants.company("fd00::1%eth0", "listener") == "six"
    assert tenants.company("192.168.0.1", "listener") == "listener"
    assert ipaddress.ip_network("10.0.0.0/8") in networks
