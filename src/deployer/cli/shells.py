"""`deployer completion SHELL`, and bash: which takes `1:7` for three words where click's own script is used."""

import os
from typing import Final

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    ShellComplete,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

_BASH: Final = """\
%(complete_func)s() {
    local IFS=$'\\n' line
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done < <(env COMP_WORDS="${COMP_LINE:0:$COMP_POINT}" COMP_BREAKS="$COMP_WORDBREAKS" \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class Bash(BashComplete):
    """Takes the line up to the cursor, and gives back what stands behind the last break in a word."""

    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one at the cursor, and that one."""
        line = os.environ.get("COMP_WORDS", "")
        words = split_arg_string(line)
        incomplete = words.pop() if words and not line[-1:].isspace() else ""
        breaks = os.environ.get("COMP_BREAKS", "")
        self._typed = incomplete[: max((incomplete.rfind(one) for one in ":=" if one in breaks), default=-1) + 1]
        return words[1:], incomplete

    def format_completion(self, item: CompletionItem) -> str:
        """What bash puts in the place of the part behind the last break."""
        return f"{item.type},{str(item.value).removeprefix(self._typed)}"


add_completion_class(Bash)


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print a shell's completion script.

    For bash into ~/.local/share/bash-completion/completions/deployer, for zsh into a file _deployer in a directory of
    $fpath, for fish into ~/.config/fish/completions/deployer.fish.
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.BadParameter("is a shell that cannot be completed for", param_hint="SHELL")
    root = click.get_current_context().find_root().command
    click.echo(_source(kind(root, {}, "deployer", "_DEPLOYER_COMPLETE")))


def _source(made: ShellComplete) -> str:
    """Its script, whatever version of the shell is here."""
    return made.source_template % made.source_vars()
