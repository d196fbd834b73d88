"""What a search for poses leaves in its run: poses, how sure species are, what images of nothing score, maps and a
model."""

import numpy as np

from ..closed_form.fast_recipe import fit_fast
from ..config import RunConfig
from ..data.dataset import ParticleDataset
from ..run import Run
from .found_maps import fit_species, save_maps
from .membership import memberships
from .search_checkpoint import Progress

HARDLY = 0.5
"""Share of the images no better than nothing from which maps may show nothing."""


def leave_found(run: Run, config: RunConfig, dataset: ParticleDataset, progress: Progress, resume: bool) -> None:
    """Poses and maps into the run, then the latent space where one was asked for."""
    placed = progress.placement
    one = config.ab_initio.species == 1
    belongs = np.ones((dataset.n, 1)) if one else memberships(placed, progress.maps.populations)
    species = {} if one else {"species": placed.species, "probability": belongs.max(1)}
    _say_how_much_is_nothing(run, progress)
    run.save_poses(dataset.rows, placed.rotations, placed.shifts_ang, score=placed.score, **species)
    posed = dataset.with_poses(placed.rotations, placed.shifts_ang)
    if config.z_dim:
        posed = fit_fast(run, config, posed, resume, epochs_before=progress.done, species=species)
    maps = save_maps(run, posed, placed.species, progress.maps.n_species, config.seed)
    if not config.z_dim:
        fit_species(run, config, posed, maps, belongs)


def _say_how_much_is_nothing(run: Run, progress: Progress) -> None:
    """A note, and a line of the log where there are many such images (`nothing.how_much_is_nothing`)."""
    nothing, share = progress.score_of_nothing, progress.share_of_nothing
    if not np.isfinite(nothing):
        return
    run.note(score_of_nothing=round(nothing, 3), share_of_nothing=round(share, 4))
    if share >= HARDLY:
        run.log(
            f"Of images that were set aside, maps explain {share:.0%} no better than they explain noise: there may be "
            "no molecule in them, or it is too faint to be found without poses."
        )
