"""Rules such as `z1 > 0 and confidence > 0.8`: parsed, checked against a list of what is allowed, and never evaluated.

A rule is an expression of numbers, texts, names of columns, + - * / % **, comparisons (chained ones too), `in (…)`,
and, or, not, and the functions below. Every name stands for one value per particle, so a rule answers yes or no for
each.
"""

import ast
import difflib
import operator
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..errors import ConfigError

LONGEST_SHOWN = 200
FUNCTIONS: dict[str, Callable[[Any], Any]] = {"abs": np.abs, "sqrt": np.sqrt, "log": np.log, "exp": np.exp}
_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_COMPARISONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: np.isin,
    ast.NotIn: lambda values, listed: ~np.isin(values, listed),
}


def names_in(rule: str) -> set[str]:
    """Names of the columns that a rule uses. Raises ConfigError when it is no expression."""
    return {node.id for node in ast.walk(_parsed(rule)) if isinstance(node, ast.Name)} - set(FUNCTIONS)


def obeying(rule: str, columns: Mapping[str, np.ndarray], n: int) -> np.ndarray:
    """(n,) bool: which particles a rule is true of.

    Parameters
    ----------
    columns : name to (n,) values. A comparison with a missing number (NaN) is false.

    Raises
    ------
    ConfigError : the rule cannot be read, uses what is not allowed or a name that is no column, or is no yes or no.
    """
    tree = _parsed(rule)
    with _readable(rule), np.errstate(all="ignore"):
        answer = _Rule(rule, columns).value(tree.body)
        if not _is_truth(answer):
            raise ConfigError(f"The rule {_shown(rule)} is not a yes or no; compare with something, as in z1 > 0.")
        return np.broadcast_to(answer, n).copy()


def _parsed(rule: str) -> ast.Expression:
    with _readable(rule), warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        return ast.parse(rule.strip(), mode="eval")


@contextmanager
def _readable(rule: str) -> Iterator[None]:
    """Whatever else goes wrong with a rule, too many brackets for one, is that it cannot be read."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        where = f" at character {error.offset}" if isinstance(error, SyntaxError) and error.offset else ""
        raise ConfigError(
            f"The rule {_shown(rule)} cannot be read{where}; write it as in z1 > 0 and cluster == 3."
        ) from error


def _shown(text: str) -> str:
    """A rule, or a part of one, as messages repeat it."""
    return repr(text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…")


def _is_truth(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_)) or (isinstance(value, np.ndarray) and value.dtype == bool)


class _Rule:
    """Values of the parts of one rule."""

    def __init__(self, rule: str, columns: Mapping[str, np.ndarray]) -> None:
        self._shown, self._columns = _shown(rule), columns

    def value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=bool() | int() | float() | str() as value):
                # Numbers become those of numpy: a power of whole ones would take for ever, and of Python's floats may
                # be an error or complex.
                return value if isinstance(value, bool | str) else np.float64(value)
            case ast.Name(id=name):
                return self._column(name)
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                return self._listed([self.value(part) for part in parts])
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                return _ARITHMETIC[type(op)](self._number(left), self._number(right))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self._number(operand)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return np.logical_not(self._truth(operand))
            case ast.BoolOp(op=op, values=parts):
                join = np.logical_and if isinstance(op, ast.And) else np.logical_or
                return join.reduce(np.broadcast_arrays(*[self._truth(part) for part in parts]))
            case ast.Compare():
                return self._compared(node)
            case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in FUNCTIONS:
                return FUNCTIONS[name](self._number(argument))
        raise ConfigError(
            f"The rule {self._shown} has {_shown(ast.unparse(node))}, which is not allowed; use columns, "
            f"numbers, comparisons, and, or, not, in (…), arithmetic and {', '.join(FUNCTIONS)}."
        )

    def _compared(self, node: ast.Compare) -> Any:
        values = [self.value(part) for part in (node.left, *node.comparators)]
        answers = []
        for left, op, right in zip(values, node.ops, values[1:], strict=False):
            if type(op) not in _COMPARISONS or _is_text(left) != _is_text(right):
                raise ConfigError(f"The rule {self._shown} compares what cannot be compared, text with numbers.")
            if isinstance(left, list) or isinstance(right, list) != isinstance(op, ast.In | ast.NotIn):
                raise ConfigError(f"The rule {self._shown} compares with a list; use in (…) or not in (…).")
            answers.append(_COMPARISONS[type(op)](left, right))
        return np.logical_and.reduce(np.broadcast_arrays(*answers))

    def _listed(self, values: list) -> list:
        if (
            not values
            or any(isinstance(value, list | np.ndarray) for value in values)
            or len({_is_text(v) for v in values}) > 1
        ):
            raise ConfigError(f"The rule {self._shown} has a list of other than numbers or texts.")
        return values

    def _number(self, node: ast.expr) -> Any:
        value = self.value(node)
        if _is_truth(value) or _is_text(value) or isinstance(value, list):
            raise ConfigError(
                f"The rule {self._shown} calculates with {_shown(ast.unparse(node))}, which is no number."
            )
        return value

    def _truth(self, node: ast.expr) -> Any:
        value = self.value(node)
        if not _is_truth(value):
            raise ConfigError(f"In the rule {self._shown}, {_shown(ast.unparse(node))} is neither true nor false.")
        return value

    def _column(self, name: str) -> np.ndarray:
        if name not in self._columns:
            near = difflib.get_close_matches(name[:LONGEST_SHOWN], self._columns, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(self._columns)}."
            raise ConfigError(
                f"The rule {self._shown} names {_shown(name)}, which is no column of these particles; {hint}"
            )
        return self._columns[name]


def _is_text(value: Any) -> bool:
    if isinstance(value, list):
        return any(isinstance(part, str) for part in value)
    return isinstance(value, str) or (isinstance(value, np.ndarray) and value.dtype.kind in "OUS")
