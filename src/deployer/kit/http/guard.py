"""What a well-formed request is: pure rules over its lines, stricter than twisted.web's where proxies differ.

Whatever two programs in a row could understand differently is refused, so that no request can hide in another
(RELIABILITY P3), and no `Host` can be ambiguous (R12).
"""

import re
from typing import Final

from twisted.web.http_headers import Headers

from deployer.kit.http.limits import HttpLimits
from deployer.kit.http.problems import Refusal

METHODS: Final = (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS")

_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+) HTTP/1\.[01]")
_HOST = re.compile(rb"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{0,5})?")
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)([^#]*)", re.IGNORECASE)
_MANY_DIGITS = 4000  # int() refuses 4,300 digits


def malformed(detail: str) -> Refusal:
    """A request that is not HTTP as RFC 9112 writes it."""
    return Refusal(400, "malformed_request", "Bad Request", detail)


MALFORMED: Final = malformed("The request is not well-formed HTTP/1.1.")
BARE_LF: Final = malformed("Lines must end in CR LF.")
FOLDED: Final = malformed("A header line may not begin with a space or tab.")
BAD_HOST: Final = malformed("The request needs one Host header with the name of this server.")
BAD_TARGET: Final = malformed("The request target must be a path, or a URL with the host of the Host header.")
BAD_CODING: Final = malformed("The only transfer coding understood is chunked, in HTTP/1.1.")
BAD_METHOD: Final = Refusal(
    405, "method_not_allowed", "Method Not Allowed", "This method is served nowhere here.", b", ".join(METHODS)
)
LONG_URL: Final = Refusal(414, "uri_too_long", "URI Too Long", "The request target is too long.")
BIG_HEADERS: Final = Refusal(
    431, "headers_too_large", "Request Header Fields Too Large", "The headers are too many or too long."
)
BIG_BODY: Final = Refusal(413, "body_too_large", "Content Too Large", "The body is larger than this route takes.")
LATE_HEAD: Final = Refusal(408, "header_timeout", "Request Timeout", "The headers took too long.")
LATE_BODY: Final = Refusal(408, "body_timeout", "Request Timeout", "The body took too long.")
CROWDED: Final = Refusal(
    429, "too_many_connections", "Too Many Requests", "Too many connections of your address have not authenticated."
)


def check_request_line(line: bytes, limits: HttpLimits) -> Refusal | None:
    """Refuse what is no request line, too long a target, and methods that nothing here serves."""
    if b"\n" in line or b"\r" in line:
        return BARE_LF
    match = _LINE.fullmatch(line)
    if match is None:
        return LONG_URL if len(line) > limits.max_url else MALFORMED
    if len(match[2]) > limits.max_url:
        return LONG_URL
    return None if match[1] in METHODS else BAD_METHOD


def check_header_line(line: bytes) -> Refusal | None:
    """Refuse line ends and foldings that other programs read differently."""
    if b"\n" in line or b"\r" in line:
        return BARE_LF
    if line[:1] in (b" ", b"\t"):
        return FOLDED
    if len(line) > _MANY_DIGITS and line[:15].lower() == b"content-length:":
        return BIG_BODY
    return None


def check_headers(version: bytes, headers: Headers, limits: HttpLimits) -> Refusal | None:
    """Refuse a missing, doubled or foreign Host and every transfer coding but chunked."""
    codings = headers.getRawHeaders(b"Transfer-Encoding")
    if codings is not None and (version != b"HTTP/1.1" or [c.lower() for c in codings] != [b"chunked"]):
        return BAD_CODING
    hosts = headers.getRawHeaders(b"Host")
    if hosts is None:
        return None if version == b"HTTP/1.0" else BAD_HOST
    match = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
    if match is None or (limits.hosts is not None and match[1].lower() not in limits.hosts):
        return BAD_HOST
    return None


def path_of(command: bytes, target: bytes, headers: Headers) -> bytes | None:
    """The origin form of a request target; None when it is none, or an absolute one of another host."""
    if target.startswith(b"/") or (target == b"*" and command == b"OPTIONS"):
        return target
    match = _ABSOLUTE.fullmatch(target)
    host = headers.getRawHeaders(b"Host") or [b""]
    if match is None or match[1].lower() != host[0].lower():
        return None
    return match[2] if match[2].startswith(b"/") else b"/" + match[2]
