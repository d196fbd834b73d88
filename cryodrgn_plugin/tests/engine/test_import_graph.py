"""The graph of imports sees what it is for, in small packages written for the purpose."""

import pytest

from cryodrgn_plugin.tests.import_graph import ImportGraph


@pytest.fixture
def graph_of(tmp_path):
    """A graph of files given as name to text; dots in names are folders."""

    def make(**texts: str) -> ImportGraph:
        for name, text in texts.items():
            path = tmp_path / f"{name.replace('__in__', '/')}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return ImportGraph(tmp_path)

    return make


def lost(graph: ImportGraph) -> set[str | None]:
    """Names whose imports lead nowhere."""
    return {item.name for file in graph.files.values() for item in file.imports if graph.leads_to(item) is None}


def test_a_circle_is_seen_though_one_side_imports_within_a_function(graph_of):
    graph = graph_of(
        a="from . import b", b="from .c import x", c="x = 1\ndef late():\n    from .a import b", d="from . import a"
    )
    assert graph.circles(within=()) == [[("a",), ("b",), ("c",)]]


def test_files_that_only_share_an_import_are_no_circle(graph_of):
    assert graph_of(a="from . import c", b="from .c import x\nfrom . import a", c="x = 1").circles(within=()) == []


def test_a_circle_outside_a_part_is_not_of_that_part(graph_of):
    graph = graph_of(part__in__a="from ..b import x", b="from .part import a\nx = 1")
    assert len(graph.circles(within=())) == 1 and graph.circles(within=("part",)) == []


@pytest.mark.parametrize("binding", ["x = 1", "x: int = 1", "def x(): ...", "class x: ...", "import os as x"])
def test_names_bound_at_the_top_level_can_be_imported(graph_of, binding):
    assert lost(graph_of(a="from .b import x, y", b=f"if True:\n    {binding}\n")) == {"y"}


def test_names_within_functions_cannot_be_imported(graph_of):
    assert lost(graph_of(a="from .b import x", b="def f():\n    x = 1")) == {"x"}


def test_modules_that_are_not_there_are_missed_by_relative_and_absolute_names(graph_of):
    text = "from .gone import x\nfrom cryodrgn_plugin.gone import y\nimport cryodrgn_plugin.gone\nimport os"
    assert lost(graph_of(a=text)) == {"x", "y", None}


def test_what_a_package_serves_when_asked_can_be_imported(graph_of):
    served = 'HOME = {"x": "a"}\ndef __getattr__(name): ...'
    assert lost(graph_of(part__in____init__=served, b="from .part import x, y")) == {"y"}
