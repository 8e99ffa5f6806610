"""Changes that are made only while nobody else has changed the same: ETag and If-Match (RFC 9110)."""

import re
from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from twisted.web.http import Request

from deployer.errors import ChangedError

_TAG: Final = re.compile(r'(W/)?"([^"]*)"')


class Match(Struct, frozen=True):
    """What a request's If-Match says; None when it has none."""

    text: str | None = None

    @classmethod
    def of(cls, values: Sequence[bytes]) -> "Match":
        """What the header lines say together."""
        return cls(b",".join(values).decode("latin-1") if values else None)

    def require(self, version: str) -> None:
        """ChangedError when the client knows another version than this one."""
        if self.text is None or self.text.strip() == "*":
            return
        if version not in [tag for weak, tag in _TAG.findall(self.text) if not weak]:
            raise ChangedError("it has changed since it was read: read it again")


def is_known(request: Request, headers: Sequence[tuple[str, str]]) -> bool:
    """Whether If-None-Match names the version that these headers tell: 304 then, and nothing is sent again."""
    own = dict(headers).get("etag")
    text = b",".join(request.requestHeaders.getRawHeaders(b"if-none-match", [])).decode("latin-1")
    return own is not None and (text.strip() == "*" or own.strip('"') in [tag for _, tag in _TAG.findall(text)])


def etag(version: str) -> tuple[str, str]:
    """The header that tells which version an answer shows."""
    return "etag", f'"{version}"'
