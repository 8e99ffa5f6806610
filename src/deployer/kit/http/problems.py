"""Answers that say what was wrong: problem+json (RFC 9457), the same for refusals here and for plain resources."""

import itertools
import re
import secrets
from typing import Final

import msgspec
from msgspec import Struct

CONTENT_TYPE: Final = b"application/problem+json"
REQUEST_ID: Final = b"X-Request-ID"

_GIVEN = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_boot = secrets.token_hex(6)
_numbers = itertools.count(1)
_encode = msgspec.json.Encoder().encode


class Refusal(Struct, frozen=True):
    """Why a request is not served: the status, its stable code, title and sentence."""

    status: int
    code: str
    title: str
    detail: str
    allow: bytes = b""


class Problem(Struct, frozen=True):
    """The body of an error."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str


def request_id(given: bytes | None) -> bytes:
    """The client's own id of its request when it is harmless, else a new one."""
    if given is not None and _GIVEN.fullmatch(given):
        return given
    return f"{_boot}-{next(_numbers):x}".encode()


def problem_body(refusal: Refusal, identity: bytes) -> bytes:
    """The JSON of a refusal; the last part of `type` is the code that programs compare."""
    kind = f"/api/docs/errors#{refusal.code}"
    return _encode(Problem(kind, refusal.title, refusal.status, refusal.detail, identity.decode("ascii")))
