"""Logs followed live by many: what it costs the master, whether all get everything, and what one does who never reads.

Run by hand: `python bench/tail.py`. A sender, a process of its own, sends syslog to a real master with its own Redis;
twenty clients in one more process follow all logs, and one of them stops reading after its first byte.
"""

import json
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import psutil

from support.programs import Fleet, fleet
from support.wait import until

RATE, SECONDS, FOLLOWERS = 5000, 20.0, 20
LINE = b"<134>Nov 28 18:22:23 web1 nginx[1234]: line %d " + b"x" * 100
BURST_S = 0.01
MARK = b"\ndata: {"


def send(port: int) -> int:
    """Send at a rate, in bursts; how many went."""
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.connect(("127.0.0.1", port))
    begin, sent = time.perf_counter(), 0
    while (passed := time.perf_counter() - begin) < SECONDS:
        for _ in range(int(passed * RATE) - sent):
            sender.send(LINE % sent)
            sent += 1
        time.sleep(BURST_S)  # noqa: TID251 (a sender has a pace)
    return sent


def follow(port: int, token: str) -> None:
    """Follow with all sockets; a line of JSON for each line of stdin: how many events each has got."""
    chooser = selectors.DefaultSelector()
    seen = [0] * FOLLOWERS
    for number in range(FOLLOWERS):
        one = socket.create_connection(("127.0.0.1", port))
        head = "GET /api/v1/logs HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n"
        one.sendall(f"{head}Authorization: Bearer {token}\r\n\r\n".encode())
        one.recv(1)
        if number:  # the first never reads again
            chooser.register(one, selectors.EVENT_READ, number)
    threading.Thread(target=_answer, args=(seen,), daemon=True).start()
    rests = [b""] * FOLLOWERS
    while True:
        for key, _ in chooser.select():
            read = rests[key.data] + key.fileobj.recv(1 << 20)  # type: ignore[union-attr]
            seen[key.data] += read.count(MARK)
            rests[key.data] = read[read.rfind(b"\n") :] if MARK not in read[read.rfind(b"\n") :] else b""


def _answer(seen: list[int]) -> None:
    for _ in sys.stdin:
        print(json.dumps(seen), flush=True)


class Followers:
    """The process of those who follow."""

    def __init__(self, made: Fleet) -> None:
        port = made.url.rpartition(":")[2]
        command = [sys.executable, __file__, "follow", port, made._token]  # noqa: SLF001
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._in: Any = self._process.stdin
        self._out: Any = self._process.stdout

    def seen(self) -> list[int]:
        """How many events each has got."""
        self._in.write("\n")
        self._in.flush()
        counts: list[int] = json.loads(self._out.readline())
        return counts

    def stop(self) -> None:
        """End."""
        self._process.kill()
        self._process.wait()


def measure(made: Fleet, port: int) -> None:
    master = psutil.Process(made.master.pid)
    followers = Followers(made)
    until(lambda: followers.seen() is not None, what="the followers")
    before, cpu_before = master.memory_info().rss, sum(master.cpu_times()[:2])
    most = before
    sender = subprocess.Popen([sys.executable, __file__, "send", str(port)], stdout=subprocess.PIPE, text=True)
    while sender.poll() is None:
        most = max(most, master.memory_info().rss)
        time.sleep(0.2)  # noqa: TID251 (a look now and then)
    sent = int(sender.communicate()[0])
    until(lambda: min(followers.seen()[1:]) >= sent, what="all lines", deadline_s=60, every_s=0.2)
    spent = sum(master.cpu_times()[:2]) - cpu_before
    seen = followers.seen()
    followers.stop()
    print(
        f"sent {sent:,} lines in {SECONDS:g} s, followed by {FOLLOWERS}; each of {FOLLOWERS - 1} got {min(seen[1:]):,}"
    )
    megabytes = [round(size / 1e6) for size in (before, most)]
    print(
        f"  CPU of the master {spent / SECONDS:.0%} of a core; memory {megabytes[0]} MB before, {megabytes[1]} at most"
    )


def main() -> None:
    if sys.argv[1:2] == ["send"]:
        print(send(int(sys.argv[2])))
        return
    if sys.argv[1:2] == ["follow"]:
        follow(int(sys.argv[2]), sys.argv[3])
    with tempfile.TemporaryDirectory() as name, fleet(Path(name)) as made:
        made.start_master("--syslog=udp:0")
        (line,) = [line for line in made.master.text().splitlines() if "listens at udp" in line]
        measure(made, int(line.rpartition(":")[2]))


if __name__ == "__main__":
    main()
