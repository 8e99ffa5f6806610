"""One run: an installation, clients, faults; then quiet, and the verdict."""

import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Final

from msgspec import Struct

from chaos.checker import Verdict, check
from chaos.clients import Client
from chaos.faults import Fault, Happened, Tormentor, UnprovenError
from chaos.histories import FINAL, Histories, read_marks, read_redis
from chaos.installation import AGENTS, Installation, installation
from chaos.plan import plan
from chaos.schedules import Repeated
from deployer.stores import keys
from support.wait import until

TRIES: Final = 3


class Order(Struct, frozen=True):
    """What is asked for: at least so many minutes, kills, rounds of failpoints, and others of each kind."""

    folder: Path
    source: Path
    minutes: float
    kills: int
    rounds: int
    others: int
    points: tuple[str, ...]
    seed: int
    clients: int = 3
    rate: float = 12.0
    quiet_s: float = 150.0


class Outcome(Struct, frozen=True):
    """What came of it."""

    verdict: Verdict
    happened: list[Happened]
    missing: list[str]
    minutes: float

    @property
    def is_good(self) -> bool:
        """Whether all that was asked for happened, and nothing is wrong."""
        return self.verdict.is_good and not self.missing

    def line(self) -> str:
        """The figures, in one line."""
        its, kinds = self.verdict, Counter(one.fault.kind for one in self.happened)
        share = 100 * its.unknown / max(1, its.acknowledged)
        each = its.unknown / max(1, its.deaths)
        faults = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
        return (
            f"chaos: {self.minutes:.1f} min, {its.acknowledged} jobs acknowledged, "
            f"{len(self.happened)} faults ({faults}), "
            f"lost {its.lost}, doubled {its.doubled}, open {its.open}, unknown {its.unknown} ({share:.2f} %, "
            f"{each:.1f} for each of {its.deaths} deaths of agents), "
            f"unexplained {its.unexplained}, complaints {len(its.complaints) + len(self.missing)}"
        )


class Lane(threading.Thread):
    """Faults of one part, spread over the time; a fault that does not show is tried again."""

    def __init__(self, faults: list[Fault], tormentor: Tormentor, end: float, chance: random.Random) -> None:
        super().__init__(daemon=True)
        self.happened: list[Happened] = []
        self.missing: list[str] = []
        self._faults = faults
        self._tormentor = tormentor
        self._end = end
        self._chance = chance
        self._tick = threading.Event()

    def run(self) -> None:
        for number, fault in enumerate(self._faults):
            left = self._end - time.monotonic()
            self._tick.wait(max(0.0, left / (len(self._faults) - number)) * self._chance.uniform(0.0, 1.0))
            self._happen(fault)

    def _happen(self, fault: Fault) -> None:
        why = ""
        for _ in range(TRIES):
            try:
                self.happened.append(self._tormentor.happen(fault))
            except (UnprovenError, AssertionError, OSError) as error:
                why = f"{fault.kind} {fault.where} {fault.point}: {error}"
            else:
                return
        self.missing.append(why)


def run(order: Order) -> Outcome:
    """Do it."""
    order.folder.mkdir(parents=True, exist_ok=True)
    (order.folder / "marks").touch()
    with installation(order.folder, order.source) as town:
        start = time.monotonic()
        clients = [Client(n, town.token, str(order.folder / "marks"), order.rate) for n in range(order.clients)]
        repeated = Repeated(town.token, str(order.folder / "marks"))
        repeated.begin()
        lanes = _lanes(order, town, start + order.minutes * 60)
        for thread in (*clients, *lanes):
            thread.start()
        for lane in lanes:
            lane.join()
        _quieten(order, town, clients, repeated)
        histories = _histories(order, town, clients, repeated)
        happened = [one for lane in lanes for one in lane.happened]
        missing = [one for lane in lanes for one in lane.missing]
        missing += [one for client in clients for one in client.complaints]
        missing += repeated.complaints(histories.redis)
        return Outcome(check(histories), happened, missing, (time.monotonic() - start) / 60)


def _lanes(order: Order, town: Installation, end: float) -> list[Lane]:
    wanted = plan(order.kills, order.rounds, order.others, order.points, _chance(order, ""))
    return [
        Lane(faults, Tormentor(town, _chance(order, name)), end, _chance(order, name))
        for name, faults in wanted.items()
    ]


def _chance(order: Order, name: str) -> random.Random:
    return random.Random(f"{order.seed} {name}")  # noqa: S311 (chance, no secret)


def _quieten(order: Order, town: Installation, clients: list[Client], repeated: Repeated) -> None:
    """All programs run, clients have ended what would run for ever; wait until everything is at its end."""
    for part in town.parts.values():
        part.wait()
    repeated.end()
    for client in clients:
        client.stopping.set()
    for client in clients:
        client.join(60.0)
        client.giving_up.set()
        client.join(60.0)
    end = time.monotonic() + order.quiet_s
    until(lambda: _is_quiet(town) or time.monotonic() > end, what="the end of all", deadline_s=order.quiet_s + 60)


def _is_quiet(town: Installation) -> bool:
    with town.redis() as redis:
        company = _company(town)
        if int(redis.ask("GET", f"{keys.prefix(company)}open") or 0):
            return False
        return all(its.state in FINAL for its in read_redis(redis, company).values())


def _company(town: Installation) -> str:
    with town.redis() as redis:
        name: bytes = redis.ask("HGET", keys.grid(1), "company")
        return name.decode()


def _histories(order: Order, town: Installation, clients: list[Client], repeated: Repeated) -> Histories:
    with town.redis() as redis:
        stored = read_redis(redis, _company(town))
    asked = [*(one for client in clients for one in client.asked), *repeated.asked(stored)]
    deaths = {number: town.parts[f"agent{number}"].deaths for number in AGENTS}
    told = Client(0, town.token, "", 1).told()
    return Histories(asked, told, read_marks(order.folder / "marks"), stored, deaths)
