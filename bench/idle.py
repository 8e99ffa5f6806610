"""What an agent costs that has nothing to do but to watch ten processes, and how soon one with much to remember starts.

Run by hand: `python bench/idle.py`. 60 s of the agent's own CPU time and its resident memory; then the time from the
start of an agent with 1,000 remembered jobs in its journal until it asks for more.
"""

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import psutil

from support.programs import Fleet, fleet
from support.wait import until

WATCHED_S = 60.0
REMEMBERED = 1000


def idle(made: Fleet) -> None:
    for number in range(10):
        made.submit(f"d{number}", "/bin/sleep", "100000", max_time=-1)
    until(lambda: all(made.job(f"d{number}")["state"] == "RUNNING" for number in range(10)), what="ten processes")
    agent = psutil.Process(made.agents[1].pid)
    before, begin = agent.cpu_times(), time.monotonic()
    until(lambda: time.monotonic() - begin > WATCHED_S, deadline_s=WATCHED_S * 2, what="a minute")
    after, passed = agent.cpu_times(), time.monotonic() - begin
    cpu = (after.user + after.system - before.user - before.system) / passed
    resident = agent.memory_info().rss / 1e6
    print(
        f"idle with 10 processes: {resident:.1f} MB resident (asked: below 70), {cpu:.2%} of a core (asked: below 1 %)"
    )


def remembered(made: Fleet) -> None:
    for number in range(REMEMBERED):
        made.submit(f"r{number}", "/bin/true", recurring_period=86_400)
    last = f"r{REMEMBERED - 1}"
    until(
        lambda: made.ask("GET", f"/api/v1/jobs/{last}/tasks/1:1/runs")[1]["items"],
        deadline_s=120,
        what="all to have run",
    )
    made.agents[1].kill()
    begin = time.monotonic()
    log = made.agents[1].text().count("asks http")
    made.agents[1].start()
    until(lambda: made.agents[1].text().count("asks http") > log, what="the agent to ask for more")
    print(f"start with {REMEMBERED} remembered jobs: {time.monotonic() - begin:.2f} s (asked: below 2)")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, fleet(Path(folder)) as made:
        made.start_master()
        config = Path(folder) / "agent.toml"
        config.write_text("max_tasks = 2000\n")
        made.start_agent(1, "--config", str(config))
        idle(made)
        remembered(made)


if __name__ == "__main__":
    main()
