"""Several masters on one Redis of their own, as an installation that grows has them."""

import contextlib
import json
import os
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from deployer.stores.embedded import find_server
from support.programs import ROOT, Program
from support.wait import until

REDIS = """port 0
unixsocket {socket}
dir {folder}
appendonly yes
appendfsync always
save ""
maxmemory-policy noeviction
"""


class Masters:
    """Masters by number, each with a data directory of its own; `settings` are more of their options."""

    def __init__(self, folder: Path, *settings: str) -> None:
        self.folder = folder
        self.socket = folder / "redis.sock"
        self.settings = settings
        self.masters: dict[int, Program] = {}
        self.agents: dict[int, Program] = {}
        self.urls: dict[int, str] = {}
        self.token = ""
        self._redis: subprocess.Popen[bytes] | None = None
        self._key = folder / "master.key"
        pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self._key.touch(mode=0o600)
        self._key.write_bytes(pem)

    def start_redis(self) -> None:
        """Start the server, on what it had."""
        self.socket.unlink(missing_ok=True)
        configuration = self.folder / "redis.conf"
        configuration.write_text(REDIS.format(socket=self.socket, folder=self.folder))
        log = (self.folder / "redis.log").open("ab")
        self._redis = subprocess.Popen([find_server(), configuration], stdout=log, stderr=log)
        log.close()
        until(self.socket.exists, what="the socket of redis-server")

    def kill_redis(self) -> None:
        """End it with kill -9."""
        assert self._redis is not None
        self._redis.kill()
        self._redis.wait()

    def start(self, number: int, *, ready_s: float = 60.0, **environment: str) -> Program:
        """Start a master, again on its port if it had one, and wait until it is ready, at most `ready_s` seconds."""
        data = self.folder / f"m{number}"
        port = self.urls.get(number, "").rpartition(":")[2] or "0"
        options = [f"--data-dir={data}", f"--http=tcp:{port}:interface=127.0.0.1", f"--key-file={self._key}"]
        config = self.folder / "masters.toml"
        config.write_text("drain_s = 2.0\n" + 'trusted_proxies = ["127.0.0.1"]\n' + 'metrics = "off"\n')
        options.append(f"--config={config}")
        log = self.folder / f"m{number}.log"
        master = Program("deployer-master", log, *options, f"--redis=unix:{self.socket}", *self.settings)
        master.start(**environment)
        self.masters[number] = master
        if number not in self.urls:
            self.urls[number] = until(lambda: _url(master) or "", what="the master's address")
        until(lambda: self.is_ready(number), what="the master to be ready", deadline_s=ready_s)
        with contextlib.suppress(FileNotFoundError):
            self.token = (data / "admin-token").read_text().strip()
        return master

    def start_agent(self, nid: int, url: str, *more: str) -> Program:
        """Start an agent of this URL and wait until it is online."""
        token = next(self.folder.glob("m*/join-token"))
        data = self.folder / f"agent{nid}"
        options = [f"--data-dir={data}", f"--url={url}", "--gid=1", f"--nid={nid}", f"--join-token-file={token}"]
        agent = Program("deployer-agent", self.folder / f"agent{nid}.log", *options, "--allow-root", *more)
        agent.start()
        self.agents[nid] = agent
        until(lambda: self.is_online(nid), what=f"agent {nid} to be online")
        return agent

    def is_ready(self, number: int) -> bool:
        process = self.masters[number].process
        assert process is not None
        assert process.poll() is None, self.masters[number].text()[-3000:]
        try:
            return self.ask(number, "GET", "/readyz")[0] == 200
        except OSError:
            return False

    def health(self, number: int) -> Any:
        """What a master says of itself."""
        return self.ask(number, "GET", "/readyz")[1]

    def is_online(self, nid: int) -> bool:
        """Whether some master that runs knows the agent as online."""
        number = next(n for n, master in self.masters.items() if master.process and master.process.poll() is None)
        status, agent = self.ask(number, "GET", f"/api/v1/agents/1:{nid}")
        return status == 200 and agent["state"] == "online"

    def ask(self, number: int, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """One request to one master, as the admin."""
        with contextlib.closing(self.open(number, method, path, body)) as answer:
            return answer.status, json.load(answer)

    def open(self, number: int, method: str, path: str, body: object = None, **headers: str) -> Any:
        """One request; its open answer, whatever its status."""
        data = None if body is None else json.dumps(body).encode()
        known = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.urls[number] + path, data, known | headers, method=method)  # noqa: S310
        try:
            return urllib.request.urlopen(request, timeout=90)  # noqa: S310 (our own masters)
        except urllib.error.HTTPError as error:
            return error

    def submit(self, number: int, job: str, line: str, nid: int = 1, **args: Any) -> Any:
        """A line of the shell on an agent, by one of the masters."""
        command = {"cmd": "/bin/sh", "args": ["-c", line], **args}
        status, answer = self.ask(
            number, "POST", "/api/v1/jobs", {"cmd": "execute", "args": command, "target": f"1:{nid}", "id": job}
        )
        assert status in {200, 202}, answer
        return answer

    def stop(self) -> None:
        for program in (*self.agents.values(), *self.masters.values()):
            if program.process is not None and program.process.poll() is None:
                program.stop()
        if self._redis is not None:
            self._redis.kill()
            self._redis.wait()


def _url(master: Program) -> str | None:
    assert master.process is not None
    assert master.process.poll() is None, master.text()[-3000:]
    for line in master.text().splitlines():
        if "the API listens at" in line:
            return f"http://127.0.0.1:{line.partition('port=')[2].rstrip(')')}"
    return None


@contextlib.contextmanager
def masters(folder: Path, *settings: str) -> Iterator[Masters]:
    """An installation with its Redis and no master yet."""
    made = Masters(folder, *settings)
    try:
        made.start_redis()
        yield made
    finally:
        made.stop()


@contextlib.contextmanager
def balancer(made: Masters) -> Iterator[str]:
    """A real HAProxy with the file that users get, in front of the masters that there are; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    addresses = {f"DEPLOYER_MASTER_{number}": url.removeprefix("http://") for number, url in made.urls.items()}
    environment = {**os.environ, "DEPLOYER_BIND": f"127.0.0.1:{port}", **addresses}
    command = ["haproxy", "-db", "-f", str(ROOT / "etc" / "haproxy.cfg")]
    log = (made.folder / "haproxy.log").open("ab")
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    log.close()
    made.urls[0] = f"http://127.0.0.1:{port}"
    try:
        until(lambda: _answers(made), what="HAProxy to find the masters")
        yield made.urls[0]
    finally:
        process.kill()
        process.wait()


def _answers(made: Masters) -> bool:
    try:
        return made.ask(0, "GET", "/readyz")[0] == 200
    except (OSError, ValueError):  # nobody listens yet, or HAProxy's own page
        return False
