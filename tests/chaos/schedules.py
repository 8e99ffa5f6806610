"""Schedules that fire each second while all else goes on: what they start is as if clients had asked for it."""

import json
from collections.abc import Collection, Iterator
from typing import Any, Final

from chaos.clients import Client
from chaos.histories import Asked
from chaos.installation import AGENTS

PLACE: Final = "/api/v1/schedules"
LINE: Final = 'echo "$DEPLOYER_JOB $DEPLOYER_RUN" >> {marks}; echo 20::0'


class Repeated:
    """One for each agent."""

    def __init__(self, token: str, marks: str) -> None:
        self._token = token
        self._line = LINE.format(marks=marks)

    def begin(self) -> None:
        """Make them."""
        for agent in AGENTS:
            args = {"cmd": "/bin/sh", "args": ["-c", self._line]}
            job = {"cmd": "execute", "args": args, "target": f"1:{agent}"}
            self._ask("POST", PLACE, {"name": f"agent{agent}", "every_s": 1, "job": job}, {201, 409})

    def end(self) -> None:
        """They fire no more, and what was due has been dealt with."""
        for one in self.shown():
            self._ask("PATCH", one["href"], {"paused": True}, {200})

    def shown(self) -> list[dict[str, Any]]:
        """As they stand."""
        status, text = Client(0, self._token, "", 1)._ask("GET", PLACE, None)
        assert status == 200, text
        found: list[dict[str, Any]] = json.loads(text)["items"]
        return found

    def asked(self, jobs: Collection[str]) -> Iterator[Asked]:
        """Those of these jobs that they have started."""
        agents = {one["id"]: int(one["name"].removeprefix("agent")) for one in self.shown()}
        for job in jobs:
            schedule, _, slot = job.partition("-")
            if schedule in agents:
                yield Asked(job, "mark", agents[schedule], 0, int(slot), acknowledged=int(slot))

    def complaints(self, jobs: Collection[str]) -> list[str]:
        """Where what a schedule says is not what there is."""
        found = []
        for one in self.shown():
            fired, has = one["counts"]["fired"], len([job for job in jobs if job.startswith(f"{one['id']}-")])
            if fired != has or not fired:
                found.append(f"schedule {one['name']} has fired {fired} times, and has {has} jobs")
        return found

    def _ask(self, method: str, path: str, body: object, wanted: set[int]) -> None:
        """Until there is an answer."""
        client, asked = Client(0, self._token, "", 1), Asked(path, "schedule", 0, 0, 0)
        assert client._persist(method, path, body, wanted, asked) is not None, client.complaints
