"""Errors, as one line for a person and an exit code for a script."""

import click

from deployer.cli import exits
from deployer.cli.output import say
from deployer.cli.pointers import OPTIONS, in_words
from deployer.client.errors import ApiError, ClientError


def report(error: Exception) -> int | None:
    """Say what went wrong; None when it is not the client's to explain."""
    if not isinstance(error, ClientError):
        return None
    for line in _lines(error):
        say(line)
    return exits.of_error(error)


def _lines(error: ClientError) -> list[str]:
    if not isinstance(error, ApiError):
        return [str(error)]
    if error.errors:
        context = click.get_current_context(silent=True)
        known = {} if context is None else context.meta.get(OPTIONS, {})
        return [in_words(pointer, message, known) for pointer, message in error.errors]
    hint = ": is the token right?" if error.status == 401 and error.is_of_token else ""  # noqa: PLR2004 (Unauthorized)
    return [f"{error.detail or error}{hint}"]
