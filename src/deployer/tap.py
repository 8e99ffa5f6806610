"""`twistd deployer-master`: options, and the one place of the master that names the reactor."""

import os
import sys
import time
from typing import Any, ClassVar

from twisted.application.service import Service
from twisted.python import usage

from deployer.config import read
from deployer.errors import StartError
from deployer.kit.failpoints import WrongFailpointsError, arm
from deployer.kit.running import fail, prepare, run_twistd
from deployer.protocol.failpoints import MASTER

PROGRAM = "deployer-master"
RECEIVERS = ("http", "syslog", "statsd", "graphite")


class Options(usage.Options):
    """The command line of the master."""

    synopsis = "[options]"
    longdesc = (
        "REST API, dispatcher and receivers of Deployer in one reactor. Options win over DEPLOYER_… and the file."
    )
    optParameters: ClassVar = [
        ["config", None, None, "TOML file with settings (see etc/master.toml)"],
        ["data-dir", "d", None, "directory of keys, tokens and the embedded Redis"],
        ["redis", "r", None, "redis://…, rediss://…, unix:… or HOST:PORT; without it the master starts its own"],
        ["key-file", None, None, "the masters' key (needed with --redis)"],
    ]
    optFlags: ClassVar = [
        ["check", None, "print the settings with the source of each value and exit"],
        ["new-admin-token", None, "make another admin token in the data directory and exit"],
        ["auto-tls", None, "serve TLS with a certificate of the installation's own CA"],
        ["allow-plaintext", None, "accept plain HTTP from other hosts too"],
        ["accept-data-loss", None, "accept a Redis that may lose accepted work"],
    ]

    def __init__(self) -> None:
        usage.Options.__init__(self)
        for name in RECEIVERS:
            self[name] = []

    def opt_http(self, description: str) -> None:
        """Where the API listens: a Twisted endpoint, such as tcp:8966:interface=127.0.0.1; may be repeated."""
        self["http"].append(description)

    def opt_syslog(self, description: str) -> None:
        """Where syslog comes in: udp:PORT[:interface=ADDR][:company=NAME], by default 5140; may be repeated."""
        self["syslog"].append(description)

    def opt_statsd(self, description: str) -> None:
        """Where statsd comes in: as --syslog, by default 8125; may be repeated."""
        self["statsd"].append(description)

    def opt_graphite(self, description: str) -> None:
        """Where Graphite's plain text comes in: as --syslog, udp: or tcp:, by default 2003; may be repeated."""
        self["graphite"].append(description)

    def opt_port(self, port: str) -> None:
        """Short form of --http on loopback (seed 001)."""
        if not port.isdigit():
            raise usage.UsageError(f"--port takes a number, not {port!r}")
        self["http"].append(f"tcp:{port}:interface=127.0.0.1")

    opt_p = opt_port

    def postOptions(self) -> None:
        """Read all settings, so that a wrong one ends the start with one line."""
        given = {name.replace("-", "_"): self[name] for name in ("data-dir", "redis", "key-file")}
        given |= {
            name.replace("-", "_"): self[name] or None
            for name in (*RECEIVERS, "auto-tls", "allow-plaintext", "accept-data-loss")
        }
        if given["redis"] and "://" not in given["redis"] and not given["redis"].startswith("unix:"):
            given["redis"] = f"redis://{given['redis']}"
        for flag in ("auto_tls", "allow_plaintext", "accept_data_loss"):
            given[flag] = True if given[flag] else None
        try:
            self.settings = read(self["config"], given)
            arm(os.environ, MASTER)
        except (StartError, WrongFailpointsError) as error:
            raise usage.UsageError(str(error)) from None
        if self["check"]:
            sys.stdout.write(self.settings.describe() + "\n")
            raise SystemExit(0)


def makeService(options: Options) -> Service:
    """The master as a service; nothing is opened before it starts, since twistd forks in between."""
    from deployer.assembly.master import Master, TokenMaker  # noqa: PLC0415 (Klein and others, only when a master is made)

    reactor = _reactor()
    prepare(reactor)
    kind = TokenMaker if options["new-admin-token"] else Master
    return kind(options.settings.values, reactor, time.time, lambda reason: fail(reactor, PROGRAM, reason))


def _reactor() -> Any:
    """The epoll reactor that twistd installed, or the platform's."""
    from twisted.internet import reactor  # noqa: PLC0415, TID251 (one of the two places)

    return reactor


def main() -> None:
    """The console script."""
    run_twistd(PROGRAM)
