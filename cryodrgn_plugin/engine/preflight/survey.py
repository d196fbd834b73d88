"""All checks of a particle set, in order: the file, the images, and, where there are poses, what they explain together.

A fault that keeps a later check from being made leaves that check out; what was found until then is the answer.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..config import DataConfig
from ..data.cache import SpectraCache
from ..data.dataset import ParticleDataset
from ..data.half_sets import drawn_halves
from ..data.source import ParticleSource
from ..errors import DataError
from ..imaging.noise import estimate_noise
from ..io.particles import ParticleTable
from ..io.stacks import StackReader
from ..io.tables import read_table, search_folders
from ..reconstruction.backproject import HalfMaps, half_maps
from ..reconstruction.fsc import resolution
from ..vetting.case import Case, stated_transfer
from ..vetting.evidence import Evidence
from ..vetting.transfer import judge_noise, judge_transfer, noise_follows_ctf, try_transfer, without_ctf
from ..vetting.trials import Tell, Trial
from ..vetting.verdicts import OK, STOP, WARN, Verdict, worst
from .duplicates import check_duplicates
from .images import check_images, look_at_images
from .optics_checks import check_aberrations, check_detector, check_optics, check_sign
from .pixel import FACTORS, PixelScan, judge_pixel_size, scan_pixel_size
from .pose_checks import judge_poses, right_poses, try_poses
from .preflight_options import PreflightOptions
from .view_checks import check_views

SCANNED = 750
"""Images on which CTFs and pixel sizes are tried; there are many of those, and few images tell them apart."""
TRIALS = len(FACTORS) + 18
"""About how many stories are tried, for progress."""
COARSE_ANG = 20.0
"""A resolution of the sample that is worth a warning."""

Progress = Callable[[str, int, int], None]


@dataclass
class Survey:
    """What was found. Lists and maps stay empty where a check could not be made."""

    path: Path
    particles: int = 0
    looked_at: int = 0
    verdicts: list[Verdict] = field(default_factory=list)
    stored_pixel_ang: float = 0.0
    """Pixel size of the images on disk, of most particles."""
    pixel_size_ang: float = 0.0
    """Of the maps, after cropping."""
    rotations: np.ndarray | None = None
    """(n, 3, 3) of the images looked at."""
    noise_share: float | None = None
    """Share of the noise that follows CTF²."""
    given: Evidence | None = None
    """What the file's poses and CTF explain of the images that other stories were tried on."""
    pose_trials: list[Trial] = field(default_factory=list)
    transfer_trials: list[Trial] = field(default_factory=list)
    stated_transfer: str = ""
    ctf_given: Evidence | None = None
    """The same of the fewer images that CTFs and pixel sizes were tried on."""
    scan: PixelScan | None = None
    maps: HalfMaps | None = None

    @property
    def level(self) -> str:
        return worst(self.verdicts)


def survey(path: Path, options: PreflightOptions, progress: Progress) -> Survey:
    """Look at the particles of `path` and judge them. What cannot even be opened is a verdict, too."""
    surveyed = Survey(path)
    try:
        table = read_table(path, options.root, options.passthrough)
        surveyed.particles = table.n
        surveyed.verdicts.append(check_duplicates(table))
        stacks = StackReader(table.image_names, search_folders(path, options.root), str(path))
        dataset = _sample(surveyed, table, stacks, options, progress)
        optics = check_aberrations(dataset), check_detector(table)
        surveyed.verdicts += [*(verdict for verdict in optics if verdict is not None), check_sign(dataset)]
        _check_contents(surveyed, dataset, options, progress)
    except DataError as error:
        surveyed.verdicts.append(Verdict("file", STOP, str(error)))
    return surveyed


def _sample(
    surveyed: Survey, table: ParticleTable, stacks: StackReader, options: PreflightOptions, progress: Progress
) -> ParticleDataset:
    """Images drawn at random that can be used, as a dataset of their own."""
    rng = np.random.default_rng(options.seed)
    rows = np.sort(rng.choice(table.n, min(table.n, options.particles), replace=False))
    surveyed.looked_at = len(rows)
    surveyed.verdicts.append(check_optics(table, stacks))
    facts = look_at_images(stacks, rows, lambda done, total: progress("images", done, total))
    surveyed.verdicts.append(check_images(table, facts))
    if len(facts.usable) < 2:
        raise DataError(f"{table.path}: none of the {len(rows):,} images looked at can be used.")
    usable = replace(table, frame=table.frame.iloc[np.sort(facts.usable)].reset_index(drop=True))
    smallest = int(stacks.box[facts.usable].min())
    config = DataConfig(box=min(options.box, smallest - smallest % 2))
    source = ParticleSource(usable, config, search_folders(table.path, options.root), options.seed)
    surveyed.stored_pixel_ang = float(source.geometry.pixel_sizes_ang[source.geometry.reference])
    surveyed.pixel_size_ang = source.geometry.pixel_size_ang
    cache = SpectraCache(usable.n, source.lattice.size, config.cache_mb)
    dataset = ParticleDataset(source, np.arange(usable.n), cache)
    # The rows of the small table are those of the file that can be used.
    seen = replace(dataset.first_look, rows=np.sort(facts.usable))
    surveyed.verdicts += [Verdict("grey values", WARN, sentence) for sentence in seen.sentences()]
    return dataset.usable()


def _check_contents(surveyed: Survey, dataset: ParticleDataset, options: PreflightOptions, progress: Progress) -> None:
    """What the images show together: CTF, poses, pixel size, a map."""
    noise_verdict = _check_noise(surveyed, dataset, options)
    if not dataset.is_posed:
        sentence = "The particles have no poses: run a 3D refinement, or find them ab initio."
        surveyed.verdicts.append(Verdict("poses", WARN, sentence))
        return
    dataset.require_poses()
    surveyed.rotations = dataset.rotations
    surveyed.verdicts.append(check_views(dataset.rotations))
    halves, noise = drawn_halves(dataset, options.seed), estimate_noise(dataset, options.seed)
    tested = np.random.default_rng(options.seed).permutation(dataset.n)[: options.tested]
    case = Case.of(dataset.subset(tested), noise, halves[tested], options.seed)
    surveyed.given = case.given
    tell = _Counter(progress)
    surveyed.pose_trials = try_poses(case, surveyed.stored_pixel_ang, tell)
    right = right_poses(case, surveyed.pose_trials)
    surveyed.verdicts.append(judge_poses(case, surveyed.pose_trials, right))
    if dataset.ctf_params is not None and noise_verdict is None:
        # What the CTF explains shows best when the poses are right.
        _try_ctf(surveyed, case if right is None else case.told(right.story, right.evidence), tell)
    maps = half_maps(dataset, noise=noise, halves=halves, progress=lambda done, n: progress("maps", done, n))
    surveyed.maps = maps
    surveyed.verdicts.append(_judge_maps(surveyed, dataset))


def _check_noise(surveyed: Survey, dataset: ParticleDataset, options: PreflightOptions) -> Verdict | None:
    """What can be said of the CTF without a map; a verdict only if that settles it."""
    if dataset.ctf_params is None:
        verdict: Verdict | None = without_ctf()
    elif not dataset.has_noise:
        return None
    else:
        some = np.random.default_rng(options.seed).permutation(dataset.n)[: options.tested]
        spectra, ctf = dataset.source.spectra(dataset.rows[some]), dataset.source.ctf(dataset.rows[some])
        surveyed.noise_share = noise_follows_ctf(spectra, ctf, dataset.lattice)
        verdict = judge_noise(surveyed.noise_share, stated_transfer(dataset))
    if verdict is not None:
        surveyed.verdicts.append(verdict)
    return verdict


def _try_ctf(surveyed: Survey, case: Case, tell: Tell) -> None:
    """The transfer function and the pixel size, told apart by which of them explains more when it is changed."""
    few = case.first(SCANNED)
    surveyed.stated_transfer, surveyed.ctf_given = few.stated, few.given
    surveyed.transfer_trials = try_transfer(few, tell)
    surveyed.scan = scan_pixel_size(few, tell)
    of_pixel = judge_pixel_size(surveyed.scan, surveyed.stored_pixel_ang)
    if of_pixel.level != OK and surveyed.scan.gains.max() > max(trial.gain for trial in surveyed.transfer_trials):
        sentence = "The CTF of the file can be judged when the pixel size is right."
        surveyed.verdicts += [Verdict("CTF", WARN, sentence), of_pixel]
        return
    of_transfer = judge_transfer(surveyed.transfer_trials, few.stated, surveyed.noise_share)
    surveyed.verdicts.append(of_transfer)
    if of_transfer.level == OK:
        surveyed.verdicts.append(of_pixel)


def _judge_maps(surveyed: Survey, dataset: ParticleDataset) -> Verdict:
    assert surveyed.maps is not None
    reached = resolution(surveyed.maps.fsc, dataset.pixel_size_ang, dataset.box)
    limit = 2 * dataset.pixel_size_ang
    figures = {"resolution_ang": round(reached, 3), "limit_ang": round(limit, 3), "images": dataset.n}
    reach = "the limit of this box" if reached <= limit else "FSC 0.143"
    sentence = f"Maps of two halves of {dataset.n:,} images agree up to {reached:.3g} Å ({reach})."
    if reached > max(COARSE_ANG, 3 * limit):
        return Verdict("map", WARN, sentence + " That is coarse; more images, or better poses, are needed.", figures)
    return Verdict("map", OK, sentence, figures)


class _Counter:
    """Turns the names of stories into steps of a progress bar."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._done = 0

    def __call__(self, name: str) -> None:
        self._done += 1
        self._progress("trials", self._done, TRIALS)
