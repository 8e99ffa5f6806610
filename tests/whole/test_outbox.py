"""The real programs: output that waits on the agent's disk while the master is away, through kill -9 of the agent."""

import contextlib
import re
import sys
from pathlib import Path

import psutil

from support.programs import Fleet, fleet
from support.wait import until

_LINES = """
import sys, time
for number in range(20000):
    print(number)
    if number % 1000 == 0:
        sys.stdout.flush()
        time.sleep(0.02)
sys.stdout.flush()
open(sys.argv[1], "w").close()
time.sleep(600)
"""


def test_what_was_printed_while_the_master_was_away_comes_after_kill_9_of_the_agent(
    running: Fleet, tmp_path: Path
) -> None:
    done = tmp_path / "done"
    running.submit("long", sys.executable, "-c", _LINES, str(done))
    until(lambda: running.lines("long"), what="the first lines")
    running.master.kill_group()
    until(done.exists, what="the job to print all of it")
    spool = running.agent_data(1) / "outbox.db-wal"
    size = [0]

    def written() -> bool:
        before, size[0] = size[0], spool.stat().st_size
        return before == size[0] > 0

    until(written, what="the outbox to be written", every_s=0.5)
    left = psutil.Process(running.agents[1].pid).children(recursive=True)
    running.agents[1].kill()
    try:
        agent = running.agents[1]
        agent.start()
        running.start_master()
        assert running.job("long", 60)["state"] == "ERROR"
        assert running.task("long")["code"] == "AGENT_RESTARTED"
        assert running.lines("long") == [str(number) for number in range(20_000)]
    finally:
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def test_over_the_bound_the_oldest_are_dropped_and_the_log_says_how_many(tmp_path: Path) -> None:
    with fleet(tmp_path) as running:
        running.start_master()
        (tmp_path / "agent.toml").write_text("outbox_bytes = 4194304\n")
        running.start_agent(1, f"--config={tmp_path / 'agent.toml'}")
        script = "sleep 1; for i in $(seq 100); do seq -f 'line %.0f of a long log' 1000; done"
        running.submit("much", "/bin/bash", "-c", script)
        until(lambda: running.job("much")["state"] == "RUNNING", what="the job to run")
        running.master.kill_group()
        until(lambda: not psutil.Process(running.agents[1].pid).children(), what="the job to end")
        running.start_master()
        assert running.job("much", 60)["state"] == "OK"
        lines = running.lines("much")
        found = [match for line in lines if (match := re.match(r"(\d+) messages dropped between 20", line))]
        assert found
        assert len(lines) - len(found) + sum(int(match[1]) for match in found) == 100_000
        assert [line for line in lines if not re.match(r"\d+ messages", line)][-1] == "line 1000 of a long log"
