"""Many hosts in few words: `1:[1-40],1:42`. Pure."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

_AGENT: Final = re.compile(r"([0-9]{1,10}):([0-9]{1,10})", re.ASCII)


def fold(agents: Iterable[str]) -> str:
    """Agents (`gid:nid`) by number, neighbours as ranges; what has another form comes last, as it is."""
    unique = set(agents)
    numbers = sorted((int(match[1]), int(match[2])) for one in unique if (match := _AGENT.fullmatch(one)))
    others = sorted(one for one in unique if not _AGENT.fullmatch(one))
    return ",".join([*(_range(gid, first, last) for gid, first, last in _runs(numbers)), *others])


def by_number(agent: str) -> tuple[int, int, str]:
    """A key to sort agents by."""
    match = _AGENT.fullmatch(agent)
    return (int(match[1]), int(match[2]), "") if match else (2**63, 0, agent)


def _runs(numbers: list[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    begin = 0
    for at in range(1, len(numbers) + 1):
        gid, last = numbers[at - 1]
        if at == len(numbers) or numbers[at] != (gid, last + 1):
            yield gid, numbers[begin][1], last
            begin = at


def _range(gid: int, first: int, last: int) -> str:
    return f"{gid}:{first}" if first == last else f"{gid}:[{first}-{last}]"
