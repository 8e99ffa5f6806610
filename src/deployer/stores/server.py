"""What a Redis must be set to before we trust it with work (RELIABILITY 2.6 e, D1)."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import txredisapi
from twisted.logger import Logger

from deployer.errors import StartError, UnavailableError
from deployer.kit.clock import Clock, sleep
from deployer.stores.redis import Redis

AGAIN_S: Final = 0.5
T = TypeVar("T")
log = Logger()
_REQUIRED: Final = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}


async def require_durable(redis: Redis, *, accept_data_loss: bool) -> None:
    """Refuse a server that would lose acknowledged work, unless the operator accepts that."""
    problems = [
        f"{name} is {present or 'unknown'}, not {wanted}"
        for name, wanted in _REQUIRED.items()
        if (present := await _setting(redis, name)) != wanted
    ]
    if problems and not accept_data_loss:
        raise StartError(
            f"this Redis may lose accepted work: {'; '.join(problems)}. "
            "Change its settings, or set accept_data_loss = true"
        )


async def patiently(ask: Callable[[], Awaitable[T]], clock: Clock, wait_s: float) -> T:
    """Ask Redis again while it goes away during a start; StartError when it still does after `wait_s` seconds."""
    end = clock.seconds() + wait_s
    while True:
        try:
            return await ask()
        except UnavailableError as error:
            if clock.seconds() > end:
                raise StartError(f"Redis goes away again and again during the start: {error}") from error
            log.warn("Redis went away during the start: {error}", error=str(error))
            await sleep(clock, AGAIN_S)


async def memory_use(redis: Redis) -> float:
    """The share of `maxmemory` in use, 0 when there is no limit."""
    text: bytes = await redis.call("INFO", "memory")
    fields = dict(line.split(b":", 1) for line in text.splitlines() if b":" in line)
    limit = int(fields.get(b"maxmemory", 0))
    return int(fields.get(b"used_memory", 0)) / limit if limit else 0.0


async def _setting(redis: Redis, name: str) -> str | None:
    try:
        reply = await redis.call("CONFIG", "GET", name)
    except txredisapi.ResponseError:  # a server that hides CONFIG: unknown is not good enough
        return None
    return reply[1].decode() if reply else None
