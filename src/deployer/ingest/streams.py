"""In which stream of Redis a message is: one for each application of a company, up to a limit (RELIABILITY U4).

What finds no room is in the stream `_overflow`. A name that was not heard of for a day makes room. Pure.
"""

from typing import Final

from deployer.stores import keys

NAMES_PER_COMPANY: Final = 1000
FORGET_S: Final = 86_400.0
LOOK_S: Final = 60.0
OVERFLOW: Final = "_overflow"


class Streams:
    """Keys of one domain's streams. `default_company`: its streams have no company in their key. `over`: messages."""

    def __init__(self, domain: str, default_company: str, most: int = NAMES_PER_COMPANY) -> None:
        self._domain = domain
        self._default = default_company
        self._most = most
        self._known: dict[str, dict[str, tuple[str, float]]] = {}
        self._looked: dict[str, float] = {}
        self.over = 0

    def key(self, company: str, name: str, now: float) -> str:
        """The stream's key; `now` in seconds."""
        known = self._known.setdefault(company, {})
        found = known.get(name)
        if found is None:
            return self._new(company, name, now)
        if now > found[1]:
            known[name] = (found[0], now + LOOK_S)
        return found[0]

    def _new(self, company: str, name: str, now: float) -> str:
        known = self._known[company]
        if len(known) >= self._most and now >= self._looked.get(company, 0.0):
            self._looked[company] = now + LOOK_S
            known = self._known[company] = {one: at for one, at in known.items() if at[1] + FORGET_S > now}
        if len(known) >= self._most:
            self.over += 1
            return self._key(company, OVERFLOW)
        stream = self._key(company, name)
        known[name] = (stream, now + LOOK_S)
        return stream

    def _key(self, company: str, name: str) -> str:
        return keys.log_stream(None if company == self._default else company, self._domain, name)
