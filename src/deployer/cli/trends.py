"""How busy hosts were in the last quarter of an hour, as far as the master keeps it: for `deployer top`."""

from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import urlencode

from deployer.client.client import Client
from deployer.client.errors import ApiError, ClientError
from deployer.client.records import Agent

PATH: Final = "/api/v1/metrics"
ASKED: Final = 50
"""Hosts: an address has room for no more."""
EVERY_S: Final = 30.0
"""Numbers are new so often."""
POINTS: Final = 30
_BELONGS_TO_US: Final = frozenset({401, 403})

Values = Sequence[float | None]


class Trends:
    """Asks now and then; a master without metrics, or one that is busy, is no trouble: there are no trends then."""

    def __init__(self, client: Client, wall: Callable[[], float]) -> None:
        self._client = client
        self._wall = wall
        self._values: dict[str, Values] = {}
        self._asked = float("-inf")

    def look(self, agents: Sequence[Agent]) -> None:
        """Ask for those of the first hosts, when it is time."""
        now = self._wall()
        if not agents or now - self._asked < EVERY_S:
            return
        self._asked = now
        query = {"target": [_series(agent) for agent in agents[:ASKED]], "from": "-15min", "points": POINTS}
        try:
            found = self._client.get(f"{PATH}?{urlencode(query, doseq=True)}").get("items") or []
        except ApiError as error:
            if error.status in _BELONGS_TO_US:
                raise
            return
        except ClientError:
            return
        self._values = {str(one.get("name")): one.get("values") or [] for one in found}

    def of(self, agent: Agent) -> Values:
        """What is known of a host."""
        return self._values.get(_series(agent), ())


def _series(agent: Agent) -> str:
    return f"agents.{agent.gid}.{agent.nid}.host.cpu.total"
