"""What an agent declares of itself and what was changed at the master, together: the change wins."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from deployer.protocol.traits import LIMITS, PLACES, Labels, MaxJobs, MaxLoad, MaxRam, Roles, Text, Traits, Word

MAX_LABELS = 100


class TraitsChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A merge patch (RFC 7396): null goes back to what the agent declares; a label that is null is such too."""

    roles: Roles | UnsetType | None = UNSET
    labels: Annotated[dict[Word, Text | None], Meta(max_length=MAX_LABELS)] | UnsetType | None = UNSET
    rack: Word | UnsetType | None = UNSET
    zone: Word | UnsetType | None = UNSET
    datacenter: Word | UnsetType | None = UNSET
    region: Word | UnsetType | None = UNSET
    max_jobs: MaxJobs | UnsetType | None = UNSET
    max_ram: MaxRam | UnsetType | None = UNSET
    max_load: MaxLoad | UnsetType | None = UNSET


def changed(before: Traits, change: TraitsChange) -> Traits:
    """What was changed at the master, with one change more; ValueError for too many labels."""
    given: dict[str, Any] = {
        name: value for name in ("roles", *PLACES, *LIMITS) if (value := getattr(change, name)) is not UNSET
    }
    if change.labels is not UNSET:
        given["labels"] = _labels(before.labels or {}, change.labels)
    return msgspec.structs.replace(before, **given)


def _labels(before: Labels, change: dict[str, str | None] | None) -> Labels | None:
    if change is None:
        return None
    after = {name: value for name, value in {**before, **change}.items() if value is not None}
    if len(after) > MAX_LABELS:
        raise ValueError(f"more than {MAX_LABELS} labels")
    return after or None


def effective(declared: Traits, changes: Traits) -> Traits:
    """What counts: roles and places as changed, where they were, else as declared; labels one by one.

    The master may only tighten limits: the lower one counts.
    """
    said: dict[str, Any] = {
        name: getattr(changes, name) for name in ("roles", *PLACES) if getattr(changes, name) is not None
    }
    for name in LIMITS:
        said[name] = min((n for n in (getattr(declared, name), getattr(changes, name)) if n is not None), default=None)
    return msgspec.structs.replace(declared, **said, labels={**(declared.labels or {}), **(changes.labels or {})})
