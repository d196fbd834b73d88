"""Which training a recipe is, and which decoders it can make. The one entry of the command line and the hosts into
training.

A recipe's defaults are in `config/recipe_defaults.py`, which imports nothing heavy; here is the rest of it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from .config import RunConfig, finds_poses
from .data.dataset import ParticleDataset
from .decoders.decoder_registry import has_closed_form, linear_decoder
from .known_copies import save_copies
from .run import Run
from .vetting.at_start import vetted


@dataclass(frozen=True)
class Training:
    """One way to a model."""

    fit: Callable[[Run, RunConfig, ParticleDataset, bool, int | None], None]
    """Trains, with whether to resume and the epoch to pause after, which closed forms do not know."""
    closed_form: bool
    """Whether its maps come in closed form, which makes linear decoders only; descent by gradient makes any."""


def fit(run: Run, config: RunConfig, resume: bool = False, until_epoch: int | None = None) -> None:
    """Open the particles of `config` and train by its recipe; results go to the run folder.

    `until_epoch` pauses a training by epochs after that one, with `Stopped`; the fast recipe has no epochs to pause at.

    Raises ConfigError, before anything is read, for a decoder that the recipe cannot make.
    """
    training = TRAININGS[config.recipe](config)
    if training.closed_form:
        linear_decoder(config)
    particles = vetted(config, poses_given=not finds_poses(config.recipe))
    for sentence in particles.sentences:
        run.log(sentence)
    run.note(**particles.notes)
    dataset = particles.dataset
    if dataset.copies.any:
        save_copies(run, dataset.rows, dataset.copies.shown)
    training.fit(run, config, dataset, resume, until_epoch)


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


def _network(run: Run, config: RunConfig, dataset: ParticleDataset, resume: bool, until_epoch: int | None) -> None:
    from .networks.vae_recipe import fit_vae

    fit_vae(run, config, dataset.through_squared_ctf(), resume, until_epoch)


FAST, HOMOGENEOUS, AB_INITIO = (Training(fit, closed_form=True) for fit in (_fast, _homogeneous, _ab_initio))
AMORTIZED, NETWORK = (Training(fit, closed_form=False) for fit in (_amortized, _network))

TRAININGS: dict[str, Callable[[RunConfig], Training]] = {
    "fast": lambda config: FAST if config.z_dim else NETWORK,
    "paper": lambda config: NETWORK,
    "cryodrgn": lambda config: NETWORK,
    "homogeneous": lambda config: HOMOGENEOUS if not config.z_dim and has_closed_form(config) else NETWORK,
    "cryodrgn2": lambda config: NETWORK,
    "bnb": lambda config: NETWORK,
    "abinitio": lambda config: AB_INITIO,
    "ace": lambda config: AMORTIZED,
}
"""The training of each recipe, which may depend on the settings."""
