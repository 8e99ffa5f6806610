"""One job on a thousand agents, and a job of ten thousand tasks read page by page.

Run by hand: `python bench/fanout.py`. The agents are simulated: one process, a real session and connection each.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from support.programs import fleet
from support.simulated import Http, SimulatedAgent, ended, gathered

AGENTS = 1_000
TASKS = 10_000
ROUNDS = 5
SETTLE_S = 2.0


async def fan_out(client: Http, token: str, number: int, body: dict[str, Any]) -> float:
    """Seconds from the POST until all results are in."""
    begin = time.perf_counter()
    job = await client.ask("POST", "/api/v1/jobs?wait=60", {**body, "id": f"{body['cmd']}-{number}"}, token)
    took = time.perf_counter() - begin
    if job["tasks"]["counts"]["OK"] != AGENTS:
        raise SystemExit(f"not all are OK: {job['tasks']}")
    return took


async def pages(client: Http, token: str, job: str, limit: int) -> list[float]:
    """Seconds for each page of its tasks."""
    times, cursor, found = [], "", 0
    while True:
        begin = time.perf_counter()
        page = await client.ask("GET", f"/api/v1/jobs/{job}/tasks?limit={limit}{cursor}", token=token)
        times.append(time.perf_counter() - begin)
        found += len(page["items"])
        if page["next"] is None:
            if found != TASKS:
                raise SystemExit(f"{found} tasks were listed, not {TASKS}")
            return times
        cursor = f"&cursor={page['next']}"


async def measured(port: int, token: str, join: str) -> None:
    agents = [SimulatedAgent(number, port, take=100, obeys=True) for number in range(1, AGENTS + 1)]
    await gathered((agent.join(join) for agent in agents), 50)
    await gathered((agent.open() for agent in agents), 50)
    lives = [asyncio.ensure_future(agent.live()) for agent in agents]
    await asyncio.sleep(SETTLE_S)
    client = Http(port)
    true: dict[str, Any] = {"cmd": "execute", "args": {"cmd": "/bin/true"}, "target": "*"}
    for body in ({"cmd": "ping", "target": "*"}, true, {**true, "priority": 1}):
        times = sorted([await fan_out(client, token, n + 10 * ("priority" in body), body) for n in range(ROUNDS)])
        middle = times[len(times) // 2]
        print(f"{body['cmd']} on {AGENTS} agents, all results in: {middle:.2f} s, at most {times[-1]:.2f} s")
    batch = {"cmd": "execute", "args": {"cmd": "/bin/true", "args": ["$item"]}, "batch": {"from": 1, "to": TASKS}}
    begin = time.perf_counter()
    await client.ask("POST", "/api/v1/jobs", {**batch, "target": "*", "id": "batch"}, token)
    accepted = time.perf_counter() - begin
    while not (await client.ask("GET", "/api/v1/jobs/batch?wait=60", token=token))["finished"]:
        pass
    print(f"a batch of {TASKS} items: accepted in {accepted:.2f} s, all done in {time.perf_counter() - begin:.1f} s")
    for limit in (100, 1000):
        times = sorted(await pages(client, token, "batch", limit))
        middle, late = times[len(times) // 2] * 1e3, times[int(len(times) * 0.99)] * 1e3
        print(f"its tasks in pages of {limit}: p50 {middle:.1f} ms, p99 {late:.1f} ms")
    await ended(lives)
    waiting = {**batch, "target": "1:1", "id": "waits", "rolling": {"size": 1}}
    await client.ask("POST", "/api/v1/jobs", waiting, token)
    times = sorted(await pages(client, token, "waits", 100))
    print(
        f"tasks that wait, in pages of 100: p50 {times[len(times) // 2] * 1e3:.1f} ms, at most {times[-1] * 1e3:.1f} ms"
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, fleet(Path(folder)) as made:
        made.start_master()
        token = (made.data / "admin-token").read_text().strip()
        join = (made.data / "join-token").read_text().strip()
        asyncio.run(measured(int(made.url.rpartition(":")[2]), token, join))


if __name__ == "__main__":
    main()
