"""Clients as the README advises: ids of their own, and the same request again until there is an answer."""

import heapq
import http.client
import json
import random
import threading
import time
from typing import Any, Final

from msgspec import Struct

from chaos.histories import Asked
from chaos.installation import AGENTS, EDGE
from chaos.parts import now_ms

DEADLINE_S: Final = 8.0
WEIGHTS: Final = {"mark": 70, "ping": 10, "cancel": 14, "slow": 2, "recurring": 2, "daemon": 2}
MARK: Final = 'echo "$0 $DEPLOYER_RUN" >> {marks}'
AGAIN: Final = {429, 500, 502, 503, 504, 507}
_UNREACHED = (OSError, http.client.HTTPException, ValueError)

PLANNED: Final = 4
"""One job in so many gets its task later than it is made: it says what it needs of its agent."""


class _End(Struct, frozen=True, order=True):
    """When a job without an end of its own is to be ended."""

    due: float
    asked: int


class Client(threading.Thread):
    """Submits jobs at a rate until it is told to stop, then ends what would run for ever."""

    def __init__(self, number: int, token: str, marks: str, rate: float) -> None:
        super().__init__(name=f"client{number}", daemon=True)
        self.asked: list[Asked] = []
        self.complaints: list[str] = []
        self.stopping = threading.Event()
        self.giving_up = threading.Event()
        self._number = number
        self._marks = marks
        self._rate = rate
        self._chance = random.Random(f"client {number}")  # noqa: S311 (chance, no secret)
        self._ends: list[_End] = []
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._connection: http.client.HTTPConnection | None = None

    def run(self) -> None:
        """Work."""
        start = time.monotonic()
        while not self.stopping.is_set():
            self._submit()
            self._end_due(time.monotonic())
            ahead = start + len(self.asked) / self._rate - time.monotonic()
            if ahead > 0:
                self.stopping.wait(ahead)
            else:
                start -= ahead  # what a fault has cost is not made up for in a rush
        self._end_due(float("inf"))

    def _submit(self) -> None:
        kind = self._chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        number = len(self.asked)
        asked = Asked(f"{kind}-{self._number}-{number}", kind, self._chance.choice(AGENTS), number, now_ms())
        self.asked.append(asked)
        body = {"id": asked.job, "target": f"1:{asked.agent}", **self._command(asked)}
        if number % PLANNED == 0:
            body["requires"] = {"ram": 1}
        asked.acknowledged = self._persist("POST", "/api/v1/jobs", body, {200, 202}, asked)
        if kind == "cancel":
            self._cancel(asked)
        elif kind in {"recurring", "daemon"}:
            self._persist("PATCH", f"/api/v1/jobs/{asked.job}", {"priority": number % 7}, {200, 409}, asked)
            heapq.heappush(self._ends, _End(time.monotonic() + self._chance.uniform(2, 8), number))

    def _end_due(self, now: float) -> None:
        while self._ends and self._ends[0].due <= now:
            self._cancel(self.asked[heapq.heappop(self._ends).asked])

    def _cancel(self, asked: Asked) -> None:
        asked.cancelled = self._persist("DELETE", f"/api/v1/jobs/{asked.job}", None, {200, 202}, asked)

    def _command(self, asked: Asked) -> dict[str, Any]:
        if asked.kind == "ping":
            return {"cmd": "ping"}
        mark = MARK.format(marks=self._marks)
        lines = {"slow": f"{mark}; sleep 1; echo 20::{asked.number}", "daemon": f"{mark}; exec sleep 1000"}
        more = {"recurring": {"recurring_period": 1}, "daemon": {"max_time": -1}}.get(asked.kind, {})
        line = lines.get(asked.kind, f"{mark}; echo 20::{asked.number}")
        return {"cmd": "execute", "args": {"cmd": "/bin/sh", "args": ["-c", line, asked.job], **more}}

    def _persist(self, method: str, path: str, body: object, wanted: set[int], asked: Asked) -> int | None:
        """Ask until there is an answer; when it came, or None when there was none to the end."""
        while not self.giving_up.is_set():
            asked.tries += 1
            try:
                status, text = self._ask(method, path, body)
            except _UNREACHED:
                self._connection = None
                status, text = 503, b""
            if status in wanted:
                return now_ms()
            if status not in AGAIN:
                self.complaints.append(f"{method} {path}: {status} {text[:300]!r}")
                return None
            self.giving_up.wait(self._chance.uniform(0.05, 0.3))
        return None

    def told(self) -> dict[str, str]:
        """The state of every job, as the API tells it."""
        states: dict[str, str] = {}
        more = ""
        while True:
            status, text = self._ask("GET", f"/api/v1/jobs?limit=1000{more}", None)
            assert status == 200, text
            page = json.loads(text)
            states |= {job["id"]: job["state"] for job in page["items"]}
            if page["next"] is None:
                return states
            more = f"&cursor={page['next']}"

    def _ask(self, method: str, path: str, body: object) -> tuple[int, bytes]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", EDGE, timeout=DEADLINE_S)
        self._connection.request(method, path, None if body is None else json.dumps(body), self._headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()
