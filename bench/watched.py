"""What it costs to watch 50 jobs of 3 processes each and to sample them every 30 s, beside supervisor and circus.

Run by hand: `python bench/watched.py`. CPU time over 90 s and resident memory of the agent, of supervisord, which
samples nothing, and of circusd with its statistics (its own process), all with the same load. The other two are
installed into a temporary environment.
"""

import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import psutil

from support.programs import fleet
from support.wait import until

JOBS = 50
WATCHED_S = 90.0
LINE = "sleep 100000 & sleep 100000 & wait"


def watch(what: str, processes: list[psutil.Process]) -> None:
    def used() -> float:
        return sum(sum(process.cpu_times()[:2]) for process in processes)

    before, begin = used(), time.monotonic()
    until(lambda: time.monotonic() - begin > WATCHED_S, deadline_s=WATCHED_S * 2, what="the time")
    share = (used() - before) / (time.monotonic() - begin)
    resident = sum(process.memory_info().rss for process in processes) / 1e6
    print(f"{what}: {share:.2%} of a core, {resident:.1f} MB resident", flush=True)


def three_each(root: psutil.Process) -> bool:
    return len(root.children(recursive=True)) >= 3 * JOBS


def agent(folder: Path) -> None:
    with fleet(folder) as made:
        made.start_master()
        made.start_agent()
        for number in range(JOBS):
            made.submit(f"d{number}", "/bin/sh", "-c", LINE, max_time=-1, domain="bench", name=f"d{number}")
        process = psutil.Process(made.agents[1].pid)
        until(lambda: three_each(process), what="all processes")
        watch(f"agent with {JOBS} jobs, sampled every 30 s (asked: below 0.5 %)", [process])


@contextmanager
def running(*command: str) -> Iterator[psutil.Process]:
    process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        for one in [*process.children(recursive=True), process]:
            one.kill()
        process.wait()


def others(folder: Path) -> None:
    environment = folder / "venv"
    venv.create(environment, with_pip=True)
    subprocess.run([environment / "bin/pip", "install", "-q", "supervisor", "circus", "setuptools<80"], check=True)
    programs = "".join(f'[program:d{n}]\ncommand=/bin/sh -c "{LINE}"\n' for n in range(JOBS))
    head = f"[supervisord]\nnodaemon=true\nlogfile={folder}/s.log\npidfile={folder}/s.pid\nchildlogdir={folder}\n"
    (folder / "supervisord.conf").write_text(head + programs)
    with running(str(environment / "bin/supervisord"), "-c", str(folder / "supervisord.conf")) as process:
        until(lambda: three_each(process), what="supervisor's processes")
        watch("supervisord, which samples nothing", [process])
    watchers = "".join(f'[watcher:d{n}]\ncmd=/bin/sh -c "{LINE}"\n' for n in range(JOBS))
    ends = "".join(f"{name} = ipc://{folder}/{name}\n" for name in ("endpoint", "pubsub_endpoint", "stats_endpoint"))
    (folder / "circus.ini").write_text(f"[circus]\n{ends}statsd = True\n{watchers}")
    with running(str(environment / "bin/circusd"), str(folder / "circus.ini")) as process:
        until(lambda: three_each(process), what="circus' processes")
        statistics = [one for one in process.children() if "circus" in " ".join(one.cmdline())]
        watch("circusd with its statistics", [process, *statistics])


def main() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        agent(Path(folder))
        others(Path(folder))


if __name__ == "__main__":
    main()
