"""What is wrong with a question about series: one sentence for whoever asks."""


class WrongTargetError(ValueError):
    """A target, a pattern or an expression that cannot be answered: why, and for a text at which character."""


class TooMuchError(WrongTargetError):
    """A question whose answer would be more than one request may have or cost."""
