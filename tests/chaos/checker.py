"""What the three histories say together: nothing lost or doubled, all at an end, what is unknown explained."""

from collections.abc import Iterator

from msgspec import Struct

from chaos.histories import FINAL, Asked, Histories, Stored

SLACK_MS = 2000
_MARKED = frozenset({"mark", "slow"})
_ENDED_BY_CLIENT = frozenset({"recurring", "daemon"})


class Verdict(Struct, frozen=True):
    """Counts, and a line for each thing that must not be."""

    acknowledged: int
    lost: int
    doubled: int
    open: int
    unknown: int
    unexplained: int
    complaints: list[str]
    deaths: int = 0
    """Of agents."""

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.complaints


def check(histories: Histories) -> Verdict:
    """Compare them."""
    known = [asked for asked in histories.clients if asked.acknowledged is not None]
    lost = [asked.job for asked in known if asked.job not in histories.redis]
    doubled = [f"{job} run {run}" for (job, run), times in histories.marks.items() if times > 1]
    still_open = [job for job, its in histories.redis.items() if its.state not in FINAL]
    unknown = [a for a in histories.clients if a.job in histories.redis and histories.redis[a.job].is_unknown]
    unexplained = [a.job for a in unknown if not _is_explained(a, histories)]
    complaints = [
        *_empty(histories),
        *(f"lost: {job} was acknowledged and is not in Redis" for job in lost),
        *(f"doubled: {one} started more than once" for one in doubled),
        *(f"open: {job} is {histories.redis[job].state}" for job in still_open),
        *(f"unexplained: {job} is unknown, and its agent did not die" for job in unexplained),
        *_unreal(histories),
    ]
    deaths = sum(map(len, histories.deaths.values()))
    counts = [len(one) for one in (known, lost, doubled, still_open, unknown, unexplained)]
    return Verdict(*counts, complaints, deaths)


def _is_explained(asked: Asked, histories: Histories) -> bool:
    """Whether the agent died between the asking and the end."""
    end = histories.redis[asked.job].finished + SLACK_MS
    return any(asked.asked - SLACK_MS <= death <= end for death in histories.deaths.get(asked.agent, ()))


def _empty(histories: Histories) -> Iterator[str]:
    """A history without anything in it proves nothing."""
    named = {
        "clients": histories.clients,
        "what is told": histories.told,
        "side effects": histories.marks,
        "Redis": histories.redis,
    }
    for name, history in named.items():
        if not history:
            yield f"the history of {name} is empty"
    if not any(asked.acknowledged for asked in histories.clients):
        yield "no job was acknowledged"


def _unreal(histories: Histories) -> Iterator[str]:
    """What is said to have been and was not, or was and is not said."""
    by_job = {asked.job: asked for asked in histories.clients}
    runs = {job for job, _ in histories.marks}
    for job in runs - set(histories.redis):
        yield f"unreal: {job} has run and is not in Redis"
    for job, stored in histories.redis.items():
        if histories.told.get(job) != stored.state:
            yield f"untold: {job} is {stored.state}, and clients are told {histories.told.get(job)}"
        if job not in by_job:
            yield f"unreal: nobody asked for {job}"
        elif stored.state in FINAL and (wrong := _wrong(by_job[job], stored, ran=job in runs)):
            yield f"wrong: {job} {wrong}: {stored}"


def _wrong(asked: Asked, stored: Stored, *, ran: bool) -> str:
    """Why this end cannot be; empty when it can."""
    if stored.is_unknown:
        return ""
    if stored.state == "OK" and asked.kind in _MARKED and not (ran and stored.data == str(asked.number)):
        return "is OK without having run, or with a result that is not its own"
    expected = {"OK"} if asked.kind in {*_MARKED, "ping"} else {"KILLED"}
    if asked.kind == "cancel":
        expected = {"OK", "KILLED"}
    if asked.kind in _ENDED_BY_CLIENT and asked.cancelled is None:
        return "has ended by itself"
    return "" if stored.state in expected else "has an end that nothing explains"
