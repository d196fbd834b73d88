"""The explanation of every setting is the string below its field; fronts and their forms are made from it."""

import ast
import inspect
import textwrap
from functools import cache


@cache
def field_help(cls: type) -> dict[str, str]:
    """The explanation below each field of a config class."""
    definition = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(definition, ast.ClassDef)
    pairs = zip(definition.body, definition.body[1:], strict=False)
    return {
        node.target.id: " ".join(after.value.value.split())
        for node, after in pairs
        if isinstance(node, ast.AnnAssign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
    }
