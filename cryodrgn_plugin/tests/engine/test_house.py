"""The rules of the house: imports go one way, in no circle, and lead somewhere; hosts come in by doors that have names;
files stay short, no machine is named, no link is dead.
"""

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import cryodrgn_plugin
from cryodrgn_plugin.engine.cli.main import COMMANDS
from cryodrgn_plugin.engine.config import kinds
from cryodrgn_plugin.engine.result_kinds import KINDS
from cryodrgn_plugin.engine.run_layout import CONTENTS
from cryodrgn_plugin.tests.import_graph import ImportGraph, Module

pytestmark = pytest.mark.slow
"""What it reads is the same in either environment."""
PACKAGE = Path(cryodrgn_plugin.__file__).parent
CHECKOUT = PACKAGE.parent
ENGINE = PACKAGE / "engine"

# A module may import its own layer and the layers above it in this list. A file may stand elsewhere than its folder:
# the records of CTF and aberrations are what a particle table gives, and their modules import nothing but each other.
LAYERS = [
    {"errors", "config"},
    {"io", "geometry", "imaging.ctf", "imaging.aberrations", "imaging.zernike"}
    | {"run", "run_status", "run_layout", "run_lock", "run_origin", "relocation"}
    | {"latents", "result_kinds", "results", "report_writer", "borrowing", "collapse"}
    | {"known_copies", "source_check", "progress", "provenance", "ranks", "stopping", "threads"}
    | {"streams_out", "large_pages", "compiled_kernels", "out_of_memory"},
    {"imaging", "slicing", "data"},
    {"atoms"},
    {"decoders", "encoders", "poses"},
    {"likelihood", "reconstruction"},
    {"vetting"},
    {"closed_form"},
    {"ab_initio"},
    {"networks"},
    {"recipes"},
    {"analysis", "simulate"},
    {"landscape", "states", "validation", "selection", "preflight", "importing"},
    {"agreement"},
    {"atomic_motion"},
    {"cli"},
    {"options", "files"},
]
LAYER_OF = {name: depth for depth, names in enumerate(LAYERS) for name in names}
STRANGERS = {("decoders", "poses"), ("poses", "decoders")}
DOORS = {
    "errors": "the user's mistakes",
    "config": "settings of a run",
    "options": "settings of the commands",
    "run": "the run folder",
    "latents": "what a training knows of each particle",
    "run_layout": "what a run folder may hold",
    "results": "what commands left under a run",
    "result_kinds": "what results are called",
    "files": "star files, tables of particles, maps, arrays",
    "decoders.restore": "maps at any latent of a trained run",
    "analysis.lists": "the columns that a list of particles has more than its star file",
    "selection.export": "the particles that a selection left",
    "selection.lasso": "a line drawn around particles",
    "selection.rules": "a rule typed where particles are looked at",
    "selection.columns": "what is known of each particle, by name",
    "selection.listed": "particles that were chosen one by one",
    "streams_out": "what is printed where nobody can read it",
    "selection.drawn_region": "lines drawn around parts of a molecule",
    "simulate.presets": "the molecules that a form offers",
    "analysis.latent_plots": "the curves of a training that nothing has looked at yet",
    "analysis.figure_style": "the size of figures on a page",
    "validation.validation_page": "the titles of its figures",
}
"""What hosts may import of the engine, and what for."""
ENTRANCES = {
    "bibtex": "pyworkflow looks for it",
    "demo": "`make demo`",
    "ccpem.pipeliner_jobs": "CCP-EM's pipeliner, by entry points",
    "relion.job_results": "a process of the External job",
    "engine.networks.amortized_placing": "for users in Python",
}
"""Modules that nothing of ours imports by name, and who does."""
MADE_IN = {
    "decoders": kinds.DECODER_KINDS,
    "encoders": kinds.ENCODER_KINDS,
    "poses": kinds.POSE_SEARCHES,
    "slicing": kinds.BACKENDS,
}
"""Modules of members, which are loaded by what a setting says."""
EXTRAS = {"triton": "engine/slicing/triton_"}
"""Packages that only an extra brings, and where the files that may import them are."""
LONGEST_FILE, LONGEST_FUNCTION = 300, 59
HOSTS = ("pipeliner", "pwem", "pyworkflow", "relion", "emtable", "tkinter", "PyQt5", "pyvista", "vtk")


def engine_files() -> list[Path]:
    return sorted(path for path in ENGINE.rglob("*.py") if path.parent != ENGINE or path.stem != "__init__")


def program_files() -> list[Path]:
    """All files of the package but tests and those that own the names of files in a run."""
    owners = {ENGINE / f"{name}.py" for name in ("result_kinds", "run_layout", "borrowing", "report_writer")}
    return [
        path for path in sorted(PACKAGE.rglob("*.py")) if path not in owners and PACKAGE / "tests" not in path.parents
    ]


def part_of(module: tuple[str, ...]) -> str:
    """The engine's part that a module belongs to, from its names below the engine."""
    dotted = ".".join(module[:2])
    return dotted if dotted in LAYER_OF else module[0]


def relative_imports(path: Path) -> set[str]:
    """Parts of the engine that a file imports, anywhere in it."""
    package = path.relative_to(CHECKOUT).parent.parts
    parts = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            module = (*package[: len(package) - node.level + 1], *(node.module or "").split("."))
            targets = [module] if node.module else [(*module[:-1], alias.name) for alias in node.names]
            below = [target[2:] for target in targets if target[:2] == ("cryodrgn_plugin", "engine")]
            parts |= {part_of(target) for target in below if target}
    return parts


def absolute_imports(path: Path) -> set[str]:
    """Top-level packages that a file imports by absolute name, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.fixture(scope="module")
def graph() -> ImportGraph:
    """Imports of the package, of benchmarks and of scripts that make the documents."""
    return ImportGraph(PACKAGE, sorted([*CHECKOUT.glob("benchmarks/*.py"), *CHECKOUT.glob("docs/**/*.py")]))


def shipped(graph: ImportGraph) -> list[Module]:
    """The package without its tests."""
    return [module for module in graph.files if module[:1] != ("tests",)]


def dotted(module: Module) -> str:
    return ".".join(module)


def tracked_files() -> list[Path]:
    """Files under version control, or all files of the tree where there is no git."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if listing.returncode:
        return [path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return [CHECKOUT / name for name in listing.stdout.split("\0") if name and (CHECKOUT / name).is_file()]


def run_python(code: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        env={**os.environ, "MPLBACKEND": "Agg"},
        check=False,
    )


@pytest.mark.parametrize("path", engine_files(), ids=lambda path: str(path.relative_to(ENGINE)))
def test_imports_go_one_way(path):
    part = part_of(path.relative_to(ENGINE).with_suffix("").parts)
    assert part in LAYER_OF, f"engine/{part} has no place in the order of layers"
    for imported in relative_imports(path):
        assert LAYER_OF[imported] <= LAYER_OF[part], f"{part} may not import {imported}"
        assert (part, imported) not in STRANGERS, f"{part} and {imported} never meet"


def test_files_import_in_no_circle(graph):
    assert graph.circles(within=()) == []


def test_every_import_leads_to_something(graph):
    for file in [*graph.files.values(), *graph.others]:
        for item in file.imports:
            where = f"{file.path.relative_to(CHECKOUT)}:{item.line}"
            assert graph.leads_to(item) is not None, f"{where} imports {item.name} of {dotted(item.target)}"


def test_no_two_modules_have_one_name(graph):
    module_of: dict[str, Module] = {}
    for module in shipped(graph):
        if graph.files[module].path.stem not in ("__init__", "__main__"):
            twin = module_of.setdefault(module[-1], module)
            assert twin == module, f"{dotted(twin)} and {dotted(module)}"


def test_every_module_is_used(graph):
    used = set().union(*(graph.imported_by(module) for module in shipped(graph)))
    used |= {graph.leads_to(item) for file in graph.others for item in file.imports}
    used |= {("engine", "cli", f"{command.replace('-', '_')}_command") for command in COMMANDS}
    used |= {tuple(name.split(".")) for name in ENTRANCES}
    used |= {("engine", room, place.split(".")[0]) for room, places in MADE_IN.items() for place in places.values()}
    for module in shipped(graph):
        file = graph.files[module]
        is_program = file.path.stem in ("__init__", "__main__")
        is_served = module[:-1] in graph.files and module[-1:] and module[-1] in graph.files[module[:-1]].strings
        assert is_program or is_served or module in used, f"nothing uses {dotted(module)}"


def test_every_entrance_is_there(graph):
    assert {tuple(name.split(".")) for name in ENTRANCES} <= set(graph.files)


def doors_used(graph: ImportGraph, module: Module) -> set[str]:
    """What a module of a host imports of the engine; settings are one door, whichever of their files."""
    parts = [target[1:] for target in graph.imported_by(module) if target[:1] == ("engine",)]
    return {"config" if part[0] == "config" else dotted(part) for part in parts if part}


def test_hosts_come_in_by_named_doors(graph):
    used = {dotted(module): doors_used(graph, module) for module in shipped(graph) if module[:1] != ("engine",)}
    others = {name for name, doors in used.items() if doors - set(DOORS)}
    assert not others, {name: used[name] - set(DOORS) for name in others}
    assert set(DOORS) <= set().union(*used.values()), "a door that no host uses can be closed"


def test_files_are_short(graph):
    lines = {dotted(module): len(graph.files[module].path.read_text().splitlines()) for module in shipped(graph)}
    assert not {name for name, count in lines.items() if count > LONGEST_FILE}


def test_functions_are_short(graph):
    for module in shipped(graph):
        for node in ast.walk(graph.files[module].tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = node.end_lineno - node.lineno + 1
                assert length <= LONGEST_FUNCTION, f"{dotted(module)}.{node.name} has {length} lines"


def test_the_engine_names_no_host():
    for path in engine_files():
        assert not absolute_imports(path) & set(HOSTS), path


def test_the_engine_imports_with_the_hosts_absent():
    result = run_python(f"""
import importlib, pkgutil, sys
for name in {HOSTS!r}:
    sys.modules[name] = None
import cryodrgn_plugin.engine as engine
for module in pkgutil.walk_packages(engine.__path__, engine.__name__ + "."):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            if error.name not in {tuple(EXTRAS)!r}:
                raise
""")
    assert result.returncode == 0, result.stderr


def test_the_command_line_starts_without_heavy_imports():
    result = run_python("""
import sys
import cryodrgn_plugin.engine.cli.main, cryodrgn_plugin.engine.config, cryodrgn_plugin.engine.run
import cryodrgn_plugin.engine.options
heavy = {"torch", "numba", "sklearn", "umap", "matplotlib", "scipy", "pandas"} & set(sys.modules)
assert not heavy, heavy
""")
    assert result.returncode == 0, result.stderr


def test_every_imported_package_is_declared():
    declared_text = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["dependencies"]
    declared = {re.split(r"[<>=!~ \[;]", text)[0].lower() for text in declared_text}
    distributions = packages_distributions()
    for path in engine_files():
        for name in absolute_imports(path) - set(sys.stdlib_module_names):
            if name in EXTRAS and str(path.relative_to(PACKAGE)).startswith(EXTRAS[name]):
                continue
            owners = {owner.lower() for owner in distributions.get(name, [name])}
            assert owners & declared, (
                f"{path.relative_to(CHECKOUT)} imports {name}, which pyproject.toml does not ask for"
            )


def test_no_file_names_a_path_of_one_machine():
    personal = re.compile(r"(?<![\w.~}$)*-])/(?:home|root|work|tmp|farm|Users|mnt|media)/\w")
    for path in tracked_files():
        data = path.read_bytes()
        if b"\0" in data[:8192]:
            continue
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
            assert not personal.search(line), (
                f"{path.relative_to(CHECKOUT)}:{number} names a path of one machine: {line}"
            )


def texts_in(tree: ast.AST) -> list[ast.Constant]:
    """Texts of one line that a program uses: no docstrings, no help."""
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [node for node in texts if id(node) not in told and "\n" not in node.value]


@pytest.mark.parametrize("path", program_files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_names_of_results_stand_in_one_file(path):
    """Index files, arrays, and folders that hold several results; other kinds are called as their folder is."""
    names = {name for kind in KINDS.values() for name in (kind.index, kind.arrays[1])} - {""}
    names |= {kind.folder for kind in KINDS.values() if kind.named}
    for text in texts_in(ast.parse(path.read_text())):
        assert not names & set(text.value.split("/")), f"line {text.lineno} names {text.value!r}; ask Results or Report"


@pytest.mark.parametrize("path", program_files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_path_inside_a_run_is_built_elsewhere(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            left, right = node.left, node.right
            inside = isinstance(left, ast.Attribute) and (left.attr == "path" or left.attr.endswith("_dir"))
            known = isinstance(right, ast.Constant) and str(right.value).split("/")[0] in CONTENTS
            assert not inside and not known, f"line {node.lineno} builds {ast.unparse(node)}; RunLayout knows it"


def test_every_link_between_documents_leads_somewhere():
    for path in tracked_files():
        if path.suffix != ".md":
            continue
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text()):
            if "://" not in target and not target.startswith("mailto:"):
                assert (path.parent / target).exists(), f"{path.name} links to {target}, which is not there"


def test_the_changes_begin_with_this_version():
    changes = (CHECKOUT / "CHANGES.txt").read_text()
    assert re.search(r"^V?(\d+\.\d+\.\d+)", changes, re.M).group(1) == cryodrgn_plugin.__version__
