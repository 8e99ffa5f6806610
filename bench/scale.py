"""Many clients, many jobs, many agents on one master.

Run by hand: `python bench/scale.py`. Durable submits from 50 clients; polls that claim with 100,000 jobs queued over 20
agents; 5,000 agents (one process, real sessions) that connect, idle, and come back after a kill -9 of the master.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import psutil

from support.programs import Fleet, fleet
from support.resp import Resp
from support.simulated import Http, SimulatedAgent, ended, gathered
from support.wait import until

JOB = {"cmd": "execute", "args": {"cmd": "/bin/true"}}
CLIENTS = 50
JOBS = 100_000
QUEUES = 20
AGENTS = 5_000
IDLE_S = 60.0


async def submit(port: int, token: str, jobs: int) -> float:
    """How many a second were accepted."""
    clients = [Http(port) for _ in range(CLIENTS)]
    left = iter(range(jobs))

    async def work(client: Http) -> None:
        for number in left:
            target = f"1:{1 + number % QUEUES}"
            await client.ask("POST", "/api/v1/jobs", JOB | {"target": target}, token)

    begin = time.perf_counter()
    await asyncio.gather(*(work(client) for client in clients))
    return jobs / (time.perf_counter() - begin)


async def queued(made: Fleet, port: int, token: str, join: str) -> None:
    agents = [SimulatedAgent(number, port, take=25) for number in range(1, QUEUES + 1)]
    for agent in agents:
        await agent.join(join)
        agent.leave()  # idle connections are closed while jobs are queued
    rate = await submit(port, token, 5_000)
    print(f"durable submits from {CLIENTS} clients: {rate:.0f} a second (asked: 1,000)", flush=True)
    rate = await submit(port, token, JOBS - 5_000)
    print(f"until {JOBS} were queued: {rate:.0f} a second", flush=True)
    for agent in agents:
        await agent.open()
    for _ in range(50):
        for agent in agents:
            await agent.poll()
    times = sorted(time_ for agent in agents for time_ in agent.times)
    claimed = sum(agent.commands for agent in agents)
    middle, late = times[len(times) // 2] * 1e3, times[int(len(times) * 0.99)] * 1e3
    print(f"{len(times)} polls of 25 with {JOBS} queued: p50 {middle:.1f} ms, p99 {late:.1f} ms, {claimed} claimed")
    print(f"the scripts in Redis: {_commands(made)}", flush=True)


def _commands(made: Fleet) -> str:
    with Resp(next((made.data / "redis").glob("*.sock*"))) as redis:
        text = redis.ask("INFO", "latencystats").decode()
    return next((line for line in text.splitlines() if "evalsha" in line), "no figures")


async def connected(made: Fleet, port: int, join: str) -> None:
    agents = [SimulatedAgent(number, port) for number in range(100, 100 + AGENTS)]
    begin = time.monotonic()
    await gathered((agent.join(join) for agent in agents), 50)
    print(f"{AGENTS} agents have joined in {time.monotonic() - begin:.1f} s", flush=True)
    begin = time.monotonic()
    await gathered((agent.open() for agent in agents), 50)
    print(f"{AGENTS} sessions were opened in {time.monotonic() - begin:.1f} s", flush=True)
    lives = [asyncio.ensure_future(agent.live()) for agent in agents]
    await asyncio.sleep(20)
    master = psutil.Process(made.master.pid)
    before, begin = sum(master.cpu_times()[:2]), time.monotonic()
    await asyncio.sleep(IDLE_S)
    share = (sum(master.cpu_times()[:2]) - before) / (time.monotonic() - begin)
    print(f"{AGENTS} idle: {share:.1%} of a core, {master.memory_info().rss / 1e6:.0f} MB", flush=True)
    made.master.kill()
    killed = time.monotonic()
    made.master.start()
    await asyncio.to_thread(until, made.is_ready, what="the master")
    ready = time.monotonic()
    # back is whose poll began after the kill and was answered: polls last 15 s
    while any(agent.asked < killed for agent in agents) and time.monotonic() < killed + 120:  # noqa: ASYNC110 (looks)
        await asyncio.sleep(0.1)
    asked = sorted(agent.asked for agent in agents)
    missing = sum(agent.asked < killed for agent in agents)
    print(
        f"ready {ready - killed:.1f} s after the kill; all but {missing} are back within {asked[-1] - killed:.1f} s,"
        f" half of them within {asked[len(asked) // 2] - killed:.1f} s (asked: 20)",
        flush=True,
    )
    await ended(lives)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, fleet(Path(folder)) as made:
        made.start_master()
        token = (made.data / "admin-token").read_text().strip()
        join = (made.data / "join-token").read_text().strip()
        port = int(made.url.rpartition(":")[2])
        if "agents" not in sys.argv:
            asyncio.run(queued(made, port, token, join))
        asyncio.run(connected(made, port, join))


if __name__ == "__main__":
    main()
