"""Scripts in Redis: their texts by hash, the newest twenty versions of each."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from deployer.errors import NotFoundError, QueueFullError
from deployer.model import retention
from deployer.stores import keys, scripts
from deployer.stores.redis import Redis


class ScriptRecord(Struct, frozen=True):
    """The newest version of a script. `created`: epoch ms."""

    domain: str
    name: str
    sha256: str
    size: int
    user: str
    created: int


class Library:
    """Keeps and finds scripts."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def keep(self, company: str, record: ScriptRecord, text: str) -> bool:
        """Keep a version; whether it is a new one. QueueFullError when the company has too many scripts."""
        arguments = [
            _field(record.domain, record.name),
            record.sha256,
            text,
            _encode(record),
            retention.SCRIPTS_PER_COMPANY,
            retention.VERSIONS_PER_SCRIPT,
        ]
        answer = await self._redis.run(scripts.KEEP_SCRIPT, [keys.prefix(company)], arguments)
        if answer == b"FULL":
            raise QueueFullError(f"a company has at most {retention.SCRIPTS_PER_COMPANY} scripts: remove some")
        return bool(answer == b"NEW")

    async def record(self, company: str, domain: str, name: str) -> ScriptRecord:
        """The newest version; NotFoundError without the script."""
        raw = await self._redis.read("HGET", _index(company), _field(domain, name))
        found = self._redis.damage.read(_index(company), _decode, raw)
        if found is None:
            raise NotFoundError("this script does not exist")
        return found

    async def text(self, company: str, domain: str, name: str, sha256: str) -> str:
        """The text of a version; NotFoundError when it is not kept (any more)."""
        key = _script(company, domain, name)
        found = self._redis.damage.read(key, bytes.decode, await self._redis.read("HGET", key, sha256))
        if found is None:
            raise NotFoundError("this version of the script does not exist")
        return found

    async def versions(self, company: str, domain: str, name: str) -> list[str]:
        """Hashes of the versions that are kept, the newest first."""
        raw = await self._redis.read("LRANGE", f"{_script(company, domain, name)}:versions", 0, -1)
        return [one.decode("utf-8", "replace") for one in raw]

    async def records(self, company: str) -> Sequence[ScriptRecord]:
        """All scripts of a company, by domain and name."""
        index = _index(company)
        read = [self._redis.damage.read(index, _decode, raw) for raw in await self._redis.read("HVALS", index)]
        found = [record for record in read if record is not None]
        return sorted(found, key=lambda record: (record.domain, record.name))

    async def remove(self, company: str, domain: str, name: str) -> None:
        """Remove a script with all its versions; NotFoundError without it."""
        key = _script(company, domain, name)
        gone, *_ = await self._redis.calls(
            [("HDEL", _index(company), _field(domain, name)), ("UNLINK", key, f"{key}:versions")]
        )
        if not gone:
            raise NotFoundError("this script does not exist")


def _field(domain: str, name: str) -> str:
    return f"{domain}/{name}"


def _index(company: str) -> str:
    return f"{keys.prefix(company)}scripts"


def _script(company: str, domain: str, name: str) -> str:
    return f"{keys.prefix(company)}script:{_field(domain, name)}"


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ScriptRecord).decode
