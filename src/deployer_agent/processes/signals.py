"""Signals of this system: number, name, sending."""

import signal


def number_of(name: str) -> int:
    """The number of a signal named without `SIG`; ValueError when this system has none of that name."""
    try:
        return int(signal.Signals[f"SIG{name}"])
    except KeyError:
        raise ValueError(f"this system has no signal {name}") from None


def name_of(number: int) -> str:
    """The name with `SIG`."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"
