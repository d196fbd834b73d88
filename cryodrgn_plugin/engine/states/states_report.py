"""`states`: maps of states with half-maps and all that can be said of them, in RUN/states, named by states.json.

The folder is made beside the old one and takes its place when it is complete. docs/run_folder.md describes its files.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ..analysis.nearby import NearbyParticles, can_be_measured
from ..analysis.series import Series
from ..analysis.volumes import TrainedDecoder, moving_region
from ..io.mrc import write_map
from ..io.writing import write_text
from ..landscape.region import mask_from_file
from ..reconstruction.expectation import Halves
from ..run import Latents, Run
from .choice import chosen_states
from .judging import Judgement, judge
from .made import MadeState, written
from .making import DecoderStates, Maker, RegressionStates
from .state_options import StatesOptions
from .states_index import TITLES, states_index, write_chimerax

INDEX = "states.json"
MOVING_MASK = "moving_mask.mrc"


@dataclass(frozen=True)
class _Way:
    """One way to make maps: the decoder's or by regression."""

    prefix: str
    """Of its files."""
    maps_at: Maker
    reference_at: Callable[[np.ndarray], Halves] | None
    """Prior-free half-maps of the same half-sets, where the FSC with the truth can be measured."""


def make_states(run: Run, options: StatesOptions | None = None, decoder: TrainedDecoder | None = None) -> Path:
    """Make the maps of states of a finished run into RUN/states; returns the path of states.json.

    `decoder` is what the run's model.pt holds unless given.

    Raises
    ------
    DataError : the run has no latent space, a state that is asked for is not there, a mask does not fit, or there are
        too few particles for a regression.
    """
    options = options or StatesOptions()
    latents = run.latents()
    series = chosen_states(latents, options, str(run.path))
    decoder = decoder or _restore(run)
    mask = mask_from_file(options.mask, decoder.box) if options.mask else None
    with run.replacing_folder(run.states_dir) as folder:
        moving = _moving_region(decoder, series, folder)
        nearby = _nearby(run, latents, decoder, series, options)
        in_common = {"pixel_size_ang": decoder.pixel_size_ang, "mask": mask, "moving_region": moving}
        judged = partial(judge, options=options, **in_common)
        made = {}
        for name, way in _ways(decoder, latents, nearby, options).items():
            made[name] = _make_all(run, folder, way, series, judged, decoder.pixel_size_ang)
        index = states_index(made, series, folder, options, latents, nearby and nearby.bandwidths)
        index |= {"box": decoder.box, "pixel_size_ang": decoder.pixel_size_ang, "files": write_chimerax(made, folder)}
        if moving is not None:
            index["files"]["moving_mask"] = MOVING_MASK
        if options.figures:
            from .state_figures import draw_all

            index["figures"] = draw_all(made, series, folder / "figures", decoder.pixel_size_ang)
        write_text(folder / INDEX, json.dumps(index, indent=2) + "\n")
    _log_findings(run, made)
    return run.states_dir / INDEX


def _moving_region(decoder: TrainedDecoder, series: Series, folder: Path) -> np.ndarray | None:
    moving = moving_region(decoder, series.z) if len(series.z) > 1 else None
    if moving is not None:
        write_map(folder / MOVING_MASK, moving, decoder.pixel_size_ang)
    return moving


def _nearby(
    run: Run, latents: Latents, decoder: TrainedDecoder, series: Series, options: StatesOptions
) -> NearbyParticles | None:
    """The particles' images, where maps are made or measured by them."""
    if options.method == "decoder" and not (options.bias and can_be_measured(latents, decoder)):
        return None
    return NearbyParticles(run, latents, decoder, series.z, options.seed)


def _ways(
    decoder: TrainedDecoder, latents: Latents, nearby: NearbyParticles | None, options: StatesOptions
) -> dict[str, _Way]:
    """The ways that were asked for, by the name of their series; the first one's files are state_001 and on."""
    ways = {}
    reference = nearby.reference if nearby is not None and options.bias else None
    if options.method != "regression":
        own_halves = latents.half is not None
        ways["states"] = _Way("state", DecoderStates(decoder, latents.z).at, reference if own_halves else None)
    if nearby is not None and options.method != "decoder":
        ways["regression" if ways else "states"] = _Way(
            "regression" if ways else "state", RegressionStates(nearby, options.neighbors).at, reference
        )
    return ways


def _make_all(
    run: Run, folder: Path, way: _Way, series: Series, judged: Callable[..., Judgement], pixel_size_ang: float
) -> list[MadeState]:
    """The maps of all states, written and judged."""
    made = []
    for number, z in enumerate(series.z, start=1):
        maps = way.maps_at(z)
        reference = way.reference_at(z) if way.reference_at and maps.halves is not None else None
        found = judged(maps, reference=reference)
        made.append(written(folder / f"{way.prefix}_{number:03d}.mrc", z, maps, found, pixel_size_ang))
        run.progress(f"maps {way.prefix}", number, len(series.z))
    return made


def _restore(run: Run) -> TrainedDecoder:
    from ..decoders.restore import load_decoder

    return load_decoder(run)


def _log_findings(run: Run, made: dict[str, list[MadeState]]) -> None:
    for name, states in made.items():
        reached = [one.resolution_ang for one in states if one.resolution_ang is not None]
        if not reached:
            elsewhere = "" if "regression" in made else "; --method regression has them"
            run.log(f"{len(states)} maps {TITLES[name]}, without half-maps{elsewhere}.")
            continue
        moving = [one.moving_resolution_ang for one in states if one.moving_resolution_ang is not None]
        limits = f"{_range(reached)}{f', at {_range(moving)} where they move' if moving else ''}"
        run.log(f"{len(states)} maps {TITLES[name]}; an FSC of 0.5 with the truth is expected at {limits}.")
        if states[0].map.expected is None:
            run.log("These resolutions trust half-maps, which share their latents and prior: they are too good.")
    if all(name in made and made[name][0].map.expected is not None for name in TITLES):
        decoder, regression = (np.mean([one.map.expected.fsc[1:-1].mean() for one in made[name]]) for name in TITLES)
        nearer = "the regression's" if regression > decoder else "the decoder's"
        figures = f"mean FSC {max(decoder, regression):.3f} against {min(decoder, regression):.3f}"
        run.log(f"Nearer to the truth are expected to be {nearer} maps: {figures}.")
    run.log(f"The states are in {run.states_dir}.")


def _range(limits_ang: list[float]) -> str:
    return f"{min(limits_ang):#.3g} to {max(limits_ang):#.3g} Å"
