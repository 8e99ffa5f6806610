"""Thousands of agents in one process: real keys, sessions and long polls over sockets, and nothing behind them.

Each has an address of its own on loopback, as thousands of hosts have, and comes back after a lost connection as the
agent does: with full-jitter backoff.
"""

import asyncio
import json
import secrets
import ssl
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deployer.kit.backoff import Backoff
from deployer.protocol.ids import AgentId
from deployer.protocol.signing import public_text, sign
from deployer.protocol.wire import MEDIA_TYPE, session_text

LOST = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)


class RefusedError(Exception):
    """A status that is not 200."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"{status}: {body[:200]!r}")
        self.status = status


class Http:
    """One kept-alive connection from an address of its own."""

    def __init__(self, port: int, source: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._port = port
        self._source = source
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: object = None, token: str = "") -> Any:
        """One request; its JSON. RefusedError, or one of LOST."""
        if self._streams is None:
            secure: dict[str, Any] = {} if self._tls is None else {"ssl": self._tls, "server_hostname": "localhost"}
            source = (self._source, 0)
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, local_addr=source, **secure)
        reader, writer = self._streams
        raw = b"" if body is None else json.dumps(body).encode()
        kind = MEDIA_TYPE if not path.startswith("/api") else "application/json"
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {kind}\r\n"
        head += f"Authorization: Bearer {token}\r\n" if token else ""
        head += f"Content-Type: {kind}\r\nContent-Length: {len(raw)}\r\n\r\n" if body is not None else "\r\n"
        try:
            writer.write(head.encode() + raw)
            answered = (await reader.readuntil(b"\r\n\r\n")).lower()
            content = await reader.readexactly(int(answered.partition(b"content-length:")[2].split(b"\r\n")[0]))
        except BaseException:
            self.close()
            raise
        if b"connection: close" in answered:
            self.close()
        status = int(answered.split(b" ", 2)[1])
        if status not in {200, 201, 202}:
            raise RefusedError(status, content)
        return json.loads(content)

    def close(self) -> None:
        """Drop the connection."""
        if self._streams is not None:
            if self._tls is None:
                self._streams[1].close()
            else:  # no good-bye, which would outlive the loop
                self._streams[1].transport.abort()
            self._streams = None


class SimulatedAgent:
    """One of them. `polls` counts answers, `asked` is when the last poll began that was answered."""

    def __init__(
        self, number: int, port: int, take: int = 0, tls: ssl.SSLContext | None = None, *, obeys: bool = False
    ) -> None:
        """`obeys`: what comes is said to be done."""
        self._obeys = obeys
        self._got: list[str] = []
        self.agent = AgentId(1, number)
        self.polls = 0
        self.asked = 0.0
        self.commands = 0
        self.times: list[float] = []
        self._take = take
        self._key = Ed25519PrivateKey.generate()
        self._instance = secrets.token_hex(16)
        self._http = Http(port, f"127.1.{number // 250}.{number % 250 + 1}", tls)
        self._session = ""

    def leave(self) -> None:
        """Drop the connection."""
        self._http.close()

    async def join(self, token: str) -> None:
        """Be known."""
        wanted = {"token": token, "public_key": public_text(self._key.public_key()), "hostname": "simulated"}
        await self._http.ask("POST", "/agent/v1/join", {**wanted, "gid": self.agent.gid, "nid": self.agent.nid})

    async def open(self) -> None:
        """Have a session."""
        challenge = (await self._http.ask("GET", "/agent/v1/challenge"))["challenge"]
        signature = sign(self._key, session_text(self.agent, self._instance, challenge))
        proof = {"instance": self._instance, "challenge": challenge, "signature": signature, "version": "simulated"}
        numbers = {"gid": self.agent.gid, "nid": self.agent.nid}
        self._session = (await self._http.ask("POST", "/agent/v1/session", numbers | proof))["session"]

    @property
    def is_back(self) -> bool:
        """Whether it has a session."""
        return bool(self._session)

    async def poll(self, wait_s: int = 15) -> int:
        """Ask once; how many commands came."""
        begin, asked = time.perf_counter(), time.monotonic()
        path = f"/{self.agent.gid}/{self.agent.nid}/cmd?n={self._take}&wait={wait_s}"
        answer = await self._http.ask("GET", path, token=self._session)
        self.times.append(time.perf_counter() - begin)
        self.polls += 1
        self.asked = asked
        self.commands += len(answer["commands"])
        self._got = [json.loads(one["payload"])["id"] for one in answer["commands"]] if self._obeys else []
        return len(answer["commands"])

    async def _obey(self) -> None:
        """Say that all that came is done."""
        ids, self._got = self._got, []
        place = f"/{self.agent.gid}/{self.agent.nid}"
        await self._http.ask("POST", f"{place}/accept", {"accepted": ids}, self._session)
        done = [{"id": one, "state": "OK", "data": "true", "level": 20} for one in ids]
        await self._http.ask("POST", f"{place}/result", {"results": done}, self._session)

    async def live(self) -> None:
        """Poll until cancelled, whatever happens to the master."""
        backoff = Backoff()
        while True:
            try:
                if not self._session:
                    await self.open()
                await self.poll()
                if self._got:
                    await self._obey()
                backoff.reset()
                continue
            except RefusedError as error:
                if error.status in {401, 409}:
                    self._session = ""
            except LOST:
                pass
            await asyncio.sleep(backoff.next_delay())


async def gathered(work: Iterable[Any], together: int = 100) -> None:
    """Do all, so many at a time."""
    left = iter(work)

    async def one_after_another() -> None:
        for coroutine in left:
            await coroutine

    await asyncio.gather(*(one_after_another() for _ in range(together)))


async def ended(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel all of them."""
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, *LOST):
            await task
