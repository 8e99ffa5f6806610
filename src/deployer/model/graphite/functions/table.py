"""All functions by name, and what `/functions` tells of them."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from deployer.model.graphite.functions import combine, names, origins, select, spans, transform
from deployer.model.graphite.functions.declared import Function, Param

MODULE: Final = "graphite.render.functions"
FUNCTIONS: Final[Mapping[str, Function]] = MappingProxyType(
    {
        function.name: function
        for table in (combine.TABLE, names.TABLE, select.TABLE, transform.TABLE, spans.TABLE, origins.TABLE)
        for function in table
    }
)


def described(function: Function) -> dict[str, Any]:
    """A function as Graphite's `/functions` describes it."""
    its = [_param(param) for param in function.params]
    names_ = ", ".join(
        ("*" if param.multiple else "") + str(one["name"]) for one, param in zip(its, function.params, strict=True)
    )
    return {
        "name": function.name,
        "function": f"{function.name}({names_})",
        "description": function.description,
        "module": MODULE,
        "group": function.group,
        "params": its,
    }


def _param(param: Param) -> dict[str, Any]:
    told: dict[str, Any] = {"name": param.type if param.name == "lines" else param.name, "type": param.type}
    told["required"] = param.required
    if param.default is not None and param.default != math.inf:
        told["default"] = param.default
    if param.multiple:
        told["multiple"] = True
    if param.options:
        told["options"] = list(param.options)
    if param.suggestions:
        told["suggestions"] = list(param.suggestions)
    return told
