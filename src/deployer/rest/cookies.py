"""The cookie of a browser's session, and what a request with it must bring so that no foreign page can have sent it.

`__Host-` makes the browser keep a cookie to this host, the whole site and TLS. Plain HTTP on loopback has no TLS, hence
a name of its own there. A page of another origin sends no cookie at all (SameSite=Strict); if a browser did, that page
would know no CSRF token and could not set its header.
"""

import hmac
from typing import Final

from twisted.web.http import Request

from deployer.errors import ForbiddenError, MalformedError
from deployer.kit.http.peer import Peer

SECURE: Final = "__Host-deployer"
PLAIN: Final = "deployer"
READING: Final = frozenset({b"GET", b"HEAD"})


def find(request: Request, peer: Peer) -> str | None:
    """The secret in the session cookie of a request; MalformedError when there are two."""
    name = SECURE if peer.secure else PLAIN
    every = b";".join(request.requestHeaders.getRawHeaders(b"cookie", [])).decode("latin-1").split(";")
    pairs = [text.strip().partition("=") for text in every]
    found = [value for its_name, _, value in pairs if its_name == name]
    if len(found) > 1:
        raise MalformedError("two session cookies")
    return found[0] if found else None


def given(secret: str, peer: Peer) -> tuple[str, str]:
    """The header that gives a browser its session; an empty secret takes it away."""
    name, secure = (SECURE, "; Secure") if peer.secure else (PLAIN, "")
    gone = "" if secret else "; Max-Age=0"
    return "set-cookie", f"{name}={secret}; Path=/; HttpOnly{secure}; SameSite=Strict{gone}"


def csrf_token(key: bytes, digest: str) -> str:
    """What a page of ours sends back: made of the session, kept nowhere."""
    return hmac.digest(key, digest.encode(), "sha256").hex()


def require_own_page(request: Request, peer: Peer, expected: str) -> None:
    """ForbiddenError for what changes something and was not sent by a page of ours."""
    if request.method in READING:
        return
    if not peer.is_own_page:
        raise ForbiddenError("a page of another origin may not do this")
    if not hmac.compare_digest(request.getHeader(b"x-csrf-token") or b"", expected.encode()):
        raise ForbiddenError("the header X-CSRF-Token must have the session's csrf_token")
