"""Is there room on the disk? A full one refuses new jobs and loses no result (RELIABILITY 2.6 i).

sqlite needs room even to delete. So a file of no use, the ballast, lies beside the journal and is given up for it when
the disk is full; it is made again when there is room for twice as much.
"""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct
from twisted.logger import Logger

from deployer.protocol import codes
from deployer_agent.errors import RefusedError

BALLAST_FILE: Final = "ballast"
MOST_RESERVE: Final = 256 * 1024 * 1024
_SHARE: Final = 0.05


class Room(Struct, frozen=True):
    """Bytes of the file system that the data directory is on."""

    total: int
    free: int


class Space:
    """Whether new jobs may come (`scarce`), and whether messages may be written (`roomy`)."""

    log = Logger()

    def __init__(self, directory: Path, ballast: int, room: Callable[[Path], Room] | None = None) -> None:
        self._directory = directory
        self._file = directory / BALLAST_FILE
        self._ballast = ballast
        self._room = room or measure
        self.scarce = False
        self.roomy = True

    def start(self) -> None:
        """Make the ballast; without room for it the start is a scarce one."""
        self.look()

    def look(self) -> None:
        """See how it stands: to be called every few seconds."""
        room = self._room(self._directory)
        held = self._file.exists() and self._file.stat().st_size >= self._ballast
        if not held and room.free >= 2 * self._ballast:
            held = self._make()
        self._set(scarce=not held or room.free < self._ballast)
        self.roomy = not self.scarce and room.free > max(2 * self._ballast, min(MOST_RESERVE, int(room.total * _SHARE)))

    def full(self) -> None:
        """Give up the ballast: the journal could not be written."""
        self._file.unlink(missing_ok=True)
        self.roomy = False
        self._set(scarce=True)

    def require(self) -> None:
        """RefusedError NO_SPACE while there is no room for new jobs."""
        if self.scarce:
            raise RefusedError(codes.NO_SPACE, f"the disk of {self._directory} is full: this agent takes no new jobs")

    def _set(self, *, scarce: bool) -> None:
        if scarce and not self.scarce:
            self.log.error("the disk of {directory} is full: new jobs are refused", directory=str(self._directory))
        elif self.scarce and not scarce:
            self.log.info("the disk of {directory} has room again", directory=str(self._directory))
        self.scarce = scarce

    def _make(self) -> bool:
        """Whether it could be made."""
        try:
            _allocate(self._file, self._ballast)
        except OSError as error:
            self.log.warn("no room can be kept for the journal: {error}", error=str(error))
            self._file.unlink(missing_ok=True)
            return False
        return True


def measure(directory: Path) -> Room:
    """How it stands now."""
    usage = shutil.disk_usage(directory)
    return Room(usage.total, usage.free)


def _allocate(file: Path, size: int) -> None:
    """Make a file whose blocks are really its own."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(handle, 0, size)
        else:
            with suppress(BlockingIOError):
                os.write(handle, bytes(size))
    finally:
        os.close(handle)
