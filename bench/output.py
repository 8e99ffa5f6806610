"""How fast what a process prints is parsed and stored, and how fast it is found again.

Run by hand: `python bench/output.py`. A job prints lines of 100 bytes as fast as it is read, for 20 s, none of which is
sent to the master; meanwhile another one prints the time now and then, and we look when that is stored. Then a gigabyte
of messages is searched.
"""

import json
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import psutil

from deployer_agent.messages.files import Files
from deployer_agent.messages.query import Filter, page
from support.programs import Fleet, fleet
from support.wait import until

SECONDS = 20.0
LOUD = "import sys\nblock = (b'x' * 99 + b'\\n') * 600\nwrite = sys.stdout.buffer.write\nwhile True: write(block)\n"
QUIET = "import time\nwhile True:\n    print(time.time(), flush=True)\n    time.sleep(0.1)\n"


def stored(folder: Path) -> int:
    """How many messages there are."""
    count = 0
    for path in (folder / "current.db", *Files(folder).full()):
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            first, last = database.execute("SELECT min(seq), max(seq) FROM message").fetchone()
            count += (last - first + 1) if first is not None else 0
        database.close()
    return count


def delay(folder: Path) -> float:
    """How old the newest stored line of the quiet job is."""
    found = page(Files(folder), Filter(jobid="quiet"), after=None, ascending=False, count=1).items
    return time.time() - float(found[0].data) if found else 0.0


def loud(made: Fleet, folder: Path) -> None:
    agent = psutil.Process(made.agents[1].pid)
    made.submit("quiet", sys.executable, "-c", QUIET, loglevels_ac="9")
    made.submit("loud", sys.executable, "-c", LOUD, loglevels_ac="9")
    until(lambda: page(Files(folder), Filter(jobid="loud"), after=None, ascending=False, count=1).items, what="a line")
    begin, before, resident, delays = time.perf_counter(), stored(folder), 0, []
    while time.perf_counter() - begin < SECONDS:
        resident = max(resident, agent.memory_info().rss)
        delays.append(delay(folder))
        time.sleep(0.2)  # noqa: TID251 (a benchmark waits)
    rate = (stored(folder) - before) / (time.perf_counter() - begin)
    made.ask("DELETE", "/api/v1/jobs/loud")
    made.ask("DELETE", "/api/v1/jobs/quiet")
    delays.sort()
    print(f"{rate:,.0f} lines of 100 bytes a second (asked: 300,000), {resident / 1e6:.0f} MB resident (asked: 120)")
    print(
        f"a quiet line is stored after {delays[len(delays) // 2] * 1000 - 50:.0f} ms in the median,"
        f" {delays[-1] * 1000:.0f} ms at most (asked: 200; 100 of them are the pause between two lines)"
    )


def search(made: Fleet, folder: Path) -> None:
    size = sum(path.stat().st_size for path in folder.glob("*.db"))
    print(f"searching {size / 1e9:.1f} GB")
    cases = {"all": {}, "one job": {"jobid": "quiet"}, "level 9": {"levels": "9"}, "levels 2-9": {"levels": "2-9"}}
    for name, args in cases.items():
        task = f"s{abs(hash(name))}"
        body = {"cmd": "get_msgs", "data": json.dumps(args), "target": "1:1", "id": task}
        made.ask("POST", "/api/v1/jobs?wait=30", body)
        result = made.task(task)
        print(f"get_msgs of {name}: {len(result['result']['items'])} found in {result['time']} ms (asked: 100)")


def main() -> None:
    with tempfile.TemporaryDirectory() as name, fleet(Path(name)) as made:
        made.start_master()
        made.start_agent(1)
        folder = made.agent_data(1) / "messages"
        loud(made, folder)
        search(made, folder)


if __name__ == "__main__":
    main()
