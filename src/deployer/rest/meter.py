"""What this master does, counted and timed: for Prometheus, and by route for people (seed 002, DESIGN 7)."""

from collections.abc import Callable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from twisted.web.http import Request

from deployer.kit.clock import Clock
from deployer.model.latencies import Latencies
from deployer.model.masters import RouteFigures

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Requests that wait (polls, `?wait=`, logs that are followed) are counted with their waiting."""

PREFIX: Final = "deployer_"


class Meter:
    """Everything that is measured of one master; each has a registry of its own."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._registry = CollectorRegistry()
        self._routes: dict[tuple[str, str], Latencies] = {}
        self._requests = Counter(
            f"{PREFIX}http_requests", "Requests answered", ["route", "method", "status"], registry=self._registry
        )
        self._reads: dict[str, Callable[[], Mapping[str, float]]] = {}
        self._seconds = Histogram(
            f"{PREFIX}http_request_seconds", "From head to end", ["route"], buckets=BUCKETS_S, registry=self._registry
        )

    def begin(self, route: str, method: str, request: Request) -> None:
        """Time a request until it is answered, or its client has left (status 499)."""
        began = self._clock.seconds()

        def end(status: int) -> None:
            self._figures(method, route).add(self._clock.seconds() - began)
            self._requests.labels(route, method, str(status)).inc()
            self._seconds.labels(route).observe(self._clock.seconds() - began)

        request.notifyFinish().addCallbacks(lambda _: end(request.code), lambda _: end(499))

    def _figures(self, method: str, route: str) -> Latencies:
        return self._routes.setdefault((method, route), Latencies())

    @property
    def answered(self) -> int:
        """Requests answered since the start."""
        return sum(one.count for one in self._routes.values())

    def routes(self) -> list[RouteFigures]:
        """By route: there are as many as are declared."""
        return [
            RouteFigures(
                method=method,
                route=route,
                requests=its.count,
                mean_ms=round(its.mean * 1000, 3),
                p95_ms=round(its.quantile(0.95) * 1000, 3),
            )
            for (method, route), its in sorted(self._routes.items(), key=lambda item: item[0][::-1])
        ]

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Show a number as it is when somebody asks."""
        Gauge(PREFIX + name, text, registry=self._registry).set_function(read)
        self._reads[name] = lambda: {"": read()}

    def watch_counts(self, name: str, text: str, label: str, read: Callable[[], Mapping[str, float]]) -> None:
        """Show numbers by their names, as they are when somebody asks."""
        self._registry.register(_Counts(PREFIX + name, text, label, read))
        self._reads[name] = read

    def numbers(self) -> dict[str, float]:
        """What is watched, by its name, `.` and the name of the count where there is one; and `requests` answered."""
        found = {_place(name, one): value for name, read in self._reads.items() for one, value in read().items()}
        return {**found, "requests": self.answered}

    def text(self) -> bytes:
        """All of it in the text form of Prometheus."""
        return generate_latest(self._registry)


def _place(name: str, one: str) -> str:
    return f"{name}.{one}" if one else name


class _Counts:
    """A collector over somebody's own counters."""

    def __init__(self, name: str, text: str, label: str, read: Callable[[], Mapping[str, float]]) -> None:
        self._name = name
        self._text = text
        self._label = label
        self._read = read

    def collect(self) -> list[CounterMetricFamily]:
        """The counters now."""
        family = CounterMetricFamily(self._name, self._text, labels=[self._label])
        for name, value in self._read().items():
            family.add_metric([name], value)
        return [family]
