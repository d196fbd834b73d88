"""The maps of particles whose poses were found: one per species, in both hands, and a model that holds them all."""

from dataclasses import replace

import numpy as np

from ..config import RunConfig, with_settings
from ..data.dataset import ParticleDataset
from ..decoders.decoder_registry import make_linear_decoder
from ..decoders.model_file import save_model
from ..geometry.hand import mirrored_map
from ..io.mrc import write_map
from ..ranks import Ranks
from ..reconstruction.adaptive import local_wiener
from ..reconstruction.homogeneous import Reconstruction, reconstruct
from ..reconstruction.masks import NothingInside
from ..run import Run

FEWEST = 10
"""A species of fewer particles has no map."""


def save_maps(run: Run, posed: ParticleDataset, species: np.ndarray, n_species: int, seed: int) -> list[Reconstruction]:
    """Reconstruct every species and write its map, half-maps and the map in the other hand.

    The map is the half-maps joined by what they share locally, inside their mask: from few particles a filter by shells
    alone hides in the solvent's noise what is known of the molecule.

    Parameters
    ----------
    species : (N,) from 0. Of each particle.

    Returns
    -------
    The reconstructions. A species with too few particles has the map of all.
    """
    reconstructions = []
    for number in range(n_species):
        members = posed.subset(species == number)
        plain = _reconstructed(members if members.n >= FEWEST else posed, seed)
        result = replace(plain, volume=local_wiener(plain.half1, plain.half2) * plain.mask)
        reconstructions.append(result)
        written = {
            "": result.volume,
            "half1": result.half1,
            "half2": result.half2,
            "other_hand": mirrored_map(result.volume),
        }
        for which, volume in written.items():
            path = run.found_map_file(number + 1, which)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_map(path, volume, posed.pixel_size_ang)
        kind = f"Species {number + 1}: " if n_species > 1 else ""
        run.log(f"{kind}{members.n:,} particles, resolution {result.resolution_ang():.2f} Å at FSC 0.143.")
    return reconstructions


def _reconstructed(members: ParticleDataset, seed: int) -> Reconstruction:
    """Their map, in a mask if anything stands out."""
    try:
        return reconstruct(members, seed=seed, ranks=Ranks.present())
    except NothingInside:
        return reconstruct(members, seed=seed, mask="sphere", ranks=Ranks.present())


def fit_species(
    run: Run, config: RunConfig, posed: ParticleDataset, maps: list[Reconstruction], belongs: np.ndarray
) -> None:
    """A model of rigid molecules: latents.npz, model.pt and half-set models.

    One molecule has no latent. Of several, z is how far a particle `belongs` (N, S) to each, which are separate states
    as well; the model's volume at (1, 0, …) is the map of the first.
    """
    rigid = len(maps) == 1
    settings = with_settings(config, z_dim=0 if rigid else len(maps), decoder={"n_bases": 0 if rigid else len(maps)})
    for path, which in ((run.model_file, "volume"), (run.half_file(1), "half1"), (run.half_file(2), "half2")):
        volumes = np.stack([getattr(reconstruction, which) for reconstruction in maps])
        mean = volumes.mean(0)
        decoder = make_linear_decoder(settings, posed.box)
        decoder.set_volumes(mean[None] if rigid else np.concatenate([mean[None], volumes - mean]))
        save_model(path, settings, decoder, None, posed.pixel_size_ang)
    z, states = (np.zeros((posed.n, 0)), None) if rigid else (belongs, belongs)
    run.save_latents(z, rows=posed.rows, states=states)
    run.note(
        resolution_ang=[round(reconstruction.resolution_ang(), 3) for reconstruction in maps],
        particles=[int(count) for count in np.bincount(belongs.argmax(1), minlength=len(maps))],
    )
