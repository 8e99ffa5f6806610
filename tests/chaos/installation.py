"""What is tormented: Redis, three masters behind HAProxy, three agents each in a network namespace of its own."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from chaos.network import Wire, run
from chaos.parts import Part, answers, is_running
from chaos.proxies import Proxy
from deployer.stores.embedded import find_server
from support.programs import ROOT, Program
from support.resp import Resp
from support.wait import until

MASTERS: Final = (1, 2, 3)
AGENTS: Final = (1, 2, 3)
EDGE: Final = 8000
BALANCER: Final = 8966
REDIS: Final = """port 6379
bind 127.0.0.1
unixsocket {folder}/redis.sock
dir {folder}
appendonly yes
appendfsync always
save ""
maxmemory-policy noeviction
"""
MASTER: Final = """drain_s = 1.0
metrics = "off"
trusted_proxies = ["127.0.0.1"]
"""
AGENT: Final = """stats_interval = 2
"""


class Installation:
    """All parts by name, wires by agent, proxies by what they are in front of."""

    def __init__(self, folder: Path, source: Path) -> None:
        run("ip", "link", "set", "lo", "up")
        self.folder = folder
        self.source = source
        self.wires = {number: Wire(number) for number in AGENTS}
        self.ways = self._ways()
        self.parts = {part.name: part for part in (self._redis(), *self._masters(), self._haproxy(), *self._agents())}

    def start(self) -> None:
        """Start all, one after the other."""
        for part in self.parts.values():
            part.start()
            part.wait()
        until(lambda: len(self._online()) == len(AGENTS), what="all agents to be online")

    def stop(self) -> None:
        """End all of it."""
        for part in self.parts.values():
            if part.program.process is not None:
                with contextlib.suppress(ProcessLookupError):
                    part.go_on()
                part.program.kill()
        for way in self.ways.values():
            way.close()
        for wire in self.wires.values():
            wire.close()

    def redis(self) -> Resp:
        """A connection that no fault touches, as long as the server lives."""
        return Resp(self.folder / "redis.sock")

    @property
    def token(self) -> str:
        """The admin's."""
        return (self.folder / "master1" / "admin-token").read_text().strip()

    def _online(self) -> list[int]:
        with self.redis() as redis:
            return [n for n in AGENTS if redis.ask("HGET", f"dpl:agent:1:{n}", "state") == b"online"]

    def _ways(self) -> dict[str, Proxy]:
        balancer, server = ("127.0.0.1", BALANCER), ("127.0.0.1", 6379)
        ways = {"clients": Proxy(("127.0.0.1", EDGE), balancer)}
        ways |= {f"agent{n}": Proxy((wire.here, EDGE), balancer) for n, wire in self.wires.items()}
        return ways | {f"redis{n}": Proxy(("127.0.0.1", 6379 + n), server) for n in MASTERS}

    def _program(self, name: str, *arguments: str) -> Program:
        return Program(name.rstrip("0123456789"), self.folder / f"{name}.log", *arguments)

    def _redis(self) -> Part:
        file = self.folder / "redis.conf"
        file.write_text(REDIS.format(folder=self.folder))
        program = self._program("redis")
        program.arguments = [str(find_server()), str(file)]
        return Part("redis", "redis", program, answers(("127.0.0.1", 6379), b"PING\r\n"), self.source)

    def _masters(self) -> Iterator[Part]:
        key, file = self.folder / "master.key", self.folder / "masters.toml"
        key.touch(mode=0o600)
        key.write_bytes(Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        file.write_text(MASTER)
        for number in MASTERS:
            port = 8000 + number
            options = [f"--data-dir={self.folder / f'master{number}'}", f"--http=tcp:{port}:interface=127.0.0.1"]
            more = [f"--key-file={key}", f"--config={file}", f"--redis=redis://127.0.0.1:{6379 + number}"]
            program = self._program(f"deployer-master{number}", *options, *more)
            question = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
            yield Part("master", f"master{number}", program, answers(("127.0.0.1", port), question), self.source)

    def _haproxy(self) -> Part:
        program = self._program("haproxy")
        addresses = [f"DEPLOYER_MASTER_{number}=127.0.0.1:{8000 + number}" for number in MASTERS]
        file = ROOT / "etc" / "haproxy.cfg"
        program.arguments = ["env", f"DEPLOYER_BIND=:{BALANCER}", *addresses, "haproxy", "-db", "-f", str(file)]
        question = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        return Part("haproxy", "haproxy", program, answers(("127.0.0.1", BALANCER), question), self.source)

    def _agents(self) -> Iterator[Part]:
        file = self.folder / "agents.toml"
        file.write_text(AGENT)
        for number, wire in self.wires.items():
            yield self.agent(number, f"http://{wire.here}:{EDGE}", wire.prefix)

    def agent(self, number: int, url: str, prefix: list[str]) -> Part:
        """An agent that is not started yet."""
        data, token = self.folder / f"agent{number}", self.folder / "master1" / "join-token"
        options = [f"--data-dir={data}", f"--url={url}", "--gid=1", f"--nid={number}", f"--join-token-file={token}"]
        more = ["--allow-root", "--allow-plaintext", f"--config={self.folder / 'agents.toml'}"]
        program = self._program(f"deployer-agent{number}", *options, *more)
        program.arguments = [*prefix, *program.arguments]
        return Part("agent", f"agent{number}", program, is_running(program), self.source)


@contextlib.contextmanager
def installation(folder: Path, source: Path) -> Iterator[Installation]:
    """One that runs; all of it is ended afterwards."""
    made = Installation(folder, source)
    try:
        made.start()
        yield made
    finally:
        made.stop()
