"""Which training a recipe is, and which decoders it can make. The one entry of the command line and the hosts into
training.

A recipe's defaults are in `config/recipe_defaults.py`, which imports nothing heavy; here is the rest of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .atoms.model_source import settle_model
from .collapse import advice, has_collapsed, reliability
from .compiled_kernels import told_when_compiling
from .config import RunConfig, finds_poses, machine_memory_mb, memory_needs
from .data.dataset import ParticleDataset
from .decoders.decoder_registry import has_closed_form, linear_decoder
from .errors import DataError
from .io.writing import remove
from .known_copies import save_copies
from .ranks import Ranks
from .run import Run
from .run_status import ENDED_EARLY
from .source_check import require_source, settle_source
from .stopping import EndedEarly
from .vetting.at_start import vetted
from .vetting.kept_images import keep_images


@dataclass(frozen=True)
class Training:
    """One way to a model."""

    fit: Callable[[Run, RunConfig, ParticleDataset, bool, int | None], None]
    """Trains, with whether to resume and the epoch to pause after, which closed forms do not know."""
    closed_form: bool
    """Whether its maps come in closed form, which makes linear decoders only; descent by gradient makes any."""
    reads_often: bool = True
    """Whether it passes over the images more than a few times."""
    leave_latest: Callable[[Run, RunConfig, ParticleDataset], None] | None = None
    """Leaves latents and model as its last checkpoint has them, where that has any."""


def fit(run: Run, config: RunConfig, resume: bool = False, until_epoch: int | None = None) -> None:
    """Open the particles of `config` and train by its recipe; results go to the run folder.

    `until_epoch` pauses a training by epochs after that one, with `Stopped`; closed forms have none, which is said.

    Raises ConfigError, before anything is read, for a decoder that the recipe cannot make.
    """
    with told_when_compiling(run.log):
        _fit(run, config, resume, until_epoch)


def _fit(run: Run, config: RunConfig, resume: bool, until_epoch: int | None) -> None:
    training = TRAININGS[config.recipe](config)
    if training.closed_form:
        linear_decoder(config)
        if until_epoch is not None:
            run.log(f"The recipe {config.recipe} has no epochs to pause after; --until-epoch {until_epoch} is ignored.")
    config = settle_model(run, config, resume)
    stored = partial(keep_images, run, often=training.reads_often)
    particles = vetted(config, poses_given=not finds_poses(config.recipe), stored=stored)
    dataset = particles.dataset
    settle_source(run, dataset.table, dataset.source.stacks, resume, poses=not finds_poses(config.recipe))
    for sentence in particles.sentences:
        run.log(sentence)
    run.note(**particles.notes)
    if dataset.copies.any:
        save_copies(run, dataset.rows, dataset.copies.shown)
    _say_what_memory_it_takes(run, config, dataset)
    if run.ended_early:
        run.note(**{ENDED_EARLY: ""})
    try:
        training.fit(run, config, dataset, resume, until_epoch)
    except EndedEarly:
        if training.leave_latest is None:
            raise
        ended_early = True
    else:
        ended_early = False
    if ended_early:  # only here, where what the training held in memory is gone
        _end_early(training, run, config, dataset)
    Ranks.present().any(False)  # all have read what they wanted
    remove(run.image_store_dir)
    _say_whether_it_collapsed(run)


def _end_early(training: Training, run: Run, config: RunConfig, dataset: ParticleDataset) -> None:
    """Leave what there is as if the training had ended; raises `EndedEarly`, which says so."""
    assert training.leave_latest is not None
    training.leave_latest(run, config, dataset)
    when = run.latents().unfinished
    run.note(**{ENDED_EARLY: when})
    _say_whether_it_collapsed(run)
    raise EndedEarly(
        f"The training was ended early, {when}, and its latents and maps are those of then; resume it to go on."
    )


def look_in(run: Run) -> None:
    """Make the latents and the model of a run that has not finished those of its last checkpoint, so that it can be
    looked at; a run that has finished, or has no checkpoint, is left as it is.

    Raises DataError for a closed form that has not finished and has no latents yet, or has them at its end only.
    """
    checkpoint = run.latest_checkpoint()
    if checkpoint is None or not _is_behind(run, checkpoint):
        return
    leave_latest = TRAININGS[run.config.recipe](run.config).leave_latest
    if leave_latest is None:
        raise DataError(
            f"{run.path} has not finished: it is {run.status} after step {checkpoint.stem[6:].lstrip('0')}, and the "
            f"recipe {run.config.recipe} has latents and maps at its end only; let it finish, or resume it."
        )
    dataset = ParticleDataset.open(run.given_file, run.data_settings, run.config.root, run.config.seed).usable()
    require_source(run, dataset.table)
    leave_latest(run, settle_model(run, run.config, resumes=True), dataset)


def _is_behind(run: Run, checkpoint: Path) -> bool:
    """Whether the run's latents are not those of its last checkpoint; a finished training has left its own."""
    if not run.latents_file.exists():
        return True
    if run.status == "finished":
        latents = run.latents()
        done, wanted = latents.epochs or latents.steps or (0, 0)
        return done < wanted
    return checkpoint.stat().st_mtime > run.latents_file.stat().st_mtime


def _say_what_memory_it_takes(run: Run, config: RunConfig, dataset: ParticleDataset) -> None:
    """A note and a line of the log, and another where the machine has hardly as much."""
    machine_mb = machine_memory_mb()
    needs = memory_needs(config, dataset.table.n, dataset.box, machine_mb)
    if needs is None:
        return
    run.note(memory_needed_mb=round(needs.total))
    for sentence in filter(None, (needs.sentence(), needs.warning(machine_mb))):
        run.log(sentence)


def _say_whether_it_collapsed(run: Run) -> None:
    """A note and, where all particles lie at one point, the last line of the log."""
    latents = run.latents()
    if not latents.z.shape[1]:
        return
    run.note(reliability=round(reliability(latents), 4), collapsed=has_collapsed(latents))
    if sentence := advice(latents, run.config):
        run.log(sentence)


def _fast(run: Run, config: RunConfig, dataset: ParticleDataset, resume: bool, until_epoch: int | None) -> None:
    from .closed_form.fast_recipe import fit_fast

    fit_fast(run, config, dataset, resume)


def _homogeneous(run: Run, config: RunConfig, dataset: ParticleDataset, resume: bool, until_epoch: int | None) -> None:
    from .closed_form.homogeneous_recipe import fit_homogeneous

    fit_homogeneous(run, config, dataset)


def _ab_initio(run: Run, config: RunConfig, dataset: ParticleDataset, resume: bool, until_epoch: int | None) -> None:
    from .ab_initio.ab_initio_recipe import fit_ab_initio

    fit_ab_initio(run, config, dataset, resume)


def _amortized(run: Run, config: RunConfig, dataset: ParticleDataset, resume: bool, until_epoch: int | None) -> None:
    from .networks.amortized_recipe import fit_amortized

    fit_amortized(run, config, dataset.through_squared_ctf(), resume, until_epoch)


def _look_into_fast(run: Run, config: RunConfig, dataset: ParticleDataset) -> None:
    from .closed_form.fast_unfinished import leave_latest_fast

    leave_latest_fast(run, config, dataset)


def _look_into_network(run: Run, config: RunConfig, dataset: ParticleDataset) -> None:
    from .networks.unfinished import leave_latest

    leave_latest(run, config, dataset.through_squared_ctf())


def _look_into_amortized(run: Run, config: RunConfig, dataset: ParticleDataset) -> None:
    from .networks.unfinished import leave_latest_amortized

    leave_latest_amortized(run, config, dataset.through_squared_ctf())


def _network(run: Run, config: RunConfig, dataset: ParticleDataset, resume: bool, until_epoch: int | None) -> None:
    from .networks.vae_recipe import fit_vae

    fit_vae(run, config, dataset.through_squared_ctf(), resume, until_epoch)


FAST = Training(_fast, closed_form=True, leave_latest=_look_into_fast)
HOMOGENEOUS = Training(_homogeneous, closed_form=True, reads_often=False)
AB_INITIO = Training(_ab_initio, closed_form=True)
AMORTIZED = Training(_amortized, closed_form=False, leave_latest=_look_into_amortized)
NETWORK = Training(_network, closed_form=False, leave_latest=_look_into_network)

TRAININGS: dict[str, Callable[[RunConfig], Training]] = {
    "fast": lambda config: FAST if config.z_dim else NETWORK,
    "paper": lambda config: NETWORK,
    "cryodrgn": lambda config: NETWORK,
    "homogeneous": lambda config: HOMOGENEOUS if not config.z_dim and has_closed_form(config) else NETWORK,
    "cryodrgn2": lambda config: NETWORK,
    "bnb": lambda config: NETWORK,
    "abinitio": lambda config: AB_INITIO,
    "ace": lambda config: AMORTIZED,
    "cryofold": lambda config: NETWORK,
    "atoms": lambda config: NETWORK,
    "refined_atoms": lambda config: NETWORK,
}
"""The training of each recipe, which may depend on the settings."""
