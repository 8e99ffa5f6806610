"""How this master is, told to the others by Redis; and what lies in Redis, weighed by one of them."""

from collections.abc import Callable

from deployer.kit.clock import WallClock, epoch_ms
from deployer.kit.unhandled import KEPT, Unhandled
from deployer.model.masters import MasterRecord
from deployer.stores.masters import Masters, Weight


class MasterPresence:
    """`look()` makes the record of now."""

    def __init__(self, masters: Masters, id_: str, look: Callable[[], MasterRecord], wall: WallClock) -> None:
        self._masters = masters
        self._id = id_
        self._look = look
        self._wall = wall
        self._untold: list[Unhandled] = []
        self._cursor = b"0"
        self._total: dict[str, int] = {}

    def heard(self, failure: Unhandled) -> None:
        """An exception that is to be told with the next round; the newest ones when there are too many."""
        self._untold.append(failure)
        del self._untold[:-KEPT]

    async def tell(self) -> None:
        """Say how it is."""
        await self._masters.tell(self._look())
        if self._untold:
            told, self._untold = self._untold, []
            try:
                await self._masters.failed(self._id, told)
            except Exception:
                self._untold[:0] = told
                raise

    async def weigh(self) -> None:
        """One step; each begins where the last one ended."""
        if not await self._masters.may_weigh(self._id):
            self._cursor, self._total = b"0", {}
            return
        self._cursor = await self._masters.weigh(self._cursor, self._total)
        if self._cursor == b"0":
            total, self._total = self._total, {}
            await self._masters.weighed(Weight(epoch_ms(self._wall), total))
