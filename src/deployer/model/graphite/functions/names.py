"""Series get other names."""

from collections.abc import Sequence
from typing import Any, Final

from deployer.model.graphite.expression import first_path
from deployer.model.graphite.functions.declared import LIST, NODES, Function, Param, Scope
from deployer.model.graphite.lines import Line, Lines
from deployer.model.graphite.problems import WrongTargetError
from deployer.model.graphite.regex import MAX_NAME_CHARS, compiled


def key_of(line: Line, nodes: Sequence[str | int]) -> str:
    """Parts of the first path in the name, or values of tags, with dots between."""
    parts = first_path(line.name).partition(";")[0].split(".")
    return ".".join(_node(line, parts, node) for node in nodes)


def _node(line: Line, parts: Sequence[str], node: str | int) -> str:
    if isinstance(node, int) and -len(parts) <= node < len(parts):
        return parts[node]
    return line.tags.get(str(node), "")


def alias(scope: Scope, lines: Lines, newName: str) -> Lines:  # noqa: ARG001, N803
    """Call series so."""
    if len(newName) > MAX_NAME_CHARS:
        raise WrongTargetError("a name is too long")
    return [line.called(newName) for line in lines]


def alias_sub(scope: Scope, lines: Lines, search: str, replace: str) -> Lines:
    r"""Replace what a regular expression finds in names; `\\\\1` is what its first group found."""
    regex = compiled(search)
    return [line.called(regex.replaced(replace, line.name, scope.budget)) for line in lines]


def alias_by_node(scope: Scope, lines: Lines, nodes: Sequence[str | int]) -> Lines:  # noqa: ARG001
    """Call series by parts of their paths, counted from 0, or by values of tags."""
    return [line.called(key_of(line, nodes)) for line in lines]


def alias_by_metric(scope: Scope, lines: Lines) -> Lines:  # noqa: ARG001
    """Call series by the last part of their paths."""
    return [line.called(key_of(line, [-1])) for line in lines]


def substr(scope: Scope, lines: Lines, start: int, stop: int) -> Lines:  # noqa: ARG001
    """Call series by the parts of their paths from one place to another."""
    return [line.called(".".join(_path(line).split(".")[start : stop or None])) for line in lines]


def _path(line: Line) -> str:
    return first_path(line.name).partition(";")[0]


def drawn(scope: Scope, lines: Lines, **how: Any) -> Lines:  # noqa: ARG001
    """How series are drawn is the dashboard's; the numbers stay as they are."""
    return lines


def _any(name: str) -> Param:
    return Param(name, "any", required=False)


_DRAWN: Final = {
    "color": ("theColor",),
    "alpha": ("alpha",),
    "dashed": ("dashLength",),
    "lineWidth": ("width",),
    "stacked": ("stackName",),
    "drawAsInfinite": (),
    "secondYAxis": (),
    "setXFilesFactor": ("xFilesFactor",),
    "xFilesFactor": ("xFilesFactor",),
    "cactiStyle": ("system", "units"),
}
TABLE: Final = (
    Function("alias", "Alias", alias, (LIST, Param("newName", "string"))),
    Function("aliasSub", "Alias", alias_sub, (LIST, Param("search", "string"), Param("replace", "string"))),
    Function("aliasByNode", "Alias", alias_by_node, (LIST, NODES)),
    Function("aliasByTags", "Alias", alias_by_node, (LIST, Param("nodes", "nodeOrTag", multiple=True))),
    Function("aliasByMetric", "Alias", alias_by_metric, (LIST,)),
    Function(
        "substr",
        "Alias",
        substr,
        (LIST, Param("start", "node", required=False, default=0), Param("stop", "node", required=False, default=0)),
    ),
    *(Function(name, "Graph", drawn, (LIST, *map(_any, names))) for name, names in _DRAWN.items()),
)
