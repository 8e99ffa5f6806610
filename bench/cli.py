"""How long the command line takes from start to end, on a real master with one agent.

Run by hand: `python bench/cli.py`. Each command is started afresh 20 times, one after the other; the interpreter alone
is shown beside them. `deployer agents` shall take less than 250 ms, also on a terminal, where a table is drawn.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from support.programs import environment, fleet

TIMES = 20
MAIN = "from deployer.cli.main import main; main(prog_name='deployer')"


def once(command: list[str], env: dict[str, str], *, terminal: bool) -> float:
    ours, theirs = os.openpty()
    reader = threading.Thread(target=drain, args=(ours,))
    reader.start()
    begin = time.perf_counter()
    out = theirs if terminal else subprocess.DEVNULL
    subprocess.run(command, env=env, stdout=out, stderr=out, check=True)
    took = (time.perf_counter() - begin) * 1000
    os.close(theirs)
    reader.join()
    os.close(ours)
    return took


def drain(terminal: int) -> None:
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:  # the other end is closed
        return


def measure(what: str, command: list[str], env: dict[str, str], *, terminal: bool = False) -> None:
    times = sorted(once(command, env, terminal=terminal) for _ in range(TIMES))
    print(f"{what}: median {statistics.median(times):.0f} ms, slowest {times[-1]:.0f} ms", flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, fleet(Path(folder)) as made:
        made.start_master()
        made.start_agent()
        token = made.data / "admin-token"
        env = environment() | {"DEPLOYER_URL": made.url, "DEPLOYER_TOKEN_FILE": str(token), "TERM": "xterm"}
        del env["PYTHONDONTWRITEBYTECODE"]  # an installed program has its bytecode
        deployer = [sys.executable, "-c", MAIN]
        measure("python -c pass", [sys.executable, "-c", "pass"], env)
        measure("deployer --help", [*deployer, "--help"], env)
        measure("deployer agents (asked: 250)", [*deployer, "agents"], env)
        measure("deployer agents on a terminal (asked: 250)", [*deployer, "agents"], env, terminal=True)
        measure("deployer run /bin/true", [*deployer, "run", "-t", "1:1", "/bin/true"], env)
        words = {"_DEPLOYER_COMPLETE": "bash_complete", "COMP_WORDS": "deployer run -t 1:", "COMP_CWORD": "3"}
        measure("a word completed by the shell", deployer, env | words)


if __name__ == "__main__":
    main()
