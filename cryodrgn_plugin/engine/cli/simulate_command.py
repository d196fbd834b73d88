"""`simulate`: a preset, models or maps in; particles, their star file and what was planted out."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..config import field_help
from ..errors import ConfigError
from ..simulate.config import OpticsGroup, SimulationConfig

DESCRIPTION = """\
Make particle images of a moving molecule, with CTF, shifts and noise, and keep the truth beside them.

presets (from models that come with the program)
  adk            adenylate kinase from open to closed, its two domains turning (used when nothing is named)
  uniform        a complex with an arm that turns through 1.5 rad at a hinge, all angles alike
  cooperative    the same, most particles in three wide clusters of angles
  noncontiguous  the same, in three narrow clusters
  compositional  30S, 50S and 70S ribosomes, 10 : 15 : 25
  spike          the SARS-CoV-2 spike raising one receptor-binding domain

your own molecule
  --model A --model B                            the path from one conformation to another; each --domain turns rigidly
  --model A --domain B:331-527 --hinge-deg 60    one domain turning about a hinge
  --model A --frames F.npy                       a trajectory: (frames, atoms, 3) for the model's heavy atoms, in order
  --model A --model B --model C …                three or more models, each one state, as they lie
  --map A --map B …                              each map one state
  --map A --domain-mask M --hinge-deg 60         the part of a map inside a mask turning about a hinge

examples
  cryodrgn-plugin simulate --out sim
  cryodrgn-plugin simulate --out sim2 --preset spike --particles 20000 --box 128 --snr 0.05
  cryodrgn-plugin simulate --out mine --model open.pdb --model closed.cif --domain A:122-159 --ctf-rows ctf.npy

what comes out: particles.star (RELION 3.1) with particles.mrcs, truth.npz (state, coordinate, rotations, shifts_ang of
each row) and maps/state_000.mrc … on the grey scale of the images.
"""

_NUMBERS = {
    "--particles": "n_particles",
    "--box": "box",
    "--resolution-ang": "resolution_ang",
    "--snr": "snr",
    "--shift-px": "shift_px",
    "--astigmatism-ang": "astigmatism_ang",
    "--contrast-sd": "contrast_sd",
    "--tilt-deg": "tilt_deg",
    "--particles-per-micrograph": "particles_per_micrograph",
}
_RANGES = {"--defocus-ang": "defocus_ang", "--phase-shift-deg": "phase_shift_deg"}
_TEXTS = {"--ctf-rows": "ctf_rows", "--image-prefix": "image_prefix"}
_SWITCHES = {"--float16": "float16", "--keep-clean": "keep_clean"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.usage = "%(prog)s --out DIR [--preset NAME | --model FILE … | --map FILE …] [--OPTION VALUE …]"
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the files; made if absent")
    parser.add_argument("--overwrite", action="store_true", help="replace the set that is in DIR")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same files (0)")
    _add_molecule(parser.add_argument_group("the molecule and its motion"))
    _add_images(parser.add_argument_group("the images"))


def _add_molecule(group) -> None:
    group.add_argument("--preset", metavar="NAME", help="a molecule that comes with the program")
    group.add_argument("--model", action="append", default=[], metavar="FILE", help="a PDB, mmCIF or MMTF file; repeat")
    group.add_argument("--map", action="append", default=[], metavar="FILE", help="an MRC map, white density; repeat")
    group.add_argument("--states", type=int, default=50, help="states along the motion (50)")
    group.add_argument(
        "--domain",
        action="append",
        default=[],
        metavar="PART",
        help="part that moves as a rigid body, as B:331-527; repeat",
    )
    group.add_argument("--core", default="", metavar="PART", help="part to superpose on (all that is in no domain)")
    group.add_argument("--hinge-deg", type=float, default=60.0, help="range of the turn in degrees (60)")
    group.add_argument(
        "--hinge-point", type=_triple, metavar="X,Y,Z", help="a point of the axis in Å (where domain and rest meet)"
    )
    group.add_argument(
        "--hinge-axis", type=_triple, metavar="X,Y,Z", help="its direction (the one that opens the domain)"
    )
    group.add_argument("--frames", default="", metavar="F.npy", help="coordinates of a trajectory for one model")
    group.add_argument("--domain-mask", default="", metavar="M.mrc", help="marks the part of one map that turns")


def _add_images(group) -> None:
    explained, default = field_help(SimulationConfig), SimulationConfig()
    group.add_argument(
        "--pixel-size",
        type=float,
        metavar="ANG",
        help="pixel size in Å (chosen so that the molecule fills four fifths of the box)",
    )
    for flag, name in _NUMBERS.items():
        value = getattr(default, name)
        group.add_argument(flag, dest=name, type=type(value), default=value, help=f"{explained[name]} ({value:g})")
    group.add_argument("--b-factor-ang2", type=float, help=f"{explained['b_factor_ang2']} (0, or the preset's)")
    for flag, name in _RANGES.items():
        value = getattr(default, name)
        help_text = f"{explained[name]} ({value[0]:g} {value[1]:g})"
        group.add_argument(flag, dest=name, type=float, nargs=2, metavar=("LOW", "HIGH"), default=value, help=help_text)
    for flag, name in _TEXTS.items():
        group.add_argument(flag, dest=name, default="", help=explained[name])
    for flag, name in _SWITCHES.items():
        group.add_argument(flag, dest=name, action="store_true", help=explained[name])
    group.add_argument("--no-ctf", action="store_true", help="no CTF, neither in the images nor in the star file")
    group.add_argument(
        "--optics",
        action="append",
        default=[],
        type=_optics,
        metavar="KV,CS,W[,NOISE]",
        help="an optics group: kV, Cs in mm, amplitude contrast, noise relative to the others; repeat (300,2.7,0.1)",
    )


def _triple(text: str) -> tuple[float, ...]:
    numbers = tuple(float(part) for part in text.split(","))
    if len(numbers) != 3:
        raise argparse.ArgumentTypeError(f"{text!r} is not three numbers with commas")
    return numbers


def _optics(text: str) -> OpticsGroup:
    numbers = [float(part) for part in text.split(",")]
    if len(numbers) not in (3, 4):
        raise argparse.ArgumentTypeError(f"{text!r} is not KV,CS,W or KV,CS,W,NOISE")
    names = ("voltage_kv", "spherical_aberration_mm", "amplitude_contrast", "noise_scale")
    return OpticsGroup(**dict(zip(names, numbers, strict=False)))


def run(args: argparse.Namespace) -> int:
    out_dir = Path(args.out)
    if (out_dir / "particles.star").exists() and not args.overwrite:
        raise ConfigError(
            f"{out_dir} already holds a simulated set; name another folder, or give --overwrite to replace it."
        )
    from ..simulate.simulation import frame_radius_ang, simulate_particles

    ensemble, pixel_size_ang, b_factor_ang2 = _ensemble(args)
    config = _config(args, pixel_size_ang, b_factor_ang2)
    print(f"{len(ensemble.states)} states, {config.n_particles:,} images of {config.box} px at {pixel_size_ang:g} Å")
    if ensemble.atomic:
        filled = 2 * frame_radius_ang(ensemble.states) / (config.box * pixel_size_ang)
        print(f"The molecule fills {filled:.0%} of the box.")
    with _progress() as progress:
        star = simulate_particles(ensemble, config, out_dir, args.seed, progress)
    print(f"Wrote {star}; the truth is in {out_dir / 'truth.npz'} and {out_dir / 'maps'}.")
    return 0


def _ensemble(args: argparse.Namespace) -> tuple:
    """(ensemble, pixel size in Å, B-factor) of what was asked for."""
    from ..simulate.user_motions import MotionRequest, ensemble_from_maps, ensemble_from_models

    if (args.preset is not None) + bool(args.model) + bool(args.map) > 1:
        raise ConfigError("Give one of --preset, --model and --map.")
    if not args.model and not args.map:
        return _preset(args)
    request = MotionRequest(
        states=args.states,
        domains=tuple(args.domain),
        core=args.core,
        hinge_deg=args.hinge_deg,
        hinge_point_ang=args.hinge_point,
        hinge_axis=args.hinge_axis,
        frames=args.frames,
        domain_mask=args.domain_mask,
    )
    if args.model:
        ensemble = ensemble_from_models(args.model, request)
        return ensemble, args.pixel_size or _fitting_pixel_size(ensemble, args.box), args.b_factor_ang2 or 0.0
    ensemble, pixel_size_ang = ensemble_from_maps(args.map, args.box, request)
    if args.pixel_size and abs(args.pixel_size - pixel_size_ang) > 1e-3 * pixel_size_ang:
        raise ConfigError(
            f"In a box of {args.box} the map has a pixel of {pixel_size_ang:.4g} Å, not {args.pixel_size:g}; "
            "leave --pixel-size out."
        )
    return ensemble, pixel_size_ang, args.b_factor_ang2 or 0.0


def _preset(args: argparse.Namespace) -> tuple:
    from ..simulate.presets import PRESETS

    name = args.preset or "adk"
    if name not in PRESETS:
        raise ConfigError(f"There is no preset {name!r}; the presets are {', '.join(PRESETS)}.")
    preset = PRESETS[name]
    b_factor_ang2 = preset.b_factor_ang2 if args.b_factor_ang2 is None else args.b_factor_ang2
    return preset.make(args.states), args.pixel_size or round(preset.box_ang / args.box, 4), b_factor_ang2


def _fitting_pixel_size(ensemble, box: int) -> float:
    from ..simulate.simulation import frame_radius_ang

    return round(2 * frame_radius_ang(ensemble.states) / 0.8 / box + 0.005, 2)


def _config(args: argparse.Namespace, pixel_size_ang: float, b_factor_ang2: float) -> SimulationConfig:
    given = {name: getattr(args, name) for name in [*_NUMBERS.values(), *_TEXTS.values(), *_SWITCHES.values()]}
    ranges = {name: tuple(getattr(args, name)) for name in _RANGES.values()}
    return SimulationConfig(
        **given,
        **ranges,
        pixel_size_ang=pixel_size_ang,
        b_factor_ang2=b_factor_ang2,
        ctf=not args.no_ctf,
        optics=tuple(args.optics),
    )


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A function for `simulate_particles` to call: a bar on a terminal, a line per tenth elsewhere."""
    if not sys.stdout.isatty():
        yield _line_per_tenth()
        return
    from rich.progress import Progress

    with Progress(transient=True) as bar:
        task = bar.add_task("images", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _line_per_tenth() -> Callable[[int, int], None]:
    from ..progress import PlainReporter

    reporter, tenths = PlainReporter(), 0

    def progress(done: int, total: int) -> None:
        nonlocal tenths
        if done * 10 // total > tenths:
            tenths = done * 10 // total
            reporter.step("images in two passes", done, total, {})

    return progress
