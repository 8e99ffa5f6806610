"""What a master counts of itself goes where all numbers go: `masters.<host>.<name>` of the default company."""

import socket
from collections.abc import Callable, Mapping
from math import isfinite

from deployer.kit.clock import WallClock
from deployer.model.metricnames import MASTERS
from deployer.model.series import Datum
from deployer.protocol.ids import node
from deployer.protocol.stats import slot
from deployer.stores.points import Points


class OwnMetrics:
    """Tells the numbers of one step. `numbers()`: by name, in parts with dots between."""

    def __init__(
        self, points: Points, company: str, numbers: Callable[[], Mapping[str, float]], step: int, wall: WallClock
    ) -> None:
        self._points = points
        self._company = company
        self._numbers = numbers
        self._step = step
        self._wall = wall
        self._front = f"{MASTERS}.{node(socket.gethostname())}"

    def slot(self) -> int:
        """The beginning of the slot of now."""
        return slot(self._wall(), self._step)

    async def tick(self) -> None:
        """Tell them."""
        at = self.slot()
        data = [
            Datum(f"{self._front}.{'.'.join(map(node, name.split('.')))}", at, float(value), "last")
            for name, value in self._numbers().items()
            if isfinite(value)
        ]
        await self._points.spool(self._company, data)
