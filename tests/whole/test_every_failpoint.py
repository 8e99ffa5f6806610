"""At every failpoint once: the program is gone between two steps, and nothing is lost and nothing runs twice.

Jobs that ran when an agent ended are unknown, whose messages it had not sent yet are told as such.
"""

import http.client
import urllib.error
from pathlib import Path
from typing import Any

import pytest

from deployer.protocol.failpoints import AGENT, MASTER
from support.programs import Fleet, Program
from support.wait import until

pytestmark = pytest.mark.long

JOBS = 6
AT_START = {"join_done", "session_begun", "session_done", "session_opened"}
AFTER_RESTART = {"recovering", "recovered"}
UNREACHED = (OSError, urllib.error.URLError, http.client.HTTPException)


class Scene:
    """A fleet of which one program ends at a failpoint and is started again; jobs leave marks of their runs."""

    def __init__(self, fleet: Fleet, point: str, folder: Path) -> None:
        self.fleet = fleet
        self.point = point
        self.note = folder / "note"
        self.marks = folder / "marks"
        self.victim: Program = fleet.master if point in MASTER else fleet.agents[1]

    def arm(self) -> None:
        """Start the victim with its failpoint."""
        more = {"DEPLOYER_FAILPOINTS": f"{self.point}=crash@1", "DEPLOYER_FAILPOINTS_LOG": str(self.note)}
        self.victim.kill()
        if self.point == "join_done":
            self.fleet.agents[1].stop()
            self.victim.start(**more)
            until(self.fleet.is_ready, what="the master")
            self.fleet.agents[2] = Program("deployer-agent", self.fleet.folder / "agent2.log", *self._second())
            self.fleet.agents[2].start()
        else:
            self.victim.start(**more)
        if self.point in {"session_begun", "session_done"}:  # the agent's session is as good as before
            self.fleet.agents[1].kill()
            self.fleet.agents[1].start()

    def _second(self) -> list[str]:
        data = f"--data-dir={self.fleet.agent_data(2)}"
        token = f"--join-token-file={self.fleet.data / 'join-token'}"
        return [data, f"--url={self.fleet.url}", "--gid=1", "--nid=2", token, "--allow-root"]

    def retried(self, what: str, ask: Any) -> Any:
        """Ask until there is an answer, starting again what has ended meanwhile."""

        def once() -> Any:
            self.revive()
            try:
                status, answer = ask()
            except UNREACHED:
                return None
            return (status, answer) if status < 500 else None

        return until(once, what=what, deadline_s=120)

    def revive(self) -> None:
        """Start the victim again, without its failpoint."""
        if self.victim.process is not None and self.victim.process.poll() is not None:
            self.victim.start()

    def wake_agent(self) -> None:
        """Start the first agent if it was stopped."""
        agent = self.fleet.agents[1]
        if agent.process is None or agent.process.poll() is not None:
            agent.start()

    def mark(self, job: str) -> str:
        return f'echo "{job} $DEPLOYER_RUN" >> {self.marks}'

    def submit(self, job: str, line: str, after: str | None = None, **args: Any) -> None:
        body = {"cmd": "execute", "target": "1:1", "id": job, "args": {"cmd": "/bin/sh", "args": ["-c", line], **args}}
        if after is not None:
            body["depends_on"] = [{"id": after, "on": "always"}]
        status, answer = self.retried(f"job {job}", lambda: self.fleet.ask("POST", "/api/v1/jobs", body))
        assert status in {200, 202}, answer

    def final(self, job: str) -> dict[str, Any]:
        def ended() -> Any:
            status, answer = self.retried("the job", lambda: self.fleet.ask("GET", f"/api/v1/jobs/{job}?wait=2"))
            assert status == 200, answer
            return answer if answer["finished"] else None

        found: dict[str, Any] = until(ended, what=f"the end of {job}", deadline_s=120)
        return found

    def work(self) -> None:
        """Jobs that end, one that is repeated until it is killed, one that runs until it is killed, a ping."""
        for number in range(JOBS):
            after = f"j{number - 1}" if number % 3 == 2 else None  # its task is made later than the job
            self.submit(f"j{number}", f"{self.mark(f'j{number}')}; echo said; echo 20::{number}", after)
        self.submit("r", self.mark("r"), recurring_period=1)
        self.submit("d", f"{self.mark('d')}; exec sleep 1000", max_time=-1)
        self.retried("a change", lambda: self.fleet.ask("PATCH", "/api/v1/jobs/r", {"priority": 3}))
        self.retried("one task more", lambda: self.fleet.ask("POST", "/api/v1/jobs/r/tasks", {"target": "1:1"}))
        if self.point.startswith("schedule_"):
            self.repeat()
        ping = {"cmd": "ping", "target": "1:1", "id": "p"}
        self.retried("a ping", lambda: self.fleet.ask("POST", "/api/v1/jobs", ping))
        until(lambda: len({m for m in self.seen() if m.startswith("r ")}) >= 3 or self.revive(), what="two periods")
        until(lambda: any(m.startswith("d ") for m in self.seen()) or self.revive(), what="the daemon")
        for job in ("r", "d"):
            self.retried("an end", lambda job=job: self.fleet.ask("DELETE", f"/api/v1/jobs/{job}"))

    def repeat(self) -> None:
        """A schedule that fires each second, until it has some times."""
        args = {"cmd": "/bin/sh", "args": ["-c", f'echo "$DEPLOYER_JOB $DEPLOYER_RUN" >> {self.marks}']}
        job = {"cmd": "execute", "args": args, "target": "1:1"}
        body = {"name": "often", "every_s": 1, "overlap": "queue", "job": job}
        status, made = self.retried("a schedule", lambda: self.fleet.ask("POST", "/api/v1/schedules", body))
        if status == 409:  # it was made, and the answer was lost
            (made,) = self.retried("it", lambda: self.fleet.ask("GET", "/api/v1/schedules"))[1]["items"]
        until(lambda: len([m for m in self.seen() if m.startswith(made["id"])]) >= 4 or self.revive(), what="firings")
        self.retried("its end", lambda: self.fleet.ask("PATCH", made["href"], {"paused": True}))

    def seen(self) -> list[str]:
        return self.marks.read_text().splitlines() if self.marks.exists() else []


@pytest.mark.parametrize("point", [*MASTER, *AGENT])
def test_a_crash_there_loses_nothing_and_doubles_nothing(running: Fleet, tmp_path: Path, point: str) -> None:
    scene = Scene(running, point, tmp_path)
    scene.arm()
    if point in AFTER_RESTART:
        until(scene.note.exists, what="the crash")
    if point not in AT_START:
        scene.work()
    until(lambda: scene.note.exists() or scene.revive(), what=f"the crash at {point}")
    scene.revive()
    if point in AT_START:
        scene.retried("the master", lambda: running.ask("GET", "/readyz"))  # it may be about to end only now
        scene.wake_agent()
        scene.work()
    ends = {f"j{number}": scene.final(f"j{number}") for number in range(JOBS)}
    marks = scene.seen()
    assert len(marks) == len(set(marks)), marks
    for number in range(JOBS):
        state, task = ends[f"j{number}"]["state"], running.task(f"j{number}")
        ran = [mark for mark in marks if mark.startswith(f"j{number} ")]
        if state == "OK":
            assert (task["data"], len(ran)) == (str(number), 1)
            said = running.lines(f"j{number}")
            assert said == ["said", str(number)] or (point in AGENT and "messages may be missing" in said[-1])
        else:
            assert point in AGENT
            assert (state, task["code"], task["outcome"]) == ("ERROR", "AGENT_RESTARTED", "unknown")
            assert len(ran) <= 1
    assert {scene.final(job)["state"] for job in ("r", "d")} == {"KILLED"}
    assert scene.final("p")["state"] in {"OK", "ERROR"}
