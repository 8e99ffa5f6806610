"""The sums of what a key's connections have carried: only growing, nothing counted twice. Pure."""

from collections.abc import Mapping
from typing import TypeVar

from deployer_agent.stats.source import Bytes, Network, SocketId

K = TypeVar("K")


class Traffic:
    """One key's. A socket that is new counts with all that it has carried; one that is closed stays in the sum.

    A socket that the kernel left out of one answer although a process holds it is remembered, so that it is not new
    when it comes again. A namespace that is new counts from then on, since it may be older than the key.
    """

    def __init__(self) -> None:
        self.total: Bytes = (0, 0)
        self._sockets: dict[SocketId, Bytes] = {}
        self._spaces: dict[str, Bytes] = {}

    def book(self, network: Network) -> Bytes:
        """What the sum grows by."""
        sockets = _growth(self._sockets, network.sockets, anew=True)
        spaces = _growth(self._spaces, network.spaces, anew=False)
        told = {inode for inode, _ in network.sockets}
        kept = {
            one: carried
            for one, carried in self._sockets.items()
            if one[0] not in told and (one[0] in network.held or not network.complete)
        }
        self._sockets = {**kept, **network.sockets}
        self._spaces = {**({} if network.complete else self._spaces), **network.spaces}
        grown = sockets[0] + spaces[0], sockets[1] + spaces[1]
        self.total = self.total[0] + grown[0], self.total[1] + grown[1]
        return grown


def _growth(before: Mapping[K, Bytes], after: Mapping[K, Bytes], *, anew: bool) -> Bytes:
    sent = received = 0
    for one, (now_sent, now_received) in after.items():
        was_sent, was_received = before.get(one, (0, 0) if anew else (now_sent, now_received))
        sent += max(0, now_sent - was_sent)
        received += max(0, now_received - was_received)
    return sent, received
