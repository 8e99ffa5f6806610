"""`twistd deployer-agent`: options, and the one place of the agent that names the reactor."""

import os
import sys
import time
from typing import Any, ClassVar

from twisted.application.service import Service
from twisted.python import usage

from deployer.kit.failpoints import WrongFailpointsError, arm
from deployer.kit.running import fail, prepare, run_twistd
from deployer.protocol.failpoints import AGENT
from deployer_agent.config import read
from deployer_agent.errors import StartError

PROGRAM = "deployer-agent"


class Options(usage.Options):
    """The command line of the agent."""

    synopsis = "[options]"
    longdesc = "Runs what the master asks for on this host. Options win over DEPLOYER_AGENT_… and the file."
    optParameters: ClassVar = [
        ["config", None, None, "TOML file with settings (see etc/agent.toml)"],
        ["data-dir", "d", None, "directory of the agent's key and journal"],
        ["url", "u", None, "the master: https://HOST:PORT, or http on loopback"],
        ["gid", None, None, "grid to join"],
        ["nid", None, None, "number in the grid; without it the master gives one"],
        ["join-token-file", None, None, "file with the join token, needed until the agent has joined"],
        ["ca-file", None, None, "PEM of the CA that the master's certificate is from"],
        [
            "ca-fingerprint",
            None,
            None,
            "sha256:… of the master's CA, as the master tells it (a join token may hold it)",
        ],
        ["tls-cert", None, None, "PEM of the agent's own certificate, for a master that asks for one"],
        ["tls-key", None, None, "PEM of its key; without it tls-cert holds both"],
    ]
    optFlags: ClassVar = [
        ["ask-to-join", None, "without a join token: wait until somebody at the master accepts this agent"],
        ["allow-root", None, "let jobs run as root when the agent does"],
        ["allow-plaintext", None, "accept plain HTTP to another host"],
        ["check", None, "print the settings with the source of each value and exit"],
    ]

    def postOptions(self) -> None:
        """Read all settings, so that a wrong one ends the start with one line."""
        texts = ("data-dir", "url", "gid", "nid", "join-token-file", "ca-file", "ca-fingerprint", "tls-cert", "tls-key")
        given: dict[str, Any] = {name.replace("-", "_"): self[name] for name in texts}
        given |= {
            name.replace("-", "_"): True if self[name] else None
            for name in ("ask-to-join", "allow-root", "allow-plaintext")
        }
        try:
            self.settings = read(self["config"], given)
            arm(os.environ, AGENT)
        except (StartError, WrongFailpointsError) as error:
            raise usage.UsageError(str(error)) from None
        if self["check"]:
            self._check_policy()
            sys.stdout.write(self.settings.describe() + "\n")
            raise SystemExit(0)

    def _check_policy(self) -> None:
        from deployer_agent.platform import load_policy  # noqa: PLC0415 (only here)

        settings = self.settings.values
        try:
            load_policy(settings.policy_file, allow_root=settings.allow_root)
        except StartError as error:
            raise usage.UsageError(str(error)) from None


def makeService(options: Options) -> Service:
    """The agent as a service; nothing is opened before it starts, since twistd forks in between."""
    from deployer_agent.assembly.agent import Agent  # noqa: PLC0415 (treq and others, only when an agent is made)

    reactor = _reactor()
    prepare(reactor)
    return Agent(options.settings.values, reactor, time.time, lambda reason: fail(reactor, PROGRAM, reason))


def _reactor() -> Any:
    """The epoll reactor that twistd installed, or the platform's."""
    from twisted.internet import reactor  # noqa: PLC0415, TID251 (one of the two places)

    return reactor


def main() -> None:
    """The console script."""
    run_twistd(PROGRAM)
