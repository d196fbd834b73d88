"""Which files of the package import which, read from their text: nothing is imported, imports within functions count.

A module is named by its path below the package, as ("engine", "io", "star"); a package is its __init__.py.
"""

import ast
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

Module = tuple[str, ...]
ROOT = "cryodrgn_plugin"


@dataclass(frozen=True)
class Import:
    """`from target import name`, on a line of a module; `name` is None for `import target`."""

    line: int
    target: Module
    name: str | None


class SourceFile:
    """A Python file and what its text says."""

    def __init__(self, path: Path, package: Module) -> None:
        self.path = path
        self._package = package

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(encoding="utf-8"))

    @cached_property
    def imports(self) -> list[Import]:
        """Imports of this project's modules, by relative or absolute name."""
        found = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom):
                stated = tuple((node.module or "").split(".")) if node.module else ()
                target = (*self._above(node.level), *stated) if node.level else stated
                found += [Import(node.lineno, target, alias.name) for alias in node.names]
            elif isinstance(node, ast.Import):
                found += [Import(node.lineno, tuple(alias.name.split(".")), None) for alias in node.names]
        return [Import(item.line, item.target[1:], item.name) for item in found if item.target[:1] == (ROOT,)]

    @cached_property
    def names(self) -> set[str]:
        """Names that other files may import: bound at the top level, or served by a module's `__getattr__`."""
        bound = set()
        for node in _top_level(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                bound.add(node.name)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                bound |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                bound.add(node.id)
        return bound | self.strings if "__getattr__" in bound else bound

    @cached_property
    def strings(self) -> set[str]:
        """Every text constant of the file."""
        constants = (node.value for node in ast.walk(self.tree) if isinstance(node, ast.Constant))
        return {value for value in constants if isinstance(value, str)}

    def _above(self, level: int) -> Module:
        return (ROOT, *self._package)[: len(self._package) + 2 - level]


class ImportGraph:
    """All files below a folder, the package's own by their names, and who imports whom."""

    def __init__(self, package: Path, others: list[Path] = ()) -> None:
        self.files: dict[Module, SourceFile] = {}
        for path in sorted(package.rglob("*.py")):
            parts = path.relative_to(package).with_suffix("").parts
            module = parts[:-1] if parts[-1] == "__init__" else parts
            self.files[module] = SourceFile(path, path.relative_to(package).parent.parts)
        self.others = [SourceFile(path, ()) for path in others]

    def leads_to(self, item: Import) -> Module | None:
        """The module that an import reads, or None where there is none of that name, or nothing of that name in it."""
        if item.name is not None and (*item.target, item.name) in self.files:
            return (*item.target, item.name)
        if item.target not in self.files:
            return None
        exists = item.name is None or item.name == "*" or item.name in self.files[item.target].names
        return item.target if exists else None

    def imported_by(self, module: Module) -> set[Module]:
        """Modules that a module imports."""
        return {found for item in self.files[module].imports if (found := self.leads_to(item)) is not None} - {module}

    def circles(self, within: Module) -> list[list[Module]]:
        """Sets of modules below `within` that import each other by any way round."""
        members = {module for module in self.files if module[: len(within)] == within}
        reached = {module: self._reached_from(module, members) for module in members}
        together = {frozenset(m for m in reached[module] if module in reached[m]) for module in members}
        return [sorted(circle) for circle in together if circle]

    def _reached_from(self, start: Module, members: set[Module]) -> set[Module]:
        """Members that are imported by `start`, or by what it imports, and so on."""
        seen: set[Module] = set()
        waiting = [start]
        while waiting:
            fresh = (self._direct[waiting.pop()] & members) - seen
            seen |= fresh
            waiting += fresh
        return seen

    @cached_property
    def _direct(self) -> dict[Module, set[Module]]:
        return {module: self.imported_by(module) for module in self.files}


def _top_level(tree: ast.Module) -> list[ast.AST]:
    """Nodes outside functions and classes, these themselves included."""
    nodes, waiting = [], list(tree.body)
    while waiting:
        node = waiting.pop()
        nodes.append(node)
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)
    return nodes
