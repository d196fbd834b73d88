"""Particle images of an ensemble, with everything that was planted: a RELION project's files and the truth beside them.

    image = contrast · CTF · (shifted projection of the state) + noise

with, where they are asked for, junk in place of particles, neighbours, and gradients of brightness (`surroundings`).

`simulate_particles` writes `particles.star` (RELION 3.1 optics), `particles.mrcs`, `truth.npz` and
`maps/state_000.mrc`, …. Images go to disk in blocks, so memory does not grow with their number. Two passes are made:
the first renders the signal state by state and measures the variance of the particles; the second adds the noise in the
order of the star file. The grey scale is chosen so that the noise has standard deviation 1 (without noise: the signal
has), and the maps are on that scale: projecting one (sum over z), moving it and multiplying by the CTF gives the signal
of an image. For states given as maps that holds to 1e-5. Images of atomic models come from the atoms themselves; a map,
band-limited and cut to its box, gives them back with a correlation above 0.999 (1 to 3 % of their root mean square).
What the star file says may be wrong (`star_errors`); truth.npz has what is true, and by how much the file is wrong.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..atoms.atomic_model import AtomicModel
from ..errors import ConfigError
from ..io.mrc import StackWriter, write_map
from ..io.writing import explained
from .acquisition import draw_acquisition
from .config import SimulationConfig
from .ensemble import Ensemble, equal_parts
from .noise_colour import ColouredNoise
from .projectors import AtomProjector, MapProjector, Projector
from .records import write_star_file, write_truth
from .rendering import Rendering, blocks
from .scratch import ScratchImages
from .star_errors import drawn_errors
from .streams import Streams
from .surroundings import drawn_surroundings

Progress = Callable[[int, int], None]


def simulate_particles(
    states: Ensemble | Sequence[AtomicModel | np.ndarray],
    config: SimulationConfig,
    out_dir: str | Path,
    seed: int = 0,
    progress: Progress | None = None,
) -> Path:
    """Write a data set of particles with planted truth.

    Parameters
    ----------
    states : an ensemble, or a list of atomic models or of (box, box, box) maps, which are then equally populated.
    config : the settings.
    out_dir : folder for the files; made when absent.
    seed : the same seed gives the same files.
    progress : called as progress(images done, images in all) after each block; both passes count.

    Returns
    -------
    Path of the star file.

    Raises
    ------
    ConfigError : a map's box is not the configuration's, or the molecule does not fit the box.
    DataError : the CTF table or the noise spectrum cannot be used, or the disk is full.
    """
    ensemble = states if isinstance(states, Ensemble) else equal_parts(states)
    streams = Streams.of(seed)
    make_projector, noise = _projector_maker(ensemble, config), ColouredNoise(config)
    acquisition = draw_acquisition(ensemble.populations, config, streams)
    surroundings = drawn_surroundings(acquisition, config, streams.surroundings)
    acquisition = replace(acquisition, shifts_ang=acquisition.shifts_ang + surroundings.away_ang)
    errors = drawn_errors(acquisition, surroundings.away_ang, config, streams.errors)
    report = _Steps(2 * len(acquisition), progress)
    rendering = Rendering(acquisition, surroundings, make_projector, config, report)

    def background(rows: np.ndarray) -> np.ndarray:
        images = noise(len(rows), streams.noise) if config.noisy else np.zeros((len(rows), 1, 1), dtype=np.float32)
        if config.gradient_sd:
            images = images + surroundings.gradients(rows, config.box)
        return acquisition.noise_scale[rows, None, None] * images

    out_dir = Path(out_dir)
    _clear(out_dir)
    with ScratchImages(out_dir / ".clean.scratch", config.box, len(acquisition)) as clean:
        signal_variance = rendering.particles(clean)
        gain = _gain(signal_variance, config)
        rendering.others(clean, signal_variance, 1 / gain, streams.surroundings)
        _write_stacks(clean, gain, background, config, out_dir, report)
    for state in range(len(ensemble.states)):
        volume = gain * make_projector(state).volume()
        write_map(out_dir / "maps" / f"state_{state:03d}.mrc", volume, config.pixel_size_ang)
    write_truth(out_dir / "truth.npz", acquisition, errors, surroundings, ensemble, config, seed)
    return write_star_file(out_dir / "particles.star", errors.told(acquisition), config)


def _clear(out_dir: Path) -> None:
    """Make the folder, without an earlier set's star file and maps: where there is a star file, the set is complete."""
    with explained(out_dir):
        out_dir.mkdir(parents=True, exist_ok=True)
        (out_dir / "particles.star").unlink(missing_ok=True)
        for old in (out_dir / "maps").glob("state_*.mrc"):
            old.unlink()


def _projector_maker(ensemble: Ensemble, config: SimulationConfig) -> Callable[[int], Projector]:
    """A function that readies one state at a time, since all of them at once may not fit in memory."""
    if not ensemble.atomic:
        for volume in ensemble.states:
            if volume.shape != (config.box,) * 3:
                raise ConfigError(
                    f"A state's map has the shape {volume.shape}, but the box of the images is {config.box}."
                )
        return lambda state: MapProjector(ensemble.states[state])
    centre_ang = frame_centre_ang(ensemble.states)
    diameter_ang = 2 * frame_radius_ang(ensemble.states)
    box_ang = config.box * config.pixel_size_ang
    if diameter_ang > 0.95 * box_ang:
        raise ConfigError(
            f"The molecule is {diameter_ang:.0f} Å across and the box {box_ang:.0f} Å; choose a larger box or pixel "
            f"(a pixel of {diameter_ang / 0.8 / config.box:.2f} Å leaves a margin of a fifth)."
        )
    return lambda state: AtomProjector(
        ensemble.states[state], config.box, config.pixel_size_ang, config.model_resolution_ang, centre_ang
    )


def frame_centre_ang(models: Sequence[AtomicModel]) -> np.ndarray:
    """(3,) middle of the smallest upright cuboid around all states: the point that is put at the centre of the box."""
    low = np.min([model.coords_ang.min(axis=0) for model in models], axis=0)
    high = np.max([model.coords_ang.max(axis=0) for model in models], axis=0)
    return (low + high) / 2


def frame_radius_ang(models: Sequence[AtomicModel]) -> float:
    """Distance of the farthest atom of any state from `frame_centre_ang`."""
    centre = frame_centre_ang(models)
    return float(max(np.linalg.norm(model.coords_ang - centre, axis=1).max() for model in models))


def _gain(signal_variance: float, config: SimulationConfig) -> float:
    """Factor that brings the noise to standard deviation 1, or without noise the signal."""
    if not signal_variance > 0:
        raise ConfigError("The images are empty: the states have no density.")
    return float(np.sqrt((config.snr if config.noisy else 1.0) / signal_variance))


def _write_stacks(
    clean: ScratchImages,
    gain: float,
    background: Callable[[np.ndarray], np.ndarray],
    config: SimulationConfig,
    out_dir: Path,
    report: "_Steps",
) -> None:
    """Write the stack, the signal with what `background` says is on the images of some rows, and the signal alone."""
    names = ["particles.mrcs", "clean.mrcs"] if config.keep_clean else ["particles.mrcs"]
    with ExitStack() as stack:
        writers = [
            stack.enter_context(StackWriter(out_dir / name, config.box, config.pixel_size_ang, float16=config.float16))
            for name in names
        ]
        for rows in blocks(np.arange(clean.count)):
            signal = gain * clean.read(rows[0], len(rows))
            for writer, block in zip(writers, (signal + background(rows), signal), strict=False):
                writer.append(block)
            report(len(rows))


class _Steps:
    """Counts finished images and tells the caller."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.done, self.total, self.progress = 0, total, progress

    def __call__(self, count: int) -> None:
        self.done += count
        if self.progress is not None:
            self.progress(self.done, self.total)
