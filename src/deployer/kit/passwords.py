"""Passwords are kept as argon2id, computed in threads: few at once, few waiting."""

import base64
import secrets
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from twisted.internet.defer import DeferredSemaphore

from deployer.kit.threads import Threads

AT_ONCE: Final = 2
MOST_WAITING: Final = 20
MEMORY_KIB: Final = 19 * 1024
ROUNDS: Final = 2
"""OWASP's first choice for argon2id: 19 MiB, 2 rounds, 1 lane (tried: 35 ms here)."""


class BusyError(Exception):
    """Too many wait already."""


class Passwords:
    """Hashes passwords and compares them."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._turn = DeferredSemaphore(AT_ONCE)
        self.waiting = 0
        self._hasher = PasswordHasher(time_cost=ROUNDS, memory_cost=MEMORY_KIB, parallelism=1)
        self._nobodys = _no_hash()

    async def hash(self, password: str) -> str:
        """What to keep of a password; BusyError when too many wait."""
        return str(await self._run(self._hasher.hash, _bytes(password)))

    async def matches(self, kept: str | None, password: str) -> bool:
        """Whether this is the password; as long for None, which none is. BusyError when too many wait."""
        return bool(await self._run(self._compare, kept or self._nobodys, _bytes(password))) and kept is not None

    def is_old(self, kept: str) -> bool:
        """Whether what is kept was made with other parameters than ours."""
        return self._hasher.check_needs_rehash(kept)

    def _compare(self, kept: str, password: bytes) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: object, *arguments: object) -> object:
        if self.waiting >= AT_ONCE + MOST_WAITING:
            raise BusyError
        self.waiting += 1
        try:
            await self._turn.acquire()
            try:
                return await self._threads.run(work, *arguments)  # type: ignore[arg-type]  # one of the two above
            finally:
                self._turn.release()
        finally:
            self.waiting -= 1


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")


def _no_hash() -> str:
    """Of this form and of no password."""
    salt, digest = (base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (16, 32))
    return f"$argon2id$v=19$m={MEMORY_KIB},t={ROUNDS},p=1${salt}${digest}"
