"""A real master receives what machines send, also while its Redis stands still, and says where it listens."""

import re
import signal
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.programs import Fleet, fleet, run_to_its_end
from support.wait import until


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Fleet]:
    with fleet(tmp_path) as made:
        yield made


def port_of(made: Fleet, where: str) -> int:
    match = re.search(rf"{where} 127\.0\.0\.1:([0-9]+)", made.master.text())
    assert match is not None
    return int(match[1])


def counts(made: Fleet, name: str) -> dict[str, int]:
    token = (made.data / "admin-token").read_text().strip()
    request = urllib.request.Request(f"{made.url}/metrics", headers={"Authorization": f"Bearer {token}"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 (our own master)
        lines = answer.read().decode().splitlines()
    found = [line for line in lines if line.startswith(f"deployer_{name}_total{{")]
    return {line.split('"')[1]: int(float(line.rpartition(" ")[2])) for line in found}


def test_a_master_receives_all_three_and_ends_in_order(running: Fleet) -> None:
    running.start_master("--syslog=udp:0", "--statsd=udp:0", "--graphite=tcp:0", "--graphite=udp:0")
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for kind, data in (("syslog", b"<14>app: x"), ("statsd", b"a:1|c"), ("graphite", b"a 1")):
        sender.sendto(data, ("127.0.0.1", port_of(running, f"{kind} listens at udp")))
    with socket.create_connection(("127.0.0.1", port_of(running, "graphite listens at tcp"))) as stream:
        stream.sendall(b"b 2\n")
        until(lambda: counts(running, "graphite")["points"] == 2, what="two points")
    until(lambda: counts(running, "syslog")["stored"] == 1, what="a message")
    until(lambda: counts(running, "statsd")["samples"] == 1, what="a sample")
    sender.close()
    assert running.master.stop() == 0


def test_what_comes_while_redis_stands_still_is_stored_afterwards(running: Fleet) -> None:
    running.start_master("--syslog=udp:0")
    (redis,) = running.redis_servers()
    place = ("127.0.0.1", port_of(running, "syslog listens at udp"))
    redis.send_signal(signal.SIGSTOP)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for number in range(5000):
                sender.sendto(b"<14>app: %d" % number, place)
    finally:
        redis.send_signal(signal.SIGCONT)
    until(lambda: counts(running, "syslog")["stored"] == 5000, what="all messages")
    seen = counts(running, "syslog")
    assert (seen["received"], seen["dropped"], seen["lost_in_kernel"], seen["waiting"]) == (5000, 0, 0, 0)


@pytest.mark.parametrize("option", ["--syslog=tcp:1", "--statsd=udp:x", "--graphite=ssl:1"])
def test_a_wrong_description_ends_the_start_with_one_line(tmp_path: Path, option: str) -> None:
    ended = run_to_its_end("deployer-master", f"--data-dir={tmp_path}", option)
    assert ended.returncode != 0
    assert option[2:8] in ended.stderr + ended.stdout
    assert "Traceback" not in ended.stderr + ended.stdout
