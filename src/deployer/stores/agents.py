"""Agents in Redis: their record, their session, and the scripts by which commands go out and results come in."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from deployer.errors import (
    ChangedError,
    ConflictError,
    NotFoundError,
    OtherInstanceError,
    PollAgainError,
    QuarantinedError,
    RevokedError,
    StaleSessionError,
    UnauthorizedError,
)
from deployer.model import limits, retention
from deployer.model.access import AgentSet
from deployer.model.presence import OFFLINE_MS, OVERDUE_MS, TOUCH_MS
from deployer.model.traits import effective
from deployer.protocol.commands import Envelope
from deployer.protocol.ids import AgentId
from deployer.protocol.results import Result
from deployer.protocol.traits import NONE, Traits
from deployer.protocol.wire import JoinRequest, Receipt, Verdict
from deployer.stores import keys, scripts
from deployer.stores.redis import Redis

CLAIM_BYTES = 1024 * 1024
REVOKED_A_ROUND = 10
WIRE_BYTES = 8 * 1024 * 1024
"""Longer than any command is that was made here."""
AgentState = Literal["pending", "online", "overdue", "offline", "draining", "revoked"]


class Duplicate(Struct, frozen=True, kw_only=True):
    """Another instance with an agent's key, the last one: when, and what became of it. `at`: epoch ms."""

    instance: str
    hostname: str
    at: int
    outcome: str


class AgentRecord(Struct, frozen=True, kw_only=True):
    """An agent as it stands. `last_seen`, `joined`: epoch ms, None when never."""

    id: AgentId
    company: str
    state: AgentState
    hostname: str
    version: str
    extensions: Sequence[str]
    last_seen: int | None
    joined: int | None
    duplicate: Duplicate | None = None
    declared: Traits = NONE
    changes: Traits = NONE
    traits_version: str = "0"

    @property
    def traits(self) -> Traits:
        """What counts of what it declares and what was changed here."""
        return effective(self.declared, self.changes)


class Session(Struct, frozen=True):
    """Whom a session token stands for."""

    agent: AgentId
    epoch: int
    instance: str
    company: str


class Opened(Struct, frozen=True):
    """What to open a session with. `digest` is the SHA-256 of the session's secret."""

    agent: AgentId
    instance: str
    digest: str
    version: str
    hostname: str
    extensions: Sequence[str] = ()
    declared: Traits = NONE


class Asked(Struct, frozen=True):
    """The instance with the session was asked at this time (Redis time, ms) whether it lives."""

    at: int


class Entry(Struct, frozen=True):
    """Messages of one task, packed for one entry of a stream. `texts`: bytes of what was printed."""

    task: str
    stream: str
    count: int
    texts: int
    messages: bytes


class Logged(Struct, frozen=True):
    """What became of a batch: the highest stored number, messages that were not stored, whether it is new.

    They are over the share, of foreign tasks, or their stream is none.
    """

    acked: int
    over: int
    foreign: int
    lost: int
    fresh: bool = True


class Agents:
    """Reads agents and runs the scripts that an agent's session may run.

    `log_share`: bytes of one task's messages that are kept here.
    """

    def __init__(self, redis: Redis, log_share: int = limits.LOG_SHARE_BYTES) -> None:
        self._redis = redis
        self._log_share = log_share

    async def owns_grid(self, company: str, gid: int) -> bool:
        """Tell whether a grid is this company's."""
        return bool(await self._redis.call("HGET", keys.grid(gid), "company") == company.encode())

    async def join(self, kid: str, request: JoinRequest, now_ms: int) -> tuple[AgentId, str]:
        """Make an agent of this key, or find it; its number and company. The token's secret was checked before."""
        gid, nid = ("" if number is None else number for number in (request.gid, request.nid))
        wanted = [now_ms, request.public_key, gid, nid, request.hostname]
        answer = await self._redis.run(scripts.JOIN, [keys.join_token(kid), keys.AGENT_KEYS], wanted)
        word = answer[0].decode()
        if word == "TAKEN":
            raise ConflictError("this number or this key is already another agent's")
        if word == "REVOKED":
            raise RevokedError("this agent was revoked: it joins again with a new key only")
        if word != "OK":
            raise UnauthorizedError(_JOIN_REFUSALS[word])
        return AgentId(int(answer[1]), int(answer[2])), answer[3].decode()

    async def revoke(self, company: str, agent: AgentId, now_ms: int) -> None:
        """End its session and let it open no other; NotFoundError when the company has none of this number."""
        wanted = [str(agent), company, now_ms]
        if await self._redis.run(scripts.REVOKE, [keys.agent(agent)], wanted) != b"OK":
            raise NotFoundError("this agent does not exist")

    async def abandon(self, unstarted: bytes, started: bytes) -> int:
        """End up to 100 tasks of each of ten revoked agents with one of the results; how many were looked at."""
        looked = 0
        for raw in await self._redis.read("ZRANGE", keys.REVOKED, 0, REVOKED_A_ROUND - 1):
            agent = self._redis.damage.read(keys.REVOKED, lambda text: AgentId.parse(text.decode()), raw)
            if agent is None:
                await self._redis.call("ZREM", keys.REVOKED, raw)
                continue
            named = [keys.REVOKED, keys.agent(agent)]
            looked += int(await self._redis.run(scripts.ABANDON, named, [str(agent), unstarted, started]))
        return looked

    async def public_key(self, agent: AgentId) -> str | None:
        """The key that the agent joined with; None for an agent that does not exist."""
        raw = await self._redis.read("HGET", keys.agent(agent), "public_key")
        return self._redis.damage.read(keys.agent(agent), bytes.decode, raw)

    async def open_session(self, opened: Opened) -> int:
        """Replace the agent's session unless another instance was heard lately; the new epoch."""
        answer = await self._redis.run(scripts.SESSION, *_session_arguments(opened))
        return int(_admitted(answer)[1])

    async def enter(self, opened: Opened, asked: int | None = None) -> int | Asked:
        """Replace the agent's session, the new epoch; or what is to be waited for before coming again with its time."""
        named, arguments = _session_arguments(opened)
        more = ["" if asked is None else asked, limits.TAKEOVER_MS, limits.TAKEOVERS]
        answer = await self._redis.run(scripts.SESSION, named, [*arguments, *more])
        if answer[0] == b"ASKED":
            return Asked(int(answer[1]))
        return int(_admitted(answer)[1])

    async def has_answered(self, agent: AgentId, asked: Asked) -> bool:
        """Tell whether the instance with the session has shown that it lives."""
        raw = await self._redis.read("HGET", keys.agent(agent), "answered")
        return raw is not None and raw.isdigit() and int(raw) >= asked.at

    async def session(self, digest: str) -> Session | None:
        """Whom the session with this digest stands for; None when there is none or it has ended."""
        fields = await self._redis.read("HMGET", keys.session(digest), "agent", "epoch", "instance", "company")
        if None in fields:
            return None
        try:
            agent, epoch, instance, company = (raw.decode() for raw in fields)
            return Session(AgentId.parse(agent), int(epoch), instance, company)
        except ValueError:
            self._redis.damage.found(keys.session(digest))
            return None

    async def claim(self, session: Session, count: int) -> list[bytes]:
        """Take up to `count` commands, and up to 100 kills; each an envelope as JSON.

        What is none ends as CORRUPT: among the others it would make the answer unreadable for ever.
        """
        arguments = [str(session.agent), session.epoch, count, limits.LEASE_MS, TOUCH_MS, CLAIM_BYTES, WIRE_BYTES]
        answer = await self._redis.run(scripts.CLAIM, _keys(session), arguments)
        if answer[0] == b"AGAIN":
            raise PollAgainError("ask again at once")
        damaged, *flat = _fresh(answer)
        self._redis.damage.tasks_ended(session.company, damaged)
        claimed = list(zip(flat[::2], flat[1::2], strict=True))
        bad = [id_ for id_, wire in claimed if not _is_envelope(wire)]
        if not bad:
            return [wire for _, wire in claimed]
        await self._redis.run(scripts.CORRUPT, _keys(session), [str(session.agent), *bad])
        self._redis.damage.tasks_ended(session.company, [b"%b@%b" % (id_, str(session.agent).encode()) for id_ in bad])
        return [wire for id_, wire in claimed if id_ not in bad]

    async def accept(self, session: Session, ids: Sequence[str]) -> list[Verdict]:
        """Bind tasks to the instance that has them in its journal."""
        arguments = [str(session.agent), session.epoch, session.instance, TOUCH_MS, *ids]
        answer = await self._redis.run(scripts.ACCEPT, _keys(session), arguments)
        return self._words(session, answer)  # type: ignore[return-value]  # the script's words

    async def finish(self, session: Session, results: Sequence[Result]) -> list[Receipt]:
        """Keep results for ever, or tell why not."""
        arguments: list[object] = [str(session.agent), session.epoch, session.instance, TOUCH_MS]
        for result in results:
            arguments += (result.id, result.state, _encode(result))
        answer = await self._redis.run(scripts.RESULT, _keys(session), arguments)
        return self._words(session, answer)  # type: ignore[return-value]  # the script's words

    async def record_runs(self, session: Session, runs: Sequence[Result]) -> list[Receipt]:
        """Keep records of finished runs, the last hundred of each task."""
        arguments: list[object] = [
            str(session.agent),
            session.epoch,
            session.instance,
            TOUCH_MS,
            retention.RUNS_PER_TASK,
        ]
        for run in runs:
            arguments += (run.id, run.run, _encode(run))
        answer = await self._redis.run(scripts.RUN, _keys(session), arguments)
        return self._words(session, answer)  # type: ignore[return-value]  # the script's words

    async def log(self, session: Session, boot: str, seq: int, entries: Sequence[Entry]) -> Logged:
        """Store one batch of messages, once."""
        arguments: list[object] = [
            str(session.agent),
            session.epoch,
            session.instance,
            TOUCH_MS,
            boot,
            seq,
            self._log_share,
        ]
        for entry in entries:
            arguments += (entry.task, entry.stream, entry.count, entry.texts, entry.messages)
        answer = _fresh(await self._redis.run(scripts.LOG, _keys(session), arguments))
        acked, over, foreign, lost, fresh = map(int, answer)
        return Logged(acked, over, foreign, lost, bool(fresh))

    def _words(self, session: Session, answer: list[Any]) -> list[str]:
        words = _fresh(answer)
        if words and isinstance(words[-1], list):
            self._redis.damage.tasks_ended(session.company, words.pop())
        return [word.decode() for word in words]

    async def agent(self, company: str, agent: AgentId) -> AgentRecord:
        """One agent; NotFoundError when the company has none of this number."""
        record = self._record(agent, await self._redis.read("HMGET", keys.agent(agent), *_FIELDS))
        if record is None or record.company != company:
            raise NotFoundError("this agent does not exist")
        return record

    async def change_traits(self, known: AgentRecord, changes: Traits) -> None:
        """Put others in the place of what was changed here; ChangedError when somebody else was faster."""
        wanted = [known.company, known.traits_version, _encode(changes)]
        answer = await self._redis.run(scripts.TRAITS, [keys.agent(known.id)], wanted)
        if answer == b"CHANGED":
            raise ChangedError("it has changed since it was read: read it again")
        if answer != b"OK":
            raise NotFoundError("this agent does not exist")

    async def those(self, company: str, ids: Sequence[AgentId]) -> list[AgentRecord]:
        """Those of these agents that the company has."""
        return [one for one in await self._records(ids) if one.company == company]

    async def agents(self, company: str, after: AgentId | None, count: int, only: AgentSet = None) -> list[AgentRecord]:
        """Agents by number, those after `after` and those among `only` when that is given."""
        if only is not None:
            return await self._some(company, after, count, only)
        start = "-" if after is None else f"({_place(after)}"
        index = f"{keys.prefix(company)}agents"
        places = await self._redis.read("ZRANGEBYLEX", index, start, "+", "LIMIT", 0, count)
        return await self._records([AgentId(*map(int, place.decode().split(":"))) for place in places])

    async def _some(
        self, company: str, after: AgentId | None, count: int, only: frozenset[AgentId]
    ) -> list[AgentRecord]:
        wanted = sorted(one for one in only if after is None or one > after)
        return (await self.those(company, wanted))[:count]

    async def _records(self, ids: Sequence[AgentId]) -> list[AgentRecord]:
        replies = await self._redis.reads([("HMGET", keys.agent(one), *_FIELDS) for one in ids])
        found = [self._record(one, reply) for one, reply in zip(ids, replies, strict=True)]
        return [record for record in found if record is not None]

    def _record(self, agent: AgentId, fields: list[bytes | None]) -> AgentRecord | None:
        try:
            return _agent(agent, fields)
        except ValueError:  # not UTF-8, not JSON, not a number
            self._redis.damage.found(keys.agent(agent))
            return None

    async def present(self) -> dict[str, int]:
        """How many agents of all companies are online, and how many overdue."""
        online, overdue = await self._redis.reads([("ZCARD", keys.SEEN_ONLINE), ("ZCARD", keys.SEEN_OVERDUE)])
        return {"online": online or 0, "overdue": overdue or 0}

    async def review_presence(self) -> int:
        """Let silent agents become overdue and offline; how many changed."""
        changed: int = await self._redis.run(
            scripts.PRESENCE, [keys.SEEN_ONLINE, keys.SEEN_OVERDUE], [OVERDUE_MS, OFFLINE_MS]
        )
        return changed


_encode = msgspec.json.Encoder().encode
_envelope = msgspec.json.Decoder(Envelope).decode
_names = msgspec.json.Decoder(list[str]).decode
_traits = msgspec.json.Decoder(Traits).decode
_FIELDS = (
    "company",
    "state",
    "hostname",
    "version",
    "extensions",
    "last_seen",
    "joined",
    "declared",
    "traits",
    "traits_version",
    "rival",
    "rival_host",
    "rival_at",
    "rival_outcome",
)
_JOIN_REFUSALS = {
    "EXPIRED": "this join token is unknown or has expired: make another",
    "USED": "this join token has been used up: make another",
    "WRONG_GRID": "this join token is for another grid",
}


def _keys(session: Session) -> list[str]:
    return [keys.agent(session.agent), keys.prefix(session.company)]


def _is_envelope(wire: bytes) -> bool:
    try:
        _envelope(wire)
    except (ValueError, RecursionError):
        return False
    return True


def _fresh(answer: list[Any]) -> list[Any]:
    if answer[0] == b"STALE":
        raise StaleSessionError("a newer session of this agent has taken over")
    return answer[1:]


def _place(agent: AgentId) -> str:
    return f"{agent.gid:010d}:{agent.nid:010d}"


def _agent(agent: AgentId, fields: list[bytes | None]) -> AgentRecord | None:
    texts = [None if raw is None else raw.decode() for raw in fields]
    company, state, hostname, version, extensions, last_seen, joined, declared, changes, number = texts[:10]
    if company is None:
        return None
    return AgentRecord(
        id=agent,
        company=company,
        state=state or "offline",  # type: ignore[arg-type]  # one of the states
        hostname=hostname or "",
        version=version or "",
        extensions=_names(extensions or "[]"),
        last_seen=None if last_seen is None else int(last_seen),
        joined=None if joined is None else int(joined),
        duplicate=_duplicate(*texts[10:]),
        declared=_traits(declared or "{}"),
        changes=_traits(changes or "{}"),
        traits_version=number or "0",
    )


def _duplicate(rival: str | None, host: str | None, at: str | None, outcome: str | None) -> Duplicate | None:
    if rival is None or at is None:
        return None
    return Duplicate(instance=rival, hostname=host or "", at=int(at), outcome=outcome or "")


def _session_arguments(opened: Opened) -> tuple[list[str], list[object]]:
    arguments: list[object] = [
        str(opened.agent),
        opened.instance,
        opened.digest,
        limits.SESSION_S,
        OVERDUE_MS,
        opened.version,
        opened.hostname,
        _encode(opened.extensions),
        _encode(opened.declared),
    ]
    return [keys.agent(opened.agent), keys.session(opened.digest)], arguments


def _admitted(answer: list[Any]) -> list[Any]:
    word = answer[0]
    if word == b"OTHER_INSTANCE":
        raise OtherInstanceError("another instance with this key is alive: was the agent's data directory copied?")
    if word == b"QUARANTINED":
        raise QuarantinedError(
            "instances with this key have taken over from each other too often: end all but one; "
            f"another one is admitted {limits.TAKEOVER_MS // 60_000} minutes later"
        )
    if word == b"REVOKED":
        raise RevokedError("this agent was revoked: it joins again with a new key only")
    if word != b"OK":
        raise UnauthorizedError("this agent is not known here any more")
    return answer
