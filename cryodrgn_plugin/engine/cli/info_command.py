"""`info`: a readable summary of a run folder or of a particle star file."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DataError
from ..progress import duration

if TYPE_CHECKING:
    from ..io.particles import ParticleTable
    from ..results import Results

DESCRIPTION = """\
Summarise a run folder (status, settings that differ from the defaults, figures of the last epoch, where things are) or
a particle file of RELION or cryoSPARC (optics groups, pixel and box sizes, poses, defocus).

examples
  cryodrgn-plugin info run
  cryodrgn-plugin info run --latest                  of a training that goes on: latents and maps as they are now
  cryodrgn-plugin info particles.star
  cryodrgn-plugin info J12_particles.cs --passthrough J12_passthrough_particles.cs
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.add_argument("path", metavar="RUN|FILE", help="folder of a run, or a particle file (.star, .cs, .csg)")
    parser.add_argument(
        "--latest",
        action="store_true",
        help="first make latents.npz and model.pt of a training that has not finished those of its last checkpoint",
    )
    parser.add_argument(
        "--passthrough",
        default="",
        metavar="FILE.cs",
        help="passthrough file of cryoSPARC particles, if it is not beside them",
    )


def run(args: argparse.Namespace) -> int:
    path = Path(args.path)
    if not path.exists():
        raise DataError(f"There is no run folder or particle file {path}.")
    if args.latest:
        _bring_up_to_date(path)
    title, rows = about_run(path) if path.is_dir() else about_particles(path, args.passthrough)
    _print(title, rows)
    return 0


def _bring_up_to_date(path: Path) -> None:
    from ..recipes import look_in
    from ..run import Run

    look_in(Run.open(path))


def about_run(path: Path) -> tuple[str, list[tuple[str, str]]]:
    """Title and (what, value) rows for a run folder. Raises DataError for whatever is wrong with its files."""
    from ..io.reading import WHY, understood

    with understood(f"{path}: what its files say cannot be shown ({WHY}); one of them is damaged, make it anew."):
        return f"run {path}", _rows_of_run(path)


def _rows_of_run(path: Path) -> list[tuple[str, str]]:
    from ..config import differing_settings, recipe_config
    from ..run import Run
    from ..run_origin import IMPORTED, made_by

    run = Run.open(path)
    info, config = run.info, run.config
    provenance = info["provenance"]
    far = run.how_far
    rows = [("status", run.status), ("message", run.message), ("how far", far.sentence if far else "")]
    rows.append(("particles", config.particles))
    imported = IMPORTED in info.get("notes", {})
    rows += [("made of", made_by(config, info) if imported else "")]
    rows += [("recipe of halves" if imported else "recipe", config.recipe), ("seed", str(config.seed))]
    changed = differing_settings(recipe_config(config.recipe), config)
    rows += [(name, str(value)) for name, value in changed.items() if name not in ("particles", "seed")]
    rows.append(("poses", "found by the run, in poses.star" if run.poses_file.exists() else ""))
    if run.latents_file.exists():
        latents = run.latents()
        rows.append(("latents", f"{len(latents.z):,} particles × {latents.z.shape[1]} dimensions"))
        rows.append(("coordinate", "position along a found curve" if latents.coordinate is not None else ""))
    rows += [(f"last {name}", f"{value:.6g}") for name, value in (run.metrics() or [{}])[-1].items()]
    for step, state in info.get("steps", {}).items():
        took = f" in {duration(state['seconds'])}, up to {state['peak_memory_mb']:,} MB" if "seconds" in state else ""
        rows.append((step, f"{state['status']}{took}{': ' + state['message'] if state['message'] else ''}"))
    rows += about_analysis(run.results("analysis")) if run.has_results("analysis") else []
    hardware = provenance["hardware"]
    rows.append(("made", f"{provenance['created']} by version {provenance['version']}"))
    rows.append(("on", f"{hardware['processor']}, {hardware['cores']} cores, {hardware['memory_gb']} GB"))
    return [row for row in rows if row[1]]


def about_analysis(analysis: "Results") -> list[tuple[str, str]]:
    """Rows for the classes and maps of an analysis."""
    shares = ", ".join(f"{cluster['share']:.0%}" for cluster in analysis.clusters)
    rows = [("classes", f"{len(analysis.clusters)}: {shares}")] if shares else []
    for series in analysis.all_series:
        limits = [entry["resolution_ang"]["0.143"] for entry in series["maps"] if entry["resolution_ang"]]
        reach = f", {min(limits):.3g} to {max(limits):.3g} Å at FSC 0.143" if limits else ""
        rows.append((f"maps {series['title']}", f"{len(series['maps'])}{reach}"))
    return rows


def about_particles(path: Path, passthrough: str = "") -> tuple[str, list[tuple[str, str]]]:
    """Title and (what, value) rows for a particle file of any kind that is read."""
    import numpy as np

    from ..io.tables import read_table

    table = read_table(path, passthrough=passthrough)
    table.ctf()
    groups = len(np.unique(table.optics_group))
    images = "" if table.tilts is None else f", {table.n:,} tilt images"
    rows = [("particles", f"{table.n if table.tilts is None else table.tilts.particles.n:,}{images}")]
    rows += [("RELION star", f"{table.version / 10:.1f}")] if path.suffix == ".star" else []
    rows += [("optics groups", str(groups)), ("pixel size (Å)", _values(table.pixel_size_ang, "{:.4g}"))]
    rows += [("box (pixels)", "stated by the stacks" if table.box is None else _values(table.box, "{:.0f}"))]
    rows += [("stacks", f"{len({name.rpartition('@')[2] for name in table.image_names}):,}")]
    rows += [("poses", "yes" if table.euler_deg is not None else "none: find them with `cryodrgn-plugin abinitio`")]
    if table.origins_ang is not None:
        rows.append(("largest shift (Å)", f"{np.nanmax(np.abs(table.origins_ang)):.1f}"))
    defocus = [name for name in ("rlnDefocusU", "rlnDefocusV") if name in table.frame]
    if defocus:
        values = np.stack([table.numbers(name) for name in defocus])
        rows.append(("defocus (µm)", f"{values.min() / 1e4:.2f} to {values.max() / 1e4:.2f}"))
    else:
        rows.append(("defocus (µm)", "none: the images are taken as free of CTF"))
    rows += _aberrations(table, with_ctf=bool(defocus))
    rows.append(("columns", ", ".join(table.frame.columns)))
    return f"particles {path}", rows


def _aberrations(table: "ParticleTable", with_ctf: bool) -> list[tuple[str, str]]:
    """What the optics groups have of them, and what of it is left in the images."""
    from ..io.optics_terms import about_detector, not_applied, what_applies

    listed = [(number, what_applies(each)) for number, each in enumerate(table.aberrations, start=1)]
    words = [f"group {number}: {', '.join(terms)}" for number, terms in listed if terms]
    rows = [("aberrations", "; ".join(words))] if words else []
    left = [*not_applied(table, with_ctf), *about_detector(table)]
    return rows + [("not applied", sentence) for sentence in left]


def _values(values, form: str) -> str:
    import numpy as np

    return ", ".join(form.format(value) for value in np.unique(np.asarray(values, float).round(5)))


def _print(title: str, rows: list[tuple[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(title), title_justify="left", show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for what, value in rows:
        table.add_row(Text(what), Text(value))  # which rich would else search for its markup
    console = Console()
    # Printed as text, for rich itself would turn a pipe that closes early into exit code 1.
    with console.capture() as text:
        console.print(table)
    print(text.get(), end="")
