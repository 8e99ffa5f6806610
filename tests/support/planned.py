"""Jobs of many tasks, on agents that run nothing."""

from collections.abc import Sequence
from typing import Any

from deployer.kit.clock import sleep
from deployer.protocol.ids import AgentId
from support.served import Reply, Served, WireAgent

ECHO = {"cmd": "execute", "args": {"cmd": "/bin/echo", "args": ["no $item of $$item"]}}


async def fleet(served: Served, count: int, **traits: Any) -> list[WireAgent]:
    """Agents 1:11 and on."""
    made = []
    for nid in range(11, 11 + count):
        agent = WireAgent(served, AgentId(1, nid))
        assert (await agent.join(served.seeded.join_token.text)).status == 200
        assert (await agent.open(traits=traits)).status == 200
        made.append(agent)
    return made


async def submit(served: Served, id_: str = "j", **more: Any) -> Reply:
    return await served.ask("POST", "/api/v1/jobs", json={"cmd": "execute", "args": {"cmd": "x"}, "id": id_, **more})


async def job(served: Served, id_: str = "j") -> Any:
    return (await served.ask("GET", f"/api/v1/jobs/{id_}")).json


async def tasks(served: Served, id_: str = "j") -> list[Any]:
    return list((await served.ask("GET", f"/api/v1/jobs/{id_}/tasks?limit=1000")).json["items"])


async def until(served: Served, id_: str, **counts: int) -> Any:
    """The job, once so many of its tasks are in these states."""
    for _ in range(2000):
        its = await job(served, id_)
        if all(its["tasks"]["counts"][state] == count for state, count in counts.items()):
            return its
        await sleep(served.clock, 0.01)
    raise AssertionError(f"{counts} waited for in vain: {its}")


async def run_all(agents: Sequence[WireAgent], state: str = "OK") -> list[str]:
    """Finish all that these have got."""
    done = []
    for one in agents:
        for command in await one.poll(wait_s=0):
            await one.run(command["id"], state=state)
            done.append(command["id"])
    return done
