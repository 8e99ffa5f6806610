"""How a job stands, for the rules of plans."""

from deployer.model.plans import Standing
from deployer.stores.jobs import JobRecord


def standing(record: JobRecord, now: int) -> Standing:
    """How a job stands, for the rules."""
    document = record.document
    return Standing(
        counts=record.counts,
        depends_on=document.depends_on,
        ends=record.ends,
        not_after=document.not_after,
        now=now,
        window=document.window,
        max_failures=document.max_failures,
    )
