"""`states`: maps of states with half-maps and all that can be said of them; docs/run_folder.md explains the files."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ..analysis.cautions import cautions as cautions_of
from ..analysis.nearby import NearbyParticles, can_be_measured
from ..analysis.run_particles import require_images, views_of
from ..analysis.series import Series
from ..analysis.volumes import TrainedDecoder, decoder_of, mean_map, moving_region
from ..errors import DataError
from ..latents import Latents
from ..reconstruction.expectation import Halves
from ..reconstruction.mask_file import mask_from_file
from ..reconstruction.unseen_difference import unseen_from
from ..report_writer import Report
from ..result_kinds import REGRESSION_SERIES, STATE_SERIES
from ..run import Run
from .choice import about_choice, about_number, chosen_states
from .judging import Judgement, judge
from .made import MadeState, written
from .making import DecoderStates, Maker, RegressionStates
from .state_options import StatesOptions
from .states_index import TITLES, states_entries, write_script
from .view_cautions import directions_of_states, view_cautions

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
    """Make the maps of states of a finished run; returns the path of their index.

    `decoder` is what the run's model.pt holds unless given.

    Raises
    ------
    DataError : the run has no latent space, a state that is asked for is not there, a mask does not fit, or there are
        too few particles for a regression.
    """
    options = options or StatesOptions()
    latents = run.latents()
    series = chosen_states(latents, options, str(run.path))
    decoder = decoder or decoder_of(run)
    mask = mask_from_file(options.mask, decoder.box) if options.mask else None
    if _needs_images(latents, decoder, options):
        _require_images(run)
    with run.report("states", options) as out:
        moving = moving_region(decoder, series.z) if len(series.z) > 1 else None
        nearby = _nearby(run, latents, decoder, series, options)
        in_common = {"pixel_size_ang": decoder.pixel_size_ang, "mask": mask, "moving_region": moving}
        views = views_of(run)
        judged = partial(judge, options=options, views=views, **in_common)
        unseen = partial(unseen_from, mean_map(decoder, series.z), views) if views is not None else None
        states_by_way = {}
        for name, way in _ways(decoder, latents, nearby, options).items():
            states_by_way[name] = _make_all(run, out, way, series, judged, unseen, decoder.pixel_size_ang)
        out.index |= states_entries(states_by_way, series, out, latents, nearby and nearby.bandwidths)
        cautions = [*cautions_of(latents, run.config, ()), *view_cautions(states_by_way, series.labels)]
        chosen = about_choice(latents, options, len(series.z))
        cautions += about_number(chosen, len(series.z), options)
        out.index |= {**chosen, "box": decoder.box, "pixel_size_ang": decoder.pixel_size_ang, "cautions": cautions}
        write_script(states_by_way, out)
        if moving is not None:
            out.map("moving_mask", MOVING_MASK, moving, decoder.pixel_size_ang)
        if options.figures:
            from .state_figures import draw_all

            draw_all(states_by_way, series, out, decoder.pixel_size_ang)
        because = [chosen["grouped_because"]] if chosen else []
        for sentence in (*because, *_findings(states_by_way), *cautions):
            out.say(sentence)
        out.conclusion = f"The states are in {out.destination}."
    return out.index_file


def _needs_images(latents: Latents, decoder: TrainedDecoder, options: StatesOptions) -> bool:
    return options.method != "decoder" or (options.bias and can_be_measured(latents, decoder))


def _require_images(run: Run) -> None:
    try:
        require_images(run)
    except DataError as error:
        raise DataError(f"{error} Without images, give --method decoder --bias no.") from None


def _nearby(
    run: Run, latents: Latents, decoder: TrainedDecoder, series: Series, options: StatesOptions
) -> NearbyParticles | None:
    """The particles' images, where maps are made or measured by them."""
    if not _needs_images(latents, decoder, options):
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
        ways[STATE_SERIES] = _Way("state", DecoderStates(decoder, latents.z).at, reference if own_halves else None)
    if nearby is not None and options.method != "decoder":
        ways[REGRESSION_SERIES if ways else STATE_SERIES] = _Way(
            "regression" if ways else "state", RegressionStates(nearby, options.neighbors).at, reference
        )
    return ways


def _make_all(
    run: Run,
    out: Report,
    way: _Way,
    series: Series,
    judged: Callable[..., Judgement],
    unseen: Callable[[np.ndarray], float] | None,
    pixel_size_ang: float,
) -> list[MadeState]:
    """The maps of all states, written and judged."""
    states = []
    for number, z in enumerate(series.z, start=1):
        maps = way.maps_at(z)
        reference = way.reference_at(z) if way.reference_at and maps.halves is not None else None
        judgement = judged(maps, reference=reference)
        file = out.folder / f"{way.prefix}_{number:03d}.mrc"
        states.append(
            written(file, z, maps, judgement, pixel_size_ang, None if unseen is None else unseen(maps.volume))
        )
        run.progress(f"maps {way.prefix}", number, len(series.z))
    return states


def _findings(states_by_way: dict[str, list[MadeState]]) -> Iterator[str]:
    """Sentences for the log."""
    for name, states in states_by_way.items():
        reached = [state.resolution_ang for state in states if state.resolution_ang is not None]
        if not reached:
            elsewhere = "" if REGRESSION_SERIES in states_by_way else "; --method regression has them"
            yield f"{len(states)} maps {TITLES[name]}, without half-maps{elsewhere}."
            continue
        moving = [state.moving_resolution_ang for state in states if state.moving_resolution_ang is not None]
        limits = f"{_range(reached)}{f', at {_range(moving)} where they move' if moving else ''}"
        yield f"{len(states)} maps {TITLES[name]}; an FSC of 0.5 with the truth is expected at {limits}."
        if (directions := directions_of_states(states)) is not None:
            yield f"By direction {directions.sentence}."
        if states[0].map.expected is None:
            yield "These resolutions trust half-maps, which share their latents and prior: they are too good."
    if all(name in states_by_way and states_by_way[name][0].map.expected is not None for name in TITLES):
        decoder, regression = (
            np.mean([state.map.expected.fsc[1:-1].mean() for state in states_by_way[name]]) for name in TITLES
        )
        nearer = "the regression's" if regression > decoder else "the decoder's"
        figures = f"mean FSC {max(decoder, regression):.3f} against {min(decoder, regression):.3f}"
        yield f"Nearer to the truth are expected to be {nearer} maps: {figures}."


def _range(limits_ang: list[float]) -> str:
    ends = dict.fromkeys(f"{limit:#.3g}" for limit in (min(limits_ang), max(limits_ang)))
    return f"{' to '.join(ends)} Å"
