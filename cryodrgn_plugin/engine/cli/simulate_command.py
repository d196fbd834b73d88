"""`simulate`: a preset, models or maps in; particles, their star file and what was planted out."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..config import settings_of, word
from ..errors import ConfigError
from ..simulate.config import OpticsGroup, SimulationConfig
from ..simulate.reality import REALITY
from .option_flags import add_option, chosen_options, given_options

DESCRIPTION = """\
Make particle images of a moving molecule, with CTF, shifts and noise, and keep the truth beside them.

presets (from models that come with the program)
  adk            adenylate kinase from open to closed, its two domains turning (used when nothing is named)
  uniform        a complex with an arm that turns through 1.5 rad at a hinge, all angles alike
  cooperative    the same, most particles in three wide clusters of angles
  noncontiguous  the same, in three narrow clusters
  compositional  30S, 50S and 70S ribosomes, 10 : 15 : 25
  spike          the SARS-CoV-2 spike raising one receptor-binding domain

presets as hard as published sets: uneven views, the noise of ice, contrast that varies, wrong poses in the star file
  real_ribosome       six states of a 50S subunit that lack parts of 1 to 12 % of its mass
  real_complex_parts  six states of a complex of eight proteins that lack one or two
  real_complex        that complex, an arm turning at a hinge
  real_spike          the spike opening
  real_adk            adenylate kinase closing
Their settings apply where you give no others; --one-state makes the set to compare with, in which nothing varies.

your own molecule
  --model A --model B                            the path from one conformation to another; each --domain turns rigidly
  --model A --domain B:331-527 --hinge-deg 60    one domain turning about a hinge
  --model A --frames F.npy                       a trajectory: (frames, atoms, 3) for the model's heavy atoms, in order
  --model A --model B --model C …                three or more models, each one state, as they lie
  --map A --map B …                              each map one state
  --map A --domain-mask M --hinge-deg 60         the part of a map inside a mask turning about a hinge

examples
  cryodrgn-plugin simulate --out sim
  cryodrgn-plugin simulate --out sim2 --preset spike --n_particles 20000 --box 128 --snr 0.05
  cryodrgn-plugin simulate --out real --preset real_ribosome --n_particles 12000 --box 80 --contrast_sd 0
  cryodrgn-plugin simulate --out mine --model open.pdb --model closed.cif --domain A:122-159 --ctf_rows ctf.npy

what comes out: particles.star (RELION 3.1) with particles.mrcs, truth.npz (state, coordinate, rotations, shifts_ang,
contrast of each row, and by how much the star file is wrong) and maps/state_000.mrc … on the grey scale of the images.
"""

EARLIER_NAMES = {"n_particles": "particles", "pixel_size_ang": "pixel-size"}
"""Earlier names of options, which are understood as well."""
ABERRATIONS = {
    "tilt": ("beam_tilt_mrad", 2),
    "magnification": ("magnification", 4),
    "odd": ("odd_zernike", 0),
    "even": ("even_zernike", 0),
}
"""Names on the command line, of which field of an optics group, and how many numbers they have (0 for any)."""
DEFAULTS = {
    "pixel_size_ang": "such that the molecule fills four fifths of the box",
    "b_factor_ang2": "0, or the preset's: 100 of those of the thesis, 60 of real_ ones",
}
"""Of settings that follow the molecule."""


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
        "--one-state", action="store_true", help="only the state with most particles; of equals, the middle one"
    )
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
    for name, setting in settings_of(SimulationConfig).items():
        if name == "optics":
            continue
        text = f"{setting.help} (default {DEFAULTS[name]})" if name in DEFAULTS else ""
        if name in REALITY and not text:
            text = setting.explained(f"real_ presets {word(REALITY[name])}")
        add_option(group, setting, EARLIER_NAMES.get(name, ""), text)
    group.add_argument(
        "--optics",
        action="append",
        default=[],
        type=_optics,
        metavar="KV,CS,W[,NOISE][,NAME=…]",
        help="an optics group: kV, Cs in mm, amplitude contrast, noise relative to the others; repeat (300,2.7,0.1). "
        "Aberrations by name, their numbers parted by /: tilt=1.5/-2 (mrad), magnification=1.03/0/0/0.97, and RELION's "
        "Zernike terms odd=0/0/300/0/0/0 and even=0/0/0/0/900",
    )


def _triple(text: str) -> tuple[float, ...]:
    numbers = tuple(float(part) for part in text.split(","))
    if len(numbers) != 3:
        raise argparse.ArgumentTypeError(f"{text!r} is not three numbers with commas")
    return numbers


def _optics(text: str) -> OpticsGroup:
    parts = text.split(",")
    numbers = [float(part) for part in parts if "=" not in part]
    if len(numbers) not in (3, 4):
        raise argparse.ArgumentTypeError(f"{text!r} is not KV,CS,W or KV,CS,W,NOISE")
    names = ("voltage_kv", "spherical_aberration_mm", "amplitude_contrast", "noise_scale")
    return OpticsGroup(**dict(zip(names, numbers, strict=False)), **_aberrations(parts))


def _aberrations(parts: list[str]) -> dict[str, Any]:
    """The fields of an optics group that are given by name."""
    given: dict[str, Any] = {}
    for name, _, text in (part.partition("=") for part in parts if "=" in part):
        values = tuple(float(number) for number in text.split("/"))
        if name not in ABERRATIONS or len(values) != (ABERRATIONS[name][1] or len(values)):
            raise argparse.ArgumentTypeError(
                f"{name}={text} is none of tilt=X/Y, magnification=M00/M01/M10/M11, odd=A/B/… and even=A/B/…"
            )
        given[ABERRATIONS[name][0]] = values
    return given


def run(args: argparse.Namespace) -> int:
    out_dir = Path(args.out)
    if (out_dir / "particles.star").exists() and not args.overwrite:
        raise ConfigError(
            f"{out_dir} already holds a simulated set; name another folder, or give --overwrite to replace it."
        )
    asked = replace(chosen_options(args, SimulationConfig), optics=tuple(args.optics))
    from ..simulate.simulation import frame_radius_ang, simulate_particles

    ensemble, config = _ensemble(args, asked)
    ensemble = ensemble.most_populated() if args.one_state else ensemble
    images = f"{config.n_particles:,} images of {config.box} px at {config.pixel_size_ang:g} Å"
    print(f"{len(ensemble.states)} state{'s' * (len(ensemble.states) != 1)}, {images}")
    if ensemble.atomic:
        filled = 2 * frame_radius_ang(ensemble.states) / (config.box * config.pixel_size_ang)
        print(f"The molecule fills {filled:.0%} of the box.")
    with _progress() as progress:
        star = simulate_particles(ensemble, config, out_dir, args.seed, progress)
    print(f"Wrote {star}; the truth is in {out_dir / 'truth.npz'} and {out_dir / 'maps'}.")
    return 0


def _ensemble(args: argparse.Namespace, asked: SimulationConfig) -> tuple[Any, SimulationConfig]:
    """The molecule, and the settings `asked` with those that follow from it where they were not given."""
    from ..simulate.user_motions import MotionRequest, ensemble_from_maps, ensemble_from_models

    if (args.preset is not None) + bool(args.model) + bool(args.map) > 1:
        raise ConfigError("Give one of --preset, --model and --map.")
    if not args.model and not args.map:
        return _preset(args, asked)
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
        return ensemble, _filled(args, asked, pixel_size_ang=_fitting_pixel_size(ensemble, asked.box))
    ensemble, pixel_size_ang = ensemble_from_maps(args.map, asked.box, request)
    asked_ang = _filled(args, asked, pixel_size_ang=pixel_size_ang).pixel_size_ang
    if abs(asked_ang - pixel_size_ang) > 1e-3 * pixel_size_ang:
        raise ConfigError(
            f"In a box of {asked.box} the map has a pixel of {pixel_size_ang:.4g} Å, not {asked_ang:g}; "
            "leave --pixel_size_ang out."
        )
    return ensemble, replace(asked, pixel_size_ang=pixel_size_ang)


def _preset(args: argparse.Namespace, asked: SimulationConfig) -> tuple[Any, SimulationConfig]:
    from ..simulate.presets import PRESETS

    name = args.preset or "adk"
    if name not in PRESETS:
        raise ConfigError(f"There is no preset {name!r}; the presets are {', '.join(PRESETS)}.")
    preset = PRESETS[name]
    pixel_size_ang = round(preset.box_ang / asked.box, 4)
    config = _filled(args, asked, **{"pixel_size_ang": pixel_size_ang, **preset.settings})
    return preset.make(args.states), config


def _filled(args: argparse.Namespace, asked: SimulationConfig, **of_molecule: Any) -> SimulationConfig:
    """The settings asked for, with those of the molecule where they were not given."""
    given = given_options(args)
    return replace(asked, **{name: value for name, value in of_molecule.items() if name not in given})


def _fitting_pixel_size(ensemble, box: int) -> float:
    from ..simulate.simulation import frame_radius_ang

    return round(2 * frame_radius_ang(ensemble.states) / 0.8 / box + 0.005, 2)


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
