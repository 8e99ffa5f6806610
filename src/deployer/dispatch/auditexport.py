"""What is too old of an audit log goes into a file of the master that takes it out: `D/audit/<company>.jsonl`."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Raw
from twisted.logger import Logger

from deployer.kit.files import private_dir
from deployer.kit.threads import Threads
from deployer.model import retention
from deployer.model.audit import Link
from deployer.stores.audit import Audits
from deployer.stores.installation import Installations

FOLDER: Final = "audit"
ROUNDS: Final = 100


class AuditExport:
    """One master at a time does this; `owner` is what tells it from others."""

    log = Logger()

    def __init__(
        self,
        audits: Audits,
        installations: Installations,
        data_dir: Path,
        threads: Threads,
        *,
        owner: str,
        most: int = retention.AUDIT_ENTRIES_PER_COMPANY,
    ) -> None:
        self._audits = audits
        self._installations = installations
        self._folder = data_dir / FOLDER
        self._threads = threads
        self._owner = owner
        self._most = most

    async def round(self) -> None:
        """Export what is too much of every company."""
        if await self._audits.is_mine(self._owner):
            for company in await self._installations.companies():
                await self._export(company)

    async def _export(self, company: str) -> None:
        for _ in range(ROUNDS):
            entries = await self._audits.surplus(company, self._most)
            if not entries:
                return
            lines = b"".join(line(one.link) for one in entries)
            await self._threads.run(_append, self._folder, company, lines)
            await self._audits.forget(company, entries)


def line(link: Link) -> bytes:
    """An entry with its hash, as a line of JSON: `entry` has exactly the bytes that were hashed."""
    return _encode({"hash": link.hash, "entry": Raw(link.text)}) + b"\n"


def _append(folder: Path, company: str, lines: bytes) -> None:
    """Write behind what is there, to the disk; the folder and file are nobody else's."""
    private_dir(folder)
    handle = os.open(folder / f"{company}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    try:
        os.write(handle, lines)
        os.fsync(handle)
    finally:
        os.close(handle)


def joined(links: Sequence[Link]) -> bytes:
    """Several as one piece of a stream."""
    return b"".join(map(line, links))


_encode = msgspec.json.Encoder().encode
