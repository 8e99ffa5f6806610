"""The files of messages in one directory: `current.db`, and `<epoch>.db` for each that is full (seed 001)."""

from pathlib import Path
from typing import Final

CURRENT: Final = "current.db"
_SUFFIX: Final = ".db"
_SIDES: Final = ("-wal", "-shm", "-journal")


class Files:
    """Names and sizes; the newest first."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def current(self) -> Path:
        """The one that is written."""
        return self.directory / CURRENT

    def full(self) -> list[Path]:
        """Those that are full, the newest first."""
        found = [path for path in self.directory.glob(f"*{_SUFFIX}") if path.stem.isdigit()]
        return sorted(found, key=lambda path: int(path.stem), reverse=True)

    def retire(self, epoch: int) -> Path:
        """Rename the current one (closed) by the time; its new path."""
        path = self.directory / f"{epoch}{_SUFFIX}"
        while path.exists():
            epoch += 1
            path = self.directory / f"{epoch}{_SUFFIX}"
        self.current.rename(path)
        return path

    def put_aside(self, epoch: int) -> Path:
        """Rename a current one that is damaged, with what belongs to it; its new path."""
        path = self.current.with_name(f"{CURRENT}.bad.{epoch}")
        for side in _SIDES:
            self.current.with_name(CURRENT + side).unlink(missing_ok=True)
        self.current.rename(path)
        return path

    def surplus(self, most_bytes: int) -> list[Path]:
        """The oldest full ones, which have to go so that all together are no larger."""
        sizes = [(path, path.stat().st_size) for path in self.full()]
        held = sum(size for _, size in sizes) + _size(self.current)
        gone: list[Path] = []
        for path, size in reversed(sizes):
            if held <= most_bytes:
                break
            gone.append(path)
            held -= size
        return gone


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
