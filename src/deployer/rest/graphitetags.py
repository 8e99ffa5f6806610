"""`/graphite/tags/…`: which tags series have, and what Grafana completes."""

from collections.abc import Sequence
from typing import Any, Final

from deployer.model.access import Caller
from deployer.model.graphite.budget import Budget
from deployer.model.graphite.catalog import Catalog
from deployer.model.graphite.regex import compiled
from deployer.model.graphite.tagindex import condition
from deployer.rest.graphite import Asked, Route
from deployer.rest.graphiteseries import sight_of
from deployer.telemetry.readings import Readings

LIMIT: Final = 100
MOST: Final = 10_000


class TagRoutes:
    """Series by tag."""

    def __init__(self, readings: Readings) -> None:
        self._readings = readings
        self.routes = [
            Route("tags", self.tags),
            Route("tags/<name>", self.values),
            Route("tags/findSeries", self.series),
            Route("tags/autoComplete/tags", self.complete_tags),
            Route("tags/autoComplete/values", self.complete_values),
        ]

    async def tags(self, caller: Caller, asked: Asked) -> list[dict[str, str]]:
        """All tags, or those that a regular expression fits."""
        pattern = asked.one("filter", "")

        def work(catalog: Catalog, budget: Budget) -> list[str]:
            return [tag for tag in catalog.tags.tags() if not pattern or _fits(pattern, tag, budget)]

        return [{"tag": tag} for tag in (await self._readings.look(sight_of(caller), work))[:MOST]]

    async def values(self, caller: Caller, asked: Asked) -> dict[str, Any]:
        """The values of one tag, with how many series have them."""
        pattern = asked.one("filter", "")

        def work(catalog: Catalog, budget: Budget) -> list[tuple[str, int]]:
            found = catalog.tags.values(asked.part)
            return [one for one in found if not pattern or _fits(pattern, one[0], budget)]

        found = await self._readings.look(sight_of(caller), work)
        return {"tag": asked.part, "values": [{"value": value, "count": count} for value, count in found[:MOST]]}

    async def series(self, caller: Caller, asked: Asked) -> list[str]:
        """Series whose tags fit."""
        expressions = asked.every("expr")
        found = await self._readings.look(sight_of(caller), lambda catalog, budget: catalog.tagged(expressions, budget))
        return found[: asked.number("limit", MOST, MOST)]

    async def complete_tags(self, caller: Caller, asked: Asked) -> list[str]:
        """Tags of series that fit, without those that are asked for already."""
        expressions, prefix = asked.every("expr"), asked.one("tagPrefix", "")
        used = {condition(one).tag for one in expressions}

        def work(catalog: Catalog, budget: Budget) -> list[str]:
            return [tag for tag in catalog.tags.tags(prefix, _among(catalog, expressions, budget)) if tag not in used]

        return (await self._readings.look(sight_of(caller), work))[: asked.number("limit", LIMIT, MOST)]

    async def complete_values(self, caller: Caller, asked: Asked) -> list[str]:
        """Values of a tag among series that fit."""
        expressions, prefix = asked.every("expr"), asked.one("valuePrefix", "")
        tag = asked.one("tag", "")

        def work(catalog: Catalog, budget: Budget) -> list[str]:
            among = _among(catalog, expressions, budget)
            return [value for value, _ in catalog.tags.values(tag, prefix, among)]

        return (await self._readings.look(sight_of(caller), work))[: asked.number("limit", LIMIT, MOST)]


def _fits(pattern: str, text: str, budget: Budget) -> bool:
    return compiled(pattern).fits(text, budget, anchored=True)


def _among(catalog: Catalog, expressions: Sequence[str], budget: Budget) -> list[int] | None:
    return catalog.tags.find(expressions, budget) if expressions else None
