"""Which training a recipe is. The one entry of the command line and the hosts into training."""

from .config import RunConfig
from .data.dataset import ParticleDataset
from .run import Run


def fit(run: Run, config: RunConfig, resume: bool = False, until_epoch: int | None = None) -> None:
    """Open the particles of `config` and train by its recipe; results go to the run folder.

    `until_epoch` pauses a training by epochs after that one, with `Stopped`; the fast recipe has no epochs to pause at.
    """
    dataset = ParticleDataset.open(config.particles, config.data, config.root, config.seed)
    for note in dataset.notes:
        run.log(note)
    if config.recipe == "fast" and config.z_dim:
        from .closed_form.fast_recipe import fit_fast

        fit_fast(run, config, dataset, resume)
    elif config.recipe == "homogeneous" and config.decoder.kind == "basis" and not config.z_dim:
        from .closed_form.homogeneous_recipe import fit_homogeneous

        fit_homogeneous(run, config, dataset)
    elif config.recipe == "abinitio":
        from .ab_initio.ab_initio_recipe import fit_ab_initio

        fit_ab_initio(run, config, dataset, resume)
    elif config.recipe == "ace":
        from .networks.amortized_recipe import fit_amortized

        fit_amortized(run, config, dataset, resume, until_epoch)
    else:
        from .networks.vae_recipe import fit_vae

        fit_vae(run, config, dataset, resume, until_epoch)
