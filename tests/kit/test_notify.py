"""What systemd is told."""

import os
import socket
from pathlib import Path

from twisted.internet.task import Clock

from deployer.kit.notify import Notifier
from support.failures import LoggedFailures


def _heard(listener: socket.socket) -> list[str]:
    heard = []
    while True:
        try:
            heard.append(listener.recv(100).decode())
        except BlockingIOError:
            return heard


def test_the_service_manager_hears_that_the_program_is_ready_alive_and_ending(tmp_path: Path) -> None:
    clock = Clock()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.setblocking(False)
        told = {"NOTIFY_SOCKET": str(tmp_path / "s"), "WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid())}
        notifier = Notifier(told, clock)
        notifier.ready()
        assert _heard(listener) == ["READY=1"]
        clock.pump([5, 5])
        assert _heard(listener) == ["WATCHDOG=1", "WATCHDOG=1"]
        notifier.stopping()
        clock.advance(5)
        assert _heard(listener) == ["STOPPING=1", "WATCHDOG=1"]
        notifier.stopped()
        clock.advance(100)
        assert _heard(listener) == []


def test_an_abstract_socket_and_a_watchdog_meant_for_another_process() -> None:
    clock = Clock()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0deployer-test-{os.getpid()}")
        listener.setblocking(False)
        told = {"NOTIFY_SOCKET": f"@deployer-test-{os.getpid()}", "WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "1"}
        Notifier(told, clock).ready()
        clock.advance(100)
        assert _heard(listener) == ["READY=1"]


def test_without_a_service_manager_nobody_is_told(tmp_path: Path, logged_failures: LoggedFailures) -> None:
    Notifier({}, Clock()).ready()
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}, Clock()).ready()  # said in the log, and no more
