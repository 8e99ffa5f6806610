"""Idempotency-Key (IETF draft): a POST that comes again is done once, and is answered as it was the first time.

The claim is written before the work begins. The answer is kept for a day, encrypted by a key that only masters have,
since it may hold a token. The key of a job is its id, where the body has none: then SUBMIT itself does all this.
"""

import contextlib
import hashlib
import os
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Raw, Struct
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.http import Request

from deployer.errors import InFlightError, InvalidError, MalformedError, NoSpaceError, UnavailableError
from deployer.kit.clock import WallClock, epoch_ms
from deployer.kit.inflight import Inflight
from deployer.model.access import Caller
from deployer.protocol.ids import JOB_ID_PATTERN, JobId, new_id
from deployer.rest.answers import Answer
from deployer.stores.claims import Claims

NONCE_BYTES: Final = 12
UNDERWAY_MS: Final = 120_000
"""Work that takes longer has died with its master."""

_KEY: Final = re.compile(JOB_ID_PATTERN)
"""That of a job's key is its id; others look alike."""


class Identified(Struct, frozen=True, kw_only=True):
    """A body whose id is made here when its client gives none, so that the audit log has it before the work begins."""

    id: JobId | None = None


class Kept(Struct, frozen=True, omit_defaults=True):
    """A claim (status 0), or the answer: `asked` is the request's hash, `at` epoch ms."""

    asked: str
    at: int
    status: int = 0
    headers: Sequence[tuple[str, str]] = ()
    body: Raw = Raw(b"null")


class Idempotency:
    """Does POSTs with a key once."""

    def __init__(self, claims: Claims, secret: bytes, wall: WallClock) -> None:
        self._claims = claims
        self._cipher = AESGCM(secret)
        self._wall = wall
        self._inflight = Inflight()

    def identified(self, body: Struct, request: Request) -> Struct:
        """The body with an id, if it is one that has it: the request's key, or a new one."""
        if not isinstance(body, Identified):
            return body
        key = key_of(request)
        return msgspec.structs.replace(body, id=body.id or key or new_id(self._wall()))

    async def once(
        self, caller: Caller, action: str, request: Request, body: Any, work: Callable[[], Awaitable[Any]]
    ) -> Any:
        """The answer of `work`, or what it was before.

        InFlightError while it goes on, or when its master has died over it; InvalidError with another request.
        """
        key = None if isinstance(body, Identified) else key_of(request)
        if key is None:
            return await work()
        digest = hashlib.sha256(f"{caller.user}\n{action}\n{key}".encode()).hexdigest()
        claim = Kept(_fingerprint(request), epoch_ms(self._wall))
        found = await self._claims.claim(caller.company, digest, self._seal(digest, claim), claim.at)
        if found is not None:
            return self._again(self._open(digest, found), claim)
        done: Deferred[Any] = Deferred()
        self._inflight.spawn("doing a request once", self._do(caller.company, digest, claim, work, done))
        return await done

    async def _do(
        self, company: str, digest: str, claim: Kept, work: Callable[[], Awaitable[Any]], done: Deferred[Any]
    ) -> None:
        """To its end, also when its client has left: it will ask again."""
        outcome: Any
        try:
            outcome = _answer(await work())
        except Exception as error:  # noqa: BLE001 (whatever it is, the client is told)
            outcome = Failure(error)
        with contextlib.suppress(UnavailableError, NoSpaceError):  # a claim that stays tells that it is not known
            if isinstance(outcome, Failure):
                await self._claims.release(company, digest)
            else:
                await self._claims.keep(company, digest, self._seal(digest, _kept(claim, outcome)))
        if not done.called:  # else its client has left
            done.callback(outcome)

    def _again(self, kept: Kept, claim: Kept) -> Answer:
        if kept.asked != claim.asked:
            raise InvalidError("", "this Idempotency-Key came with another request", "key_reused")
        if kept.status:
            return Answer(kept.body, kept.status, (*kept.headers, ("idempotency-replayed", "true")))
        if claim.at - kept.at < UNDERWAY_MS:
            raise InFlightError("a request with this Idempotency-Key is being worked on: ask again in a moment")
        raise InFlightError(
            "a master died over a request with this Idempotency-Key: look whether it was done, and use another key"
        )

    def _seal(self, digest: str, kept: Kept) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, msgspec.json.encode(kept), digest.encode())

    def _open(self, digest: str, raw: bytes) -> Kept:
        """What is damaged counts as a claim whose master died."""
        try:
            plain = self._cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], digest.encode())
            return msgspec.json.decode(plain, type=Kept)
        except (InvalidTag, ValueError, msgspec.DecodeError):
            raise InFlightError("what is known of this Idempotency-Key is damaged: use another key") from None


def key_of(request: Request) -> str | None:
    """The request's key, as it is or quoted as the draft has it; MalformedError when it is none."""
    values = request.requestHeaders.getRawHeaders(b"idempotency-key", [])
    if not values:
        return None
    text = values[0].decode("latin-1").strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if len(values) > 1 or _KEY.match(text) is None:
        raise MalformedError("Idempotency-Key must be 1 to 128 letters, digits, dots, underscores, dashes")
    return text


def _kept(claim: Kept, answer: Answer) -> Kept:
    body = Raw(msgspec.json.encode(answer.record))
    return msgspec.structs.replace(claim, status=answer.status, headers=answer.headers, body=body)


def _answer(given: Any) -> Answer:
    return given if isinstance(given, Answer) else Answer(given)


def _fingerprint(request: Request) -> str:
    content: Any = request.content
    content.seek(0)
    return hashlib.sha256(request.uri + b"\n" + content.read()).hexdigest()
