"""`atoms`: an atomic model in the maps of a run; docs/run_folder.md explains what comes out."""

from pathlib import Path
from typing import Any

import numpy as np

from ..analysis.entries import make_series, series_entry
from ..analysis.metric import LatentMetric
from ..analysis.run_particles import require_images
from ..analysis.series import Series
from ..analysis.volumes import TrainedDecoder, decoder_of
from ..atoms.model_reading import read_model
from ..atoms.model_writing import write_models
from ..errors import ConfigError, DataError
from ..geometry.hand import mirrored_map
from ..latents import Latents
from ..report_writer import Report
from ..result_kinds import PLACE_SERIES
from ..run import Run
from .atoms_options import AtomsOptions
from .chimerax_scene import scene_script
from .model_in_run import ModelInRun, laid_into
from .node_maps import node_maps
from .part_frames import PartFrames
from .part_table import (
    ParticleParts,
    along_entry,
    never_sentences,
    part_entries,
    part_sentences,
    particle_parts,
    state_entries,
)

USUAL_MAPS = 16
TRAJECTORY, MODELS = "trajectory.cif", "models"


def fit_atoms(run: Run, options: AtomsOptions, decoder: TrainedDecoder | None = None) -> Path:
    """Lay a model into the maps of a finished run; returns the path of the index.

    Raises
    ------
    ConfigError : no model is named.
    DataError : the model cannot be read, the run has no latent space, or images that are needed are not there.
    """
    if not options.model:
        raise ConfigError("model is empty; give the file of an atomic model, PDB or mmCIF, as --model model.cif.")
    model, latents = read_model(options.model), run.latents()
    if not latents.z.shape[1]:
        raise DataError(f"{run.path} has one map and no latent space, so there is no motion to follow.")
    if options.corrected or options.bias:
        _require_images(run)
    decoder = decoder or decoder_of(run)
    metric = LatentMetric(decoder, latents.z)
    maps = node_maps(decoder, latents, metric, options.maps, USUAL_MAPS, options.seed)
    found = laid_into(
        model, maps, decoder.pixel_size_ang, most_parts=options.most_parts, seed=options.seed, progress=run.progress
    )
    with run.report("atoms", options) as out:
        _write_maps(out, found, decoder, run)
        _write_model(out, found)
        _describe(out, found)
        frames = PartFrames.of(found.motion, metric.positions)
        if options.corrected and found.maps.halves is None:
            out.index["sentences"].append(
                "The map with the motion undone is left out: the run has no half-maps to find each half's motion in."
            )
        elif options.corrected:
            from .corrected_report import add_corrected_map

            frames = add_corrected_map(out, run, found, latents, metric.positions, options.seed)
        particles, states = _parts(found, frames)
        _describe_parts(out, found, particles, states, latents)
        if options.bias:
            from .bias_report import add_bias_check

            add_bias_check(out, run, found, latents, decoder, options.seed)
        else:
            out.index["sentences"] += never_sentences(out.index["parts"])
        out.text("chimerax", "atoms.cxc", scene_script(found, out.index))
        if options.figures:
            _draw(out, found, particles)
        for sentence in out.index["sentences"]:
            out.say(sentence)
        out.conclusion = f"The model in {len(maps.z)} maps and its parts are in {out.destination}."
    return out.index_file


def _require_images(run: Run) -> None:
    try:
        require_images(run)
    except DataError as error:
        raise DataError(f"{error} Without images, give --corrected no --bias no.") from None


def _write_model(out: Report, found: ModelInRun) -> None:
    """The model at each map, in the frame of the maps, all in one file and one by one; B-factors are from the
    mobility."""
    offset_ang = found.maps.volumes.shape[-1] // 2 * found.pixel_size_ang
    spread = found.mobility_ang()[found.beads.bead_of_atom]
    places = found.atoms_at(found.maps.points) + offset_ang
    write_models(out.file("trajectory", TRAJECTORY), found.model, places, spread)
    for entry, one in zip(out.index["series"][0]["maps"], places, strict=True):
        file = out.folder / MODELS / f"{Path(entry['file']).stem}.cif"
        write_models(file, found.model, one[None], spread)
        entry["model"] = out.relative(file)


def _write_maps(out: Report, found: ModelInRun, decoder: TrainedDecoder, run: Run) -> None:
    """The run's maps at the same places, of the model's hand."""
    count = len(found.maps.z)
    labels = tuple(f"model {number}" for number in range(1, count + 1))
    series = Series(PLACE_SERIES, "at the models", found.maps.z, labels, np.arange(1.0, count + 1), None)
    maker = OtherHand(decoder) if found.fit.mirrored else decoder
    made_series = make_series(maker, series, out, run.progress, half_maps=found.maps.halves is not None)
    out.index["series"] = [series_entry(made_series, out)]


def _describe(out: Report, found: ModelInRun) -> None:
    fit = found.fit
    out.index |= {
        "box": found.maps.volumes.shape[-1],
        "pixel_size_ang": found.pixel_size_ang,
        "beads": found.beads.described(),
        "fit": {
            "fits": fit.fits,
            "correlation": round(fit.correlation, 4),
            "other_hand": round(fit.other_hand, 4),
            "mirrored": fit.mirrored,
            "decoys": [round(float(fit.decoys.mean()), 4), round(float(fit.decoys.std()), 4)],
            "stands_out": round(fit.stands_out, 2),
            "rotation": np.round(fit.rotation, 6).tolist(),
            "shift_ang": np.round(fit.shift_ang, 3).tolist(),
            "size": round(fit.size, 4),
            "beyond": round(found.beyond, 4),
        },
        "reference": found.reference + 1,
        "part_numbers": _numbers_tried(found),
        "sentences": found.fit_sentences(),
    }


def _parts(found: ModelInRun, frames: PartFrames) -> tuple[ParticleParts, ParticleParts]:
    """The parts in the particles and at the maps. Turns are about the axis of most turning, and that must be one."""
    n, at_maps = len(frames), PartFrames.of(found.motion, found.maps.points)
    parts = particle_parts(found, PartFrames.joined([frames, at_maps], [np.arange(n), n + np.arange(len(at_maps))]))
    return parts[:n], parts[n:]


def _describe_parts(
    out: Report, found: ModelInRun, particles: ParticleParts, states: ParticleParts, latents: Latents
) -> None:
    entries, said = part_entries(found, particles), out.index["sentences"]
    fitted = len(found.fit_sentences())
    out.index |= {"particles": len(latents.z), "parts": entries}
    out.index |= {"states": state_entries(found, states), "along": along_entry(found)}
    out.index["sentences"] = [*said[:fitted], *part_sentences(entries), *said[fitted:]]
    out.arrays(
        rows=latents.rows,
        turns_deg=particles.turns_deg.astype(np.float32),
        moves_ang=particles.moves_ang.astype(np.float32),
        occupancy=particles.occupancy.astype(np.float32),
    )


def _numbers_tried(found: ModelInRun) -> list[dict[str, Any]]:
    if found.number is None:
        return []
    return [
        {"parts": int(labels.max()) + 1, "gain": round(float(gain), 2), "error": round(float(error), 2)}
        for labels, gain, error in zip(found.candidates, found.number.gain, found.number.error, strict=True)
    ]


def _draw(out: Report, found: ModelInRun, particles: ParticleParts) -> None:
    from .atoms_figures import mobility_figure, number_figure, parts_figure

    mobility_figure(out.figure("mobility"), found)
    parts_figure(out.figure("parts"), found, particles)
    if found.number is not None:
        number_figure(out.figure("part_numbers"), found)


class OtherHand:
    """A decoder whose maps are mirrored."""

    def __init__(self, decoder: TrainedDecoder) -> None:
        self._decoder, self.box, self.pixel_size_ang = decoder, decoder.box, decoder.pixel_size_ang

    def volume(self, z: np.ndarray) -> np.ndarray:
        """Map (D, D, D) at z (Z,)."""
        return mirrored_map(self._decoder.volume(z))

    def half_volumes(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """The two half-maps at z, or None."""
        halves = self._decoder.half_volumes(z)
        return None if halves is None else (mirrored_map(halves[0]), mirrored_map(halves[1]))
