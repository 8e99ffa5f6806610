"""Round trips of `ping` and `/bin/true` through a real master and agent, beside the bare rate of starting processes.

Run by hand: `make bench CASE=roundtrip`. Every job is one `POST /api/v1/jobs?wait=30` on a kept-alive connection:
accepted durably (appendfsync always), signed, claimed, journaled (synchronous=FULL), run, its result stored.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from support.programs import Fleet, fleet

BODIES = {
    "ping": {"cmd": "ping", "target": "1:1"},
    "/bin/true": {"cmd": "execute", "args": {"cmd": "/bin/true"}, "target": "1:1"},
}


class Client:
    """One kept-alive connection."""

    def __init__(self, host: str, port: int, token: str, body: dict[str, object]) -> None:
        raw = json.dumps(body).encode()
        head = (
            f"POST /api/v1/jobs?wait=30 HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n"
        )
        self._request = head.encode() + raw
        self._address = (host, port)

    async def open(self) -> None:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection(*self._address)

    async def run(self, state: bytes = b'"state":"OK"') -> float:
        """One job; seconds it took."""
        begin = time.perf_counter()
        self._writer.write(self._request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        body = await self._reader.readexactly(length)
        if state not in body:
            raise RuntimeError(f"a job did not end well: {head!r} {body!r}")
        return time.perf_counter() - begin


async def measure(made: Fleet, body: dict[str, object], outstanding: int, jobs: int) -> tuple[float, list[float]]:
    host, _, port = made.url.removeprefix("http://").partition(":")
    token = (made.data / "admin-token").read_text().strip()
    clients = [Client(host, int(port), token, body) for _ in range(outstanding)]
    for client in clients:
        await client.open()
        if outstanding == 1:
            await client.run()
    left = iter(range(jobs))
    times: list[float] = []

    async def work(client: Client) -> None:
        for _ in left:
            times.append(await client.run())  # noqa: PERF401 (others append meanwhile)

    begin = time.perf_counter()
    await asyncio.gather(*(work(client) for client in clients))
    return jobs / (time.perf_counter() - begin), sorted(times)


def bare_spawns(count: int = 1000) -> tuple[float, float]:
    begin = time.perf_counter()
    for _ in range(count):
        subprocess.run(["/bin/true"], check=True)
    popen = count / (time.perf_counter() - begin)
    begin = time.perf_counter()
    for _ in range(count):
        os.waitpid(os.posix_spawn("/bin/true", ["/bin/true"], {}), 0)
    return popen, count / (time.perf_counter() - begin)


def report(name: str, outstanding: int, rate: float, times: list[float]) -> None:
    p50, p99 = statistics.median(times) * 1000, times[int(len(times) * 0.99)] * 1000
    print(f"{name:10} {outstanding:4} outstanding: {rate:7.0f}/s  p50 {p50:7.2f} ms  p99 {p99:7.2f} ms", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=6000)
    parser.add_argument("--only", choices=list(BODIES))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, fleet(Path(folder)) as made:
        made.start_master()
        made.start_agent()
        print(f"master pid {made.master.pid}, agent pid {made.agents[1].pid}", flush=True)
        for name, body in BODIES.items():
            if options.only in {None, name}:
                for outstanding, jobs in ((1, options.jobs // 10), (200, options.jobs)):
                    asyncio.run(measure(made, body, outstanding, max(outstanding, jobs // 10)))  # warm
                    rate, times = asyncio.run(measure(made, body, outstanding, jobs))
                    report(name, outstanding, rate, times)
    popen, posix = bare_spawns()
    print(f"bare: subprocess.run {popen:.0f}/s, posix_spawn {posix:.0f}/s")


if __name__ == "__main__":
    main()
