"""What each code of an error means, as a page: what `type` of a problem points at (RFC 9457)."""

import html
from collections.abc import AsyncIterator
from typing import Final

from deployer.kit.http import guard
from deployer.kit.http.problems import Refusal
from deployer.model.access import Permission
from deployer.rest.answers import Stream
from deployer.rest.endpoint import endpoint
from deployer.rest.problems import INTERNAL, STATUS

FINER: Final = {
    "no_matching_agent": (
        422,
        "No agent of the company matches the target of a job, or the one that does was revoked.",
    ),
    "no_matching_user": (422, "The company has no such user."),
    "unknown_command": (422, "Neither Deployer nor the target's own file knows this command."),
    "key_reused": (422, "This Idempotency-Key came with another request before."),
    "internal": (INTERNAL, "The master failed; its log says why, under the same request_id."),
}
"""Codes of invalid requests that say more than `invalid`, and that of what was not foreseen."""


def meanings() -> list[tuple[str, int, str]]:
    """Each code with its status and a sentence, by code."""
    found = {code: (status, text) for code, (status, text) in FINER.items()}
    for kind, status in STATUS.items():
        found[kind.code] = (status, " ".join((kind.__doc__ or "").split()))
    for refusal in vars(guard).values():
        if isinstance(refusal, Refusal):
            found.setdefault(refusal.code, (refusal.status, refusal.detail))
    return [(code, *found[code]) for code in sorted(found)]


def page() -> str:
    """The whole page."""
    rows = "\n".join(
        f'<dt id="{code}"><code>{code}</code> ({status})</dt><dd>{html.escape(text)}</dd>'
        for code, status, text in meanings()
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Errors of Deployer</title></head>\n'
        "<body><h1>Errors</h1>\n<p>The last part of a problem's <code>type</code> is its code. Codes never change.\n"
        f"<dl>\n{rows}\n</dl></body></html>\n"
    )


class ErrorRoutes:
    """`/api/docs/errors`."""

    @endpoint("GET", "/api/docs/errors", needs=Permission.PUBLIC, returns=str)
    async def show(self) -> Stream:
        """What the codes mean."""
        return Stream("text/html; charset=utf-8", _once(page().encode()))


async def _once(text: bytes) -> AsyncIterator[bytes]:
    yield text
