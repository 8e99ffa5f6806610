"""`python -m chaos`: one run in a network namespace of its own; one line of figures, and what is wrong below it."""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from chaos.plan import POINTS
from chaos.runner import Order, run
from support.programs import ROOT

SHOWN = 50


def main() -> int:
    """Run; 0 when all is as promised."""
    given = _options()
    if not given.inside:
        os.execvp("unshare", ["unshare", "--net", sys.executable, "-m", "chaos", "--inside", *sys.argv[1:]])  # noqa: S606
    folder = Path(tempfile.mkdtemp(prefix="chaos", dir=given.folder))
    minutes = given.minutes
    outcome = run(
        Order(
            folder=folder,
            source=given.source,
            minutes=minutes,
            kills=int(15 * minutes) if given.kills is None else given.kills,
            rounds=max(1, int(minutes / 6)) if given.rounds is None else given.rounds,
            others=max(1, int(minutes)) if given.others is None else given.others,
            points=tuple(given.points.split(",")) if given.points else POINTS,
            seed=given.seed,
            quiet_s=given.quiet,
        )
    )
    print(outcome.line())  # noqa: T201 (what was asked for)
    for line in [*outcome.missing, *outcome.verdict.complaints][:SHOWN]:
        print("  " + line)  # noqa: T201
    if outcome.is_good:
        shutil.rmtree(folder)
    else:
        print(f"  logs and journals: {folder}")  # noqa: T201
    return 0 if outcome.is_good else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long at least")
    parser.add_argument("--kills", type=int, help="how many kill -9 (15 a minute)")
    parser.add_argument("--rounds", type=int, help="how often each failpoint (once in six minutes)")
    parser.add_argument("--others", type=int, help="how often each other kind of fault (once a minute)")
    parser.add_argument("--points", default="", help="these failpoints only, with commas")
    parser.add_argument("--seed", type=int, default=0, help="of what is left to chance")
    parser.add_argument("--quiet", type=float, default=150.0, help="seconds within which all must be at its end")
    parser.add_argument("--folder", type=Path, default=None, help="where to keep what it needs (a temporary one)")
    parser.add_argument("--source", type=Path, default=ROOT, help="the checkout whose programs are tried")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
