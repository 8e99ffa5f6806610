"""The kinds of fault. Each proves itself: what it breaks works before it, and does not while it is on."""

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import Struct

from chaos.installation import EDGE, Installation
from chaos.parts import Part, now_ms
from chaos.proxies import ACCEPT, Mode
from support.wait import until

REACHED_S: Final = 60.0
STILL_S: Final = 3.0
LAPSE_S: Final = 34.0
"""More than a lease."""
ONCE_A_START: Final = frozenset({"session_opened", "recovering", "recovered"})
_tick = threading.Event()


class UnprovenError(Exception):
    """A fault that did not show."""


class Fault(Struct, frozen=True):
    """What is to happen, to what: `where` is a part, or what a proxy is in front of; `point` a failpoint."""

    kind: str
    where: str
    point: str = ""


class Happened(Struct, frozen=True):
    """What did, in epoch ms."""

    fault: Fault
    began: int
    ended: int


class Tormentor:
    """Lets faults happen, and always ends them."""

    def __init__(self, town: Installation, chance: random.Random) -> None:
        self._town = town
        self._chance = chance
        self._ways: dict[str, Callable[[Fault], None]] = {
            "kill": self._kill,
            "stop": self._stop,
            "crash": self._crash,
            "hold": self._hold,
            "join": self._join,
            "lose-out": self._lose,
            "lose-back": self._lose,
            "lose-both": self._lose,
            "reset": self._reset,
            "slow": self._proxied,
            "cut": self._proxied,
            "deaf": self._proxied,
            "lapse": self._lapse,
        }

    def happen(self, fault: Fault) -> Happened:
        """Let one happen and be over; UnprovenError when its proof failed."""
        began = now_ms()
        self._ways[fault.kind](fault)
        return Happened(fault, began, now_ms())

    def _kill(self, fault: Fault) -> None:
        part = self._town.parts[fault.where]
        with part.busy:
            part.wait()
            part.kill()
            try:
                _prove(not part.responds(), fault)
                self._pause(0.0, 1.0)
            finally:
                _again(part)

    def _stop(self, fault: Fault) -> None:
        part = self._town.parts[fault.where]
        with part.busy:
            part.wait()
            part.stop()
            try:
                _prove(_soon(lambda: not part.responds()), fault)
                self._pause(0.2, 4.0)
            finally:
                part.go_on()

    def _crash(self, fault: Fault) -> None:
        self._armed(fault, f"{fault.point}=crash@{self._nth(fault.point)}", Part.crashed)

    def _hold(self, fault: Fault) -> None:
        self._armed(fault, f"{fault.point}=pause:{STILL_S}@1", lambda _: True)

    def _armed(self, fault: Fault, failpoint: str, shows: Callable[[Part], bool]) -> None:
        """Start a part with a failpoint and wait until that has acted; the part is killed for it."""
        part = self._town.parts[fault.where]
        note = self._note(fault)
        with part.busy:
            part.wait()
            part.kill()
            part.start(failpoint, note)
            try:
                until(note.exists, what=f"{fault.point} of {part.name}", deadline_s=REACHED_S)
                until(lambda: shows(part), what=f"{part.name} to end", deadline_s=REACHED_S)
                _prove(note.read_text().split() == [fault.point], fault)
            except AssertionError as error:
                raise UnprovenError(str(error)) from None
            finally:
                _again(part)

    def _join(self, fault: Fault) -> None:
        """A crash of a master while a new agent joins by it, or opens its session there."""
        part, number = self._town.parts[fault.where], 10 + self._chance.randrange(10**6)
        port = part.name.replace("master", "800")
        newcomer = self._town.agent(number, f"http://127.0.0.1:{port}", [])
        try:
            newcomer.start()
            self._armed(fault, f"{fault.point}=crash@1", Part.crashed)
        finally:
            newcomer.program.kill()

    def _lose(self, fault: Fault) -> None:
        wire = self._town.wires[int(fault.where.removeprefix("agent"))]
        _prove(wire.reaches(EDGE), fault)
        wire.lose(out=fault.kind != "lose-back", back=fault.kind != "lose-out")
        try:
            _prove(not wire.reaches(EDGE), fault)
            self._pause(1.0, self._chance.choice((3.0, 6.0, 30.0)))
        finally:
            wire.heal()

    def _reset(self, fault: Fault) -> None:
        wire = self._town.wires[int(fault.where.removeprefix("agent"))]
        caller = wire.caller(EDGE)
        try:
            _prove(caller.poll() is None, fault)
            wire.reset()
            until(lambda: caller.poll() is not None, what="a connection to be reset", deadline_s=5.0)
            _prove(b"reset" in caller.communicate()[1].lower(), fault)
        except AssertionError as error:
            raise UnprovenError(str(error)) from None
        finally:
            caller.kill()
            caller.wait()

    def _proxied(self, fault: Fault) -> None:
        proxy, mode = self._town.ways[fault.where], _MODES[fault.kind]
        _prove(proxy.passes(), fault)
        proxy.turn(mode)
        try:
            _prove(not proxy.passes(), fault)
            self._pause(0.5, 3.0)
        finally:
            proxy.turn("pass")

    def _lapse(self, fault: Fault) -> None:
        """Lose what an agent says to have until the leases have ended and all comes again."""
        proxy = self._town.ways[fault.where]
        _prove(proxy.passes(ACCEPT), fault)
        proxy.turn("lapse")
        try:
            _prove(proxy.passes() and not proxy.passes(ACCEPT), fault)
            self._pause(LAPSE_S, LAPSE_S + 1)
        finally:
            proxy.turn("pass")

    def _nth(self, point: str) -> int:
        return 1 if point in ONCE_A_START else self._chance.choice((1, 2, 5))

    def _note(self, fault: Fault) -> Path:
        return self._town.folder / f"note-{fault.where}-{fault.point}-{now_ms()}"

    def _pause(self, least_s: float, most_s: float) -> None:
        _tick.wait(self._chance.uniform(least_s, most_s))


_MODES: Final[dict[str, Mode]] = {"slow": "slow", "cut": "cut", "deaf": "deaf"}


def _again(part: Part) -> None:
    """Start a part that has ended, or that is armed, anew."""
    if part.program.process is not None and part.program.process.poll() is None:
        part.kill()
    part.start()


def _soon(shows: Callable[[], bool]) -> bool:
    """Whether it shows within a moment: a signal is not acted on at once."""
    for _ in range(20):
        if shows():
            return True
        _tick.wait(0.1)
    return False


def _prove(shown: bool, fault: Fault) -> None:  # noqa: FBT001 (a claim)
    if not shown:
        raise UnprovenError(f"{fault.kind} of {fault.where} {fault.point} did not show, or what it breaks did not work")
