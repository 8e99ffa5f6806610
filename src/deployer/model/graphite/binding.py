"""The arguments of a call, by the names and types of the function's parameters."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from deployer.model.graphite.aggregates import aggregate_of
from deployer.model.graphite.expression import Call, Literal, Node
from deployer.model.graphite.functions.declared import SERIES_KINDS, Function, Kind, Param
from deployer.model.graphite.functions.table import FUNCTIONS
from deployer.model.graphite.problems import WrongTargetError
from deployer.model.graphite.times import seconds

MAX_STRING_CHARS: Final = 2000
Bound = Mapping[str, Any]
"""By parameter: values, and for parameters that take series the nodes of these in a list."""


def function_of(call: Call) -> Function:
    """The function that a call names."""
    found = FUNCTIONS.get(call.name)
    if found is None:
        raise WrongTargetError(f"no function is named {call.name[:60]!r}")
    return found


def bind(function: Function, call: Call) -> Bound:
    """Each parameter's argument. WrongTargetError for what is missing, too much or of another type."""
    given = _placed(function, call)
    for name, node in call.named:
        param = next((one for one in function.params if name in _names(one)), None)
        if param is None:
            raise WrongTargetError(f"{function.name} has no argument {name[:60]!r}")
        if param.name in given:
            raise WrongTargetError(f"{function.name} is given {name} twice")
        given[param.name] = [node]
    return {param.name: _value(function, param, given.get(param.name, [])) for param in function.params}


def takes_series(param: Param, value: Any) -> bool:
    """Whether an argument is series that have to be made first."""
    return param.type in SERIES_KINDS or (param.type == "any" and isinstance(value, list))


def _names(param: Param) -> tuple[str, ...]:
    return (param.name, "seriesList", "seriesLists") if param.name == "lines" else (param.name,)


def _placed(function: Function, call: Call) -> dict[str, list[Node]]:
    """Arguments by their places; a multiple parameter takes all that are left."""
    given: dict[str, list[Node]] = {}
    left = list(call.args)
    for param in function.params:
        if not left:
            break
        taken = len(left) if param.multiple else 1
        given[param.name] = left[:taken]
        left = left[taken:]
    if left:
        raise WrongTargetError(f"{function.name} takes at most {len(function.params)} arguments")
    return given


def _value(function: Function, param: Param, nodes: list[Node]) -> Any:
    if not nodes:
        if param.required:
            raise WrongTargetError(f"{function.name} needs its argument {_names(param)[-1]}")
        return [] if param.multiple else param.default
    if param.type in SERIES_KINDS:
        if any(isinstance(node, Literal) for node in nodes):
            raise WrongTargetError(f"{function.name} takes series there, not a number or a string")
        return nodes
    values = [_converted(function, param, node) for node in nodes]
    return values if param.multiple else values[0]


def _converted(function: Function, param: Param, node: Node) -> Any:
    if not isinstance(node, Literal):
        if param.type == "any":
            return [node]
        raise WrongTargetError(f"{function.name} takes a {param.type} as {param.name}, not a path: is a quote missing?")
    value = node.value
    if value is None:
        if param.required:
            raise WrongTargetError(f"{function.name} needs its argument {param.name}")
        return param.default
    if isinstance(value, str) and len(value) > MAX_STRING_CHARS:
        raise WrongTargetError(f"{function.name} takes at most {MAX_STRING_CHARS} characters as {param.name}")
    try:
        return _CONVERT[param.type](value)
    except WrongTargetError:
        raise
    except (TypeError, ValueError, OverflowError):
        raise WrongTargetError(
            f"{function.name} takes a {param.type} as {param.name}, not {str(value)[:60]!r}"
        ) from None


def _float(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(number)
    return number


def _integer(value: Any) -> int:
    number = _float(value)
    if number != int(number) or abs(number) > 2**53:
        raise ValueError(number)
    return int(number)


def _boolean(value: Any) -> bool:
    if isinstance(value, str):
        return {"true": True, "false": False}[value.lower()] if value.lower() in {"true", "false"} else bool(int(value))
    return bool(value)


def _string(value: Any) -> str:
    return str(value)


def _interval(value: Any) -> str:
    text = str(value)
    if text.lstrip("+-").isdigit():
        text += "s"
    seconds(text)
    return text


def _int_or_interval(value: Any) -> int | str:
    return _integer(value) if not isinstance(value, str) or value.isdigit() else _interval(value)


def _int_or_inf(value: Any) -> float:
    return math.inf if str(value).lower() == "inf" else _integer(value)


def _node(value: Any) -> int | str:
    return value if isinstance(value, str) and not value.lstrip("-").isdigit() else _integer(value)


def _aggregation(value: Any) -> str:
    aggregate_of(str(value))
    return str(value)


def _as_it_is(value: Any) -> Any:
    return value


_CONVERT: Final[Mapping[Kind, Callable[[Any], Any]]] = {
    "float": _float,
    "integer": _integer,
    "boolean": _boolean,
    "string": _string,
    "tag": _string,
    "date": _string,
    "interval": _interval,
    "intOrInterval": _int_or_interval,
    "intOrInf": _int_or_inf,
    "node": _integer,
    "nodeOrTag": _node,
    "aggFunc": _aggregation,
    "any": _as_it_is,
}
