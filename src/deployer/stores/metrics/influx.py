"""InfluxDB: 1.x, and 2.x by its 1.x interface. Any number of masters may write to one and read from it (DESIGN 3)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeadlineError
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.logger import Logger
from twisted.web.client import Agent, HTTPConnectionPool, RequestTransmissionFailed, ResponseFailed
from twisted.web.http_headers import Headers

from deployer.errors import UnavailableError
from deployer.kit.cancelling import cancellable
from deployer.kit.http.body import Body, collect
from deployer.kit.threads import Threads
from deployer.model.series import Series, split
from deployer.model.slots import Rows, parts
from deployer.model.storage import Plans
from deployer.protocol.stats import How
from deployer.stores.metrics import influxlines
from deployer.stores.metrics.influxaddress import Address
from deployer.stores.metrics.store import width

DEADLINE_S: Final = 10.0
SERIES_A_POST: Final = 2000
PATHS_A_QUERY: Final = 100
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
_LOST: Final = (ResponseFailed, RequestTransmissionFailed, ConnectError, ConnectionClosed, DNSLookupError)


class InfluxStore:
    """Writes and reads over kept connections. `refused`: points that InfluxDB did not want, and that are gone."""

    log = Logger()

    def __init__(self, address: Address, plans: Plans, reactor: Any) -> None:
        self._threads = Threads(reactor)
        self._address = address
        self._plans = plans
        self._reactor = reactor
        self._pool = HTTPConnectionPool(reactor, persistent=True)
        self._agent = Agent(reactor, connectTimeout=DEADLINE_S, pool=self._pool)
        self.refused = 0

    async def write(self, company: str, rows: Rows, hows: Mapping[str, How]) -> None:  # noqa: ARG002 (asked for on reading)
        """Post points."""
        for part in parts(rows, SERIES_A_POST):
            body = "\n".join(influxlines.lines(company, part)).encode()
            status, answer = await self._ask("POST", f"/write?{self._query(precision='s')}", body)
            if status == 400:  # noqa: PLR2004 (it would be so each time: such points can only be let go)
                self.refused += sum(map(len, part.values()))
                self.log.error("InfluxDB refuses points: {why}", why=answer[:300].decode("utf-8", "replace"))
            elif status != 204:  # noqa: PLR2004 (stored)
                raise UnavailableError(f"InfluxDB answers {status}: {answer[:300].decode('utf-8', 'replace')}")

    async def fetch(self, company: str, hows: Mapping[str, How], start: int, end: int, points: int) -> list[Series]:
        """Ask for those with the same slots and the same way of merging at once."""
        found: dict[str, Series] = {}
        for (step, how), names in self._alike(hows).items():
            wide = step * width(step, start, end, points)
            span = start - start % wide, end
            for some in _some(sorted({split(name)[0] for name in names}), PATHS_A_QUERY):
                answer = await self._select(influxlines.select(company, some, how, span, wide))
                found |= await self._threads.run(_series, answer, names, (span, wide), how)
        return [found[name] for name in hows if name in found]

    def _alike(self, hows: Mapping[str, How]) -> dict[tuple[int, How], list[str]]:
        groups: dict[tuple[int, How], list[str]] = {}
        for name, how in hows.items():
            plan = self._plans.plan(name)
            groups.setdefault((plan.step, plan.how or how), []).append(name)
        return groups

    async def remove(self, company: str, names: Sequence[str]) -> None:
        """Drop series; an InfluxDB that cannot (2.x) forgets them by the retention of its bucket."""
        for name in names:
            await self._ask("POST", f"/query?{self._query()}", _form(influxlines.drop(company, name)), form=True)

    async def stop(self) -> None:
        """Close connections."""
        await self._pool.closeCachedConnections()

    async def _select(self, query: str) -> bytes:
        status, answer = await self._ask("POST", f"/query?{self._query(epoch='s')}", _form(query), form=True)
        if status not in {200, 400}:
            raise UnavailableError(f"InfluxDB answers {status}: {answer[:300].decode('utf-8', 'replace')}")
        return answer

    def _query(self, **more: str) -> str:
        return urlencode({"db": self._address.database, **more}, quote_via=quote)

    async def _ask(self, method: str, path: str, body: bytes, *, form: bool = False) -> tuple[int, bytes]:
        exchange = cancellable(Deferred.fromCoroutine(self._exchange(method, path, body, form=form)))
        exchange.addTimeout(DEADLINE_S, self._reactor)
        try:
            return await exchange
        except DeadlineError:
            raise UnavailableError(f"InfluxDB has not answered within {DEADLINE_S:g} s") from None
        except _LOST as error:
            raise UnavailableError(f"InfluxDB cannot be reached at {self._address.url}: {_reason(error)}") from None

    async def _exchange(self, method: str, path: str, body: bytes, *, form: bool) -> tuple[int, bytes]:
        headers = {b"content-type": [b"application/x-www-form-urlencoded" if form else b"text/plain; charset=utf-8"]}
        if self._address.authorization:
            headers[b"authorization"] = [self._address.authorization.encode()]
        url = f"{self._address.url}{path}".encode()
        producer: Any = Body(body)  # zope's interfaces, which mypy does not see
        response: Any = await self._agent.request(method.encode(), url, Headers(headers), producer)
        return int(response.code), await collect(response, MAX_ANSWER_BYTES, UnavailableError)


def _series(answer: bytes, names: Sequence[str], wanted: tuple[tuple[int, int], int], how: How) -> dict[str, Series]:
    """What an answer has of these names; in a thread, since it may be megabytes."""
    span, wide = wanted
    try:
        rows = influxlines.read(answer)
    except influxlines.QueryError as error:
        raise UnavailableError(f"InfluxDB: {error}") from None
    return {name: Series(name, span[0], wide, _placed(rows[name], span, wide), how) for name in names if name in rows}


def _form(query: str) -> bytes:
    return urlencode({"q": query}).encode()


def _placed(rows: Iterable[tuple[int, float | None]], span: tuple[int, int], step: int) -> list[float | None]:
    """A value for each slot."""
    values: list[float | None] = [None] * -(-(span[1] - span[0]) // step)
    for at, value in rows:
        place = (at - span[0]) // step
        if 0 <= place < len(values):
            values[place] = value
    return values


def _some(names: Sequence[str], most: int) -> Iterator[Sequence[str]]:
    return (names[first : first + most] for first in range(0, len(names), most))


def _reason(error: Exception) -> str:
    reasons = getattr(error, "reasons", None)
    return str(reasons[0].value if reasons else error) or type(error).__name__
