"""`deployer completion SHELL`."""

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print a shell's completion script.

    For bash into ~/.local/share/bash-completion/completions/deployer, for zsh into a file _deployer in a directory of
    $fpath, for fish into ~/.config/fish/completions/deployer.fish.
    """
    kind = get_completion_class(shell)
    root = click.get_current_context().find_root()
    if kind is None:
        raise click.BadParameter("is a shell that cannot be completed for", param_hint="SHELL")
    click.echo(_source(kind(root.command, {}, "deployer", "_DEPLOYER_COMPLETE")))


def _source(made: click.shell_completion.ShellComplete) -> str:
    """Its script, whatever version of the shell is here."""
    return made.source_template % made.source_vars()
