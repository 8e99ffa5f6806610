"""The list of what runs here, for the master: offered when it has changed, and after each sample."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct

from deployer.protocol.processes import MAX_PROCESSES, YOUNGEST_S, LiveProcess, ProcessList, encode
from deployer_agent.processes.plan import Living


class Sample(Struct, frozen=True):
    """What a task consumed in the `step` seconds from `at` (epoch seconds)."""

    at: int
    step: int
    values: Mapping[str, float]


class Listing:
    """`tick` is to be called once a second.

    `living`: what runs, the oldest first; `name`: the domain and name of a task; `offer` takes the list, encoded.
    """

    def __init__(
        self,
        living: Callable[[], Iterable[Living]],
        name: Callable[[str], tuple[str, str]],
        offer: Callable[[bytes], None],
    ) -> None:
        self._living = living
        self._name = name
        self._offer = offer
        self._samples: dict[str, Sample] = {}
        self._offered: Sequence[tuple[str, int]] | None = None
        self._fresh = False

    def sampled(self, at: int, step: int, values: Mapping[str, Mapping[str, float]]) -> None:
        """Note what tasks consumed; it goes with the list of the next second."""
        self._samples.update({task: Sample(at, step, its) for task, its in values.items()})
        self._fresh = True

    async def tick(self) -> None:
        """Look whether there is something new to tell."""
        grown = [one for one in self._living() if one.age_s >= YOUNGEST_S]
        runs = [(one.task, one.run) for one in grown]
        if runs == self._offered and not self._fresh:
            return
        tasks = {one.task for one in grown}
        self._samples = {task: its for task, its in self._samples.items() if task in tasks}
        self._offered, self._fresh = runs, False
        listed = [self._entry(one) for one in grown[:MAX_PROCESSES]]
        self._offer(encode(ProcessList(listed, len(grown) - len(listed))))

    def _entry(self, one: Living) -> LiveProcess:
        domain, name = self._name(one.task)
        its = self._samples.get(one.task)
        if its is None or its.at * 1000 + its.step * 1000 < one.started:  # an earlier run's
            its = Sample(0, 0, {})
        values = {key: round(value, 3) for key, value in its.values.items()}
        return LiveProcess(one.task, one.run, one.pid, one.started, domain, name, its.at, its.step, values)
