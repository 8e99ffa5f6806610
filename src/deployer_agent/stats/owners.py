"""To whom processes belong: each to one key, that of its nearest ancestor that has one. Pure.

A pid that is named for a key is that key's. What has lost its parent (a daemon that forked twice) stays with the key
that it was seen with before, whoever has adopted it. Everything else belongs where its parent does.
"""

from collections.abc import Mapping, Sequence


def owners(
    parents: Mapping[int, int], roots: Mapping[str, Sequence[int]], remembered: Mapping[int, tuple[int, str]]
) -> dict[int, str]:
    """The key of each process that has one. `remembered`: parent and key of those seen before that still live."""
    found: dict[int, str | None] = {}
    for key, pids in roots.items():
        for pid in pids:
            if pid in parents:
                found.setdefault(pid, key)
    for pid, (parent, key) in remembered.items():
        if parents[pid] != parent:
            found.setdefault(pid, key)
    for pid in parents:
        _climb(pid, parents, remembered, found)
    return {pid: key for pid, key in found.items() if key is not None}


def _climb(
    pid: int, parents: Mapping[int, int], remembered: Mapping[int, tuple[int, str]], found: dict[int, str | None]
) -> None:
    path: list[int] = []
    while pid not in found and pid in parents:
        found[pid] = None  # a pid given anew in the middle of the walk can make a circle: it ends here
        path.append(pid)
        pid = parents[pid]
    key = found.get(pid)
    for step in reversed(path):
        if key is None and step in remembered:
            key = remembered[step][1]
        found[step] = key
