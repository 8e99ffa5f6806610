"""Pages of results end before they are too long for the master's memory."""

from typing import Any

import pytest

from deployer.rest import parts
from deployer.stores import keys
from support.seeded import COMPANY
from support.served import Served, WireAgent

RUNS = "/api/v1/jobs/j/tasks/1:7/runs"


async def _pages(served: Served, path: str) -> list[list[int]]:
    """The runs of each page."""
    pages, cursor = [], ""
    while True:
        reply = await served.ask("GET", f"{path}{cursor}")
        assert reply.status == 200, reply.body
        pages.append([one["run"] for one in reply.json["items"]])
        if reply.json["next"] is None:
            return pages
        cursor = f"{'&' if '?' in path else '?'}cursor={reply.json['next']}"


async def _runs(agent: WireAgent, served: Served, count: int, said: str = "", **last: Any) -> None:
    """A task with so many finished runs, and perhaps its result."""
    assert (await served.submit(id="j", target="1:7", cmd="execute", args={"cmd": "x"})).status == 202
    await agent.poll()
    await agent.post("accept", {"accepted": ["j"]})
    made = [{"id": "j", "run": run, "state": "OK", "data": said, "starttime": 1} for run in range(1, count + 1)]
    for begin in range(0, count, 3):
        assert (await agent.post("result", {"results": [], "runs": made[begin : begin + 3]})).status == 200
    if last:
        assert (
            await agent.post("result", {"results": [{"id": "j", "state": "OK", "starttime": 1, **last}]})
        ).status == 200


async def test_runs_come_in_pages(served: Served, agent: WireAgent) -> None:
    await _runs(agent, served, 25, run=26)
    whole = list(range(1, 27))
    assert await _pages(served, RUNS) == [whole]
    for limit in (1, 7, 13, 26):
        assert await _pages(served, f"{RUNS}?limit={limit}") == [
            whole[begin : begin + limit] for begin in range(0, 26, limit)
        ]
    for wrong in ("cursor=x", "cursor=-1", "cursor=1234567890", "limit=0"):
        assert (await served.ask("GET", f"{RUNS}?{wrong}")).status == 400


async def test_a_result_that_is_that_of_the_last_run_comes_once(served: Served, agent: WireAgent) -> None:
    await _runs(agent, served, 3, run=3)
    for limit in (1, 2, 3, 4):
        assert [run for page in await _pages(served, f"{RUNS}?limit={limit}") for run in page] == [1, 2, 3]


async def test_a_page_of_long_results_is_short(
    served: Served, agent: WireAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PAGE_CHARS", 250_000)
    await _runs(agent, served, 8, "x" * 100_000, run=9, data="x" * 300_000)
    assert await _pages(served, RUNS) == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    tasks = (await served.ask("GET", "/api/v1/jobs/j/tasks")).json
    assert (len(tasks["items"]), tasks["next"]) == (1, None)


async def test_a_damaged_run_hides_none_behind_it(served: Served, agent: WireAgent) -> None:
    await _runs(agent, served, 23)
    key = f"{keys.task(COMPANY, 'j', agent.agent)}:runs"
    redis = served.seeded.redis
    for run in (2, 10, 11):
        await redis.call("ZREMRANGEBYSCORE", key, run, run)
        await redis.call("ZADD", key, run, f"damaged {run}")
    assert [run for page in await _pages(served, f"{RUNS}?limit=5") for run in page] == [
        run for run in range(1, 24) if run not in {2, 10, 11}
    ]
