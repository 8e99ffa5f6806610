"""`/graphite/render` of 100 series of a day, 2,880 points each: in process, then over HTTP; what others wait meanwhile.

The series are in memory: what a store takes to read them is measured with the store. Medians of 20; the issue asks for
less than 150 ms. At last `/graphite/version` is asked again and again while another client renders: the p99 is how long
the reactor is held.
"""

import http.client
import multiprocessing
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from twisted.web.resource import Resource

from deployer.kit.http.limits import HttpLimits
from deployer.kit.http.peer import Peers
from deployer.kit.http.site import HardenedSite
from deployer.kit.threads import Threads
from deployer.model.access import Caller, Role
from deployer.model.graphite.budget import Budget
from deployer.model.graphite.evaluate import Need, evaluate, needs
from deployer.model.graphite.expression import parse
from deployer.model.series import Series
from deployer.rest.auditing import Auditor
from deployer.rest.graphite import Graphite
from deployer.rest.graphiteseries import SeriesRoutes, encoded
from deployer.telemetry.readings import Readings

ROUNDS = 20
SERIES, POINTS, STEP = 100, 2880, 30
START = 1_700_000_040
END = START + POINTS * STEP
TARGETS = {
    "as Grafana wraps it": r'aliasSub(agents.1.*.host.cpu, "(^.*$)", "\1 A")',
    "by node": "aliasByNode(agents.1.*.host.cpu, 2)",
    "the sum": "sumSeries(agents.1.*.host.cpu)",
    "per second": "perSecond(agents.1.*.host.cpu)",
    "moving average": "movingAverage(agents.1.*.host.cpu, 10)",
    "summarize": "summarize(agents.1.*.host.cpu, '1h', 'max')",
}


def made() -> list[Series]:
    chance = random.Random(1)  # noqa: S311 (numbers to draw)
    return [
        Series(f"agents.1.{nid}.host.cpu", START, STEP, [chance.random() * 100 for _ in range(POINTS)])
        for nid in range(SERIES)
    ]


class Prepared:
    """A `Source` that has what it is asked for."""

    def __init__(self) -> None:
        self._series = {one.name: one for one in made()}
        self._names = sorted(self._series)

    async def names(self, company: str) -> Sequence[str]:  # noqa: ARG002 (as in `Source`)
        """All."""
        return self._names

    async def fetch(self, company: str, names: Sequence[str], start: int, end: int, points: int) -> list[Series]:  # noqa: ARG002
        """As they are, whatever the time."""
        return [self._series[name] for name in names]


class Root(Resource):
    """Everything is below `/graphite`."""

    def __init__(self, graphite: Graphite) -> None:
        Resource.__init__(self)
        self._graphite = graphite

    def getChildWithDefault(self, path: bytes, request: Any) -> Any:
        """The resource for the whole path."""
        parts, request.postpath = [path, *request.postpath], []
        return self._graphite.find(parts)


def serve(tell: Connection) -> None:
    """Listen on a free port until terminated."""
    from twisted.internet import reactor  # noqa: PLC0415, TID251 (a benchmark has no tap.py)

    async def anybody(request: object) -> Caller:  # noqa: ARG001 (tokens are measured elsewhere)
        return Caller("bench", "acme", Role.VIEWER, "")

    limits = HttpLimits()
    trail: Any = None  # nothing is denied here
    auditor = Auditor(trail, Peers(limits).of)
    nouns = [SeriesRoutes(Readings(Prepared(), Threads(reactor)), time.time)]
    graphite = Graphite(nouns, anybody, auditor=auditor, begin=lambda *_: None)
    port = reactor.listenTCP(0, HardenedSite(Root(graphite), limits, reactor), interface="127.0.0.1")
    tell.send(port.getHost().port)
    reactor.run()


def median_ms(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken) * 1000


def in_process(target: str, series: list[Series], most: int) -> float:
    node = parse(target)
    known: dict[Need, list[Series]] = {}
    while missing := [need for need in needs(node, START, END, known, Budget()) if need not in known]:
        known |= dict.fromkeys(missing, series)
    return median_ms(lambda: encoded([evaluate(node, START, END, known, Budget())], most))


def ask(connection: http.client.HTTPConnection, path: str, fields: dict[str, Any]) -> int:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", f"/graphite/{path}", urlencode(fields), headers)
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200, body  # noqa: S101 (a benchmark of errors says nothing)
    return len(body)


def over_http(port: int, target: str, most: int) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    fields = {"target": target, "from": START, "until": END, "maxDataPoints": most, "format": "json"}
    return median_ms(lambda: ask(connection, "render", fields))


def others_wait(port: int) -> list[float]:
    """Milliseconds that a small request takes while another client renders."""
    ended = threading.Event()

    def render() -> None:
        while not ended.is_set():
            over_http(port, TARGETS["moving average"], 1000)

    rendering = threading.Thread(target=render, daemon=True)
    rendering.start()
    connection = http.client.HTTPConnection("127.0.0.1", port)
    taken = []
    end = time.perf_counter() + 4
    while (begin := time.perf_counter()) < end:
        ask(connection, "version", {})
        taken.append((time.perf_counter() - begin) * 1000)
    ended.set()
    rendering.join()
    return sorted(taken)


def main() -> None:
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    server.start()
    if not here.poll(30):
        sys.exit("the server does not start")
    port, series = here.recv(), made()
    print(f"{'100 series of a day, ms':32}{'in process':>12}{'over HTTP':>12}{'HTTP, 1000 points':>20}")
    for name, target in TARGETS.items():
        figures = in_process(target, series, 11_000), over_http(port, target, 11_000), over_http(port, target, 1000)
        print(f"{name:32}{figures[0]:12.1f}{figures[1]:12.1f}{figures[2]:20.1f}")
    taken = others_wait(port)
    print(
        f"another request meanwhile: median {taken[len(taken) // 2]:.1f} ms, p99 {taken[len(taken) * 99 // 100]:.1f} ms"
    )
    server.terminate()


if __name__ == "__main__":
    main()
