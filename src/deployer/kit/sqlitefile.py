"""Opens a sqlite file that is ours alone to read: sqlite itself would make it 0644 under most umasks."""

import sqlite3
from collections.abc import Callable
from pathlib import Path


def open_file(
    path: Path, prepare: Callable[[sqlite3.Connection], None], *, timeout_s: float = 5.0
) -> sqlite3.Connection:
    """Open the file, making an empty one (0600) when there is none; what `prepare` raises closes it again.

    Statements are transactions of their own unless one is begun; any thread may use it, one at a time. `timeout_s`: how
    long to wait for another process that holds it.
    """
    if not path.exists():
        path.touch(mode=0o600)
    database = sqlite3.connect(path, timeout=timeout_s, isolation_level=None, check_same_thread=False)
    try:
        prepare(database)
    except BaseException:
        database.close()
        raise
    return database
