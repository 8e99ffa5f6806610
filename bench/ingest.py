"""How much syslog and statsd a master takes, and how much of it is lost.

Run by hand: `python bench/ingest.py`. A sender, a process of its own, sends datagrams at a rate over loopback to a real
master with its own Redis; what was stored, and where the rest was lost, is read from /metrics. Meanwhile /livez is
asked for all the time. `python bench/ingest.py send KIND PORT RATE SECONDS` is the sender.
"""

import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import psutil

from support.programs import Fleet, fleet
from support.wait import until

SYSLOG = b"<134>Nov 28 18:22:23 web1 nginx[1234]: " + b"x" * 161
STATSD = b"\n".join(b"app.requests.%d:%d|c" % (number, number) for number in range(9)) + b"\napp.took:12.5|ms"
CASES = (
    ("syslog", SYSLOG, 50_000, 10.0, 1),
    ("syslog", SYSLOG, 100_000, 2.0, 1),
    ("statsd", STATSD, 20_000, 10.0, 10),
)
"""Kind, datagram, datagrams a second, for how long, how many things a datagram has."""
BURST_S = 0.002


def send(data: bytes, port: int, rate: int, seconds: float) -> int:
    """Send at a rate, in bursts; how many went."""
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.connect(("127.0.0.1", port))
    begin, sent = time.perf_counter(), 0
    while (passed := time.perf_counter() - begin) < seconds:
        for _ in range(int(passed * rate) - sent):
            sender.send(data)
            sent += 1
        time.sleep(BURST_S)  # noqa: TID251 (a sender has a pace)
    return sent


class Answers(threading.Thread):
    """How long /livez takes while something else goes on."""

    def __init__(self, url: str) -> None:
        threading.Thread.__init__(self, daemon=True)
        self._url = url
        self._end = threading.Event()
        self.seconds: list[float] = []

    def run(self) -> None:
        """Until it is stopped."""
        while not self._end.wait(0.01):
            begin = time.perf_counter()
            with urllib.request.urlopen(f"{self._url}/livez", timeout=30) as answer:  # noqa: S310 (our own master)
                answer.read()
            self.seconds.append(time.perf_counter() - begin)

    def stop(self) -> list[float]:
        """End; what was measured, in order."""
        self._end.set()
        self.join()
        return sorted(self.seconds)


def counts(made: Fleet, kind: str) -> dict[str, int]:
    request = urllib.request.Request(f"{made.url}/metrics", headers={"Authorization": f"Bearer {made._token}"})  # noqa: S310, SLF001
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 (our own master)
        lines = answer.read().decode().splitlines()
    found = [line for line in lines if line.startswith(f"deployer_{kind}_total{{")]
    return {line.split('"')[1]: int(float(line.rpartition(" ")[2])) for line in found}


def cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def case(made: Fleet, ports: dict[str, int], kind: str, number: int) -> None:
    _, _, _, seconds, things = CASES[number]
    before, master, redis = counts(made, kind), psutil.Process(made.master.pid), made.redis_servers()[0]
    cpu_before, redis_before = cpu(master), cpu(redis)
    answers = Answers(made.url)
    answers.start()
    command = [sys.executable, __file__, "send", str(number), str(ports[kind])]
    sent = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    def change() -> dict[str, int]:
        return {name: value - before[name] for name, value in counts(made, kind).items()}

    def is_over() -> bool:
        seen = change()
        return seen["received"] + seen["lost_in_kernel"] >= sent and not seen.get("waiting", 0)

    until(is_over, what="all of it to be read", every_s=0.02)
    late, seen = answers.stop(), change()
    kept = seen["stored"] if kind == "syslog" else seen["samples"]
    each = (cpu(master) - cpu_before) / max(1, kept) * 1e6
    each_redis = (cpu(redis) - redis_before) / max(1, kept) * 1e6
    print(f"{kind}: sent {sent * things:,} in {seconds:g} s ({sent * things / seconds:,.0f} a second),")
    print(
        f"  kept {kept:,}, lost {1 - kept / things / sent:.2%} (kernel {seen['lost_in_kernel']:,} datagrams, quota"
        f" {seen['over_quota']:,}, no room {seen.get('dropped', 0):,}); CPU of the master {each:.1f} us each, of Redis"
        f" {each_redis:.1f} us; /livez p50 {late[len(late) // 2] * 1000:.1f} ms, p99"
        f" {late[len(late) * 99 // 100] * 1000:.1f} ms"
    )


def main() -> None:
    if sys.argv[1:2] == ["send"]:
        _, data, rate, seconds, _ = CASES[int(sys.argv[2])]
        print(send(data, int(sys.argv[3]), rate, seconds))
        return
    with tempfile.TemporaryDirectory() as name, fleet(Path(name)) as made:
        config = Path(name) / "master.toml"
        config.write_text("ingest_per_source = 1000000\n")
        made.start_master("--syslog=udp:0", "--statsd=udp:0", f"--config={config}")
        lines = [line for line in made.master.text().splitlines() if "listens at udp" in line]
        ports = {line.split(" listens")[0].split()[-1]: int(line.rpartition(":")[2]) for line in lines}
        for number, (kind, *_) in enumerate(CASES):
            case(made, ports, kind, number)


if __name__ == "__main__":
    main()
