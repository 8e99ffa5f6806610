"""How long others wait while two thousand clients take their time (RELIABILITY P2).

Run by hand: `python bench/slow.py`. Half of the slow ones send a header line a second, half a byte of a body a second.
"""

import http.client
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from support.programs import Fleet, fleet
from support.slow_clients import SlowClients

CLIENTS = 2_000


def asker(made: Fleet) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", int(made.url.rpartition(":")[2]))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, fleet(Path(folder)) as made:
        made.start_master()
        made.start_agent()
        token = (made.data / "admin-token").read_text().strip()
        connection = asker(made)
        times: list[float] = []

        def ask() -> None:
            begin = time.perf_counter()
            connection.request("GET", "/api/v1/agents/1:1", headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise SystemExit(f"{answer.status} instead of 200")
            times.append((time.perf_counter() - begin) * 1000)

        slow = SlowClients(int(made.url.rpartition(":")[2]), CLIENTS)
        begin = time.monotonic()
        slow.go_on(ask)
        times.sort()
        p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
        print(
            f"{len(times)} requests meanwhile: p50 {p50:.1f} ms, p99 {p99:.1f} ms (asked: 100), most {times[-1]:.1f} ms"
        )
        print(f"the slow ones after {time.monotonic() - begin:.0f} s: {dict(slow.answers)}")


if __name__ == "__main__":
    main()
