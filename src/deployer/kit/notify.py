"""Tells systemd how the program is (sd_notify(3)): ready, stopping, and now and then that it is alive.

Without NOTIFY_SOCKET in the environment nobody is told, so nothing depends on systemd.
"""

import os
import socket
from collections.abc import Mapping
from typing import Final

from twisted.logger import Logger

from deployer.kit.clock import Clock
from deployer.kit.periodic import Periodic

READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"
ALIVE: Final = "WATCHDOG=1"
_FAMILY: Final = getattr(socket, "AF_UNIX", 0)  # not on every system
_MICROSECONDS: Final = 1_000_000


class Notifier:
    """Speaks to the service manager named in `environment`."""

    log = Logger()

    def __init__(self, environment: Mapping[str, str], clock: Clock) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._clock = clock
        self._period_s = _watchdog_s(environment) / 2
        self._alive: Periodic | None = None

    def ready(self) -> None:
        """Say that the program is ready, and from now on twice per watchdog period that it is alive."""
        self.tell(READY)
        if self._address and self._period_s and self._alive is None:
            self._alive = Periodic("telling the service manager", self._period_s, self._tell_alive, self._clock)
            self._alive.startService()

    def stopping(self) -> None:
        """Say that the program ends; it still says that it is alive until `stopped`."""
        self.tell(STOPPING)

    def stopped(self) -> None:
        """Say nothing more."""
        if self._alive is not None:
            self._alive.stopService()

    def tell(self, state: str) -> None:
        """Send one state; a service manager that does not listen is none of the program's business."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(_FAMILY, socket.SOCK_DGRAM) as speaker:
                speaker.setblocking(False)
                speaker.sendto(state.encode(), address)
        except OSError as error:
            self.log.warn("the service manager could not be told {state}: {error}", state=state, error=str(error))

    async def _tell_alive(self) -> None:
        self.tell(ALIVE)


def _watchdog_s(environment: Mapping[str, str]) -> float:
    """The period within which systemd wants to hear from this process; 0: it does not."""
    pid, text = environment.get("WATCHDOG_PID", ""), environment.get("WATCHDOG_USEC", "")
    meant = not pid or pid == str(os.getpid())
    return int(text) / _MICROSECONDS if meant and text.isascii() and text.isdigit() else 0.0
