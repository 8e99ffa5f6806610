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
_REQUIRED: Final = {
    "appendonly": "yes",
    "appendfsync": "always",
    "no-appendfsync-on-rewrite": "no",
    "maxmemory-policy": "noeviction",
}
_LOOPBACK: Final = {"127.0.0.1", "::1", "localhost"}


async def require_durable(redis: Redis, *, accept_data_loss: bool) -> None:
    """Refuse a server that would lose acknowledged work or serves anybody; with `accept_data_loss` only warn."""
    problems = [
        f"{name} is {present or 'unknown'}, not {wanted}"
        for name, wanted in _REQUIRED.items()
        if (present := await _setting(redis, name)) != wanted
    ]
    if await _serves_anybody(redis):
        problems.append("whoever reaches its port may use it: set a password, or protected-mode yes")
    if not problems:
        return
    if not accept_data_loss:
        raise StartError(
            f"this Redis may lose accepted work: {'; '.join(problems)}. "
            "Change its settings, or set accept_data_loss = true"
        )
    log.warn(
        "\x1b[31maccept_data_loss: this Redis may lose accepted work: {problems}\x1b[0m", problems="; ".join(problems)
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


async def _serves_anybody(redis: Redis) -> bool:
    """Whether its port is open to other hosts without a password. One that hides this has been set up with care."""
    if await _setting(redis, "protected-mode") != "no" or await _setting(redis, "port") in {"0", None}:
        return False
    bound = {address.removeprefix("-") for address in (await _setting(redis, "bind") or "").split()}
    return not (bound and bound <= _LOOPBACK) and await _is_free(redis)


async def _is_free(redis: Redis) -> bool:
    """Whether the default user needs no password."""
    try:
        reply = await redis.call("ACL", "GETUSER", "default")
    except txredisapi.ResponseError:
        return False
    return {b"on", b"nopass"} <= set(reply[reply.index(b"flags") + 1])


async def _setting(redis: Redis, name: str) -> str | None:
    try:
        reply = await redis.call("CONFIG", "GET", name)
    except txredisapi.ResponseError:  # a server that hides CONFIG: unknown is not good enough
        return None
    return reply[1].decode() if reply else None
