"""The "homogeneous" recipe with the basis decoder: without bases the one map has a closed form, backprojection.

The run holds what a trained run holds: model.pt, and the maps of two halves for resolution. The coordinate network has
no closed form; it is trained like any other (`vae`).
"""

import time
from pathlib import Path

import numpy as np

from ..config import RunConfig
from ..data.dataset import ParticleDataset
from ..decoders.decoder_registry import make_linear_decoder
from ..decoders.model_file import save_model
from ..ranks import Ranks
from ..reconstruction.fsc import fsc_area
from ..reconstruction.homogeneous import reconstruct
from ..run import Run


def fit_homogeneous(run: Run, config: RunConfig, dataset: ParticleDataset) -> None:
    """Reconstruct one map into `run`. Raises DataError without poses."""
    began = time.perf_counter()
    run.log(f"Backprojecting {dataset.n:,} particles of {dataset.box}² px.")
    result = reconstruct(dataset, seed=config.seed, ranks=Ranks.present())
    _save(run.model_file, config, result.volume, dataset.pixel_size_ang)
    for number, half in enumerate((result.half1, result.half2), start=1):
        _save(run.half_file(number), config, half, dataset.pixel_size_ang)
    run.save_latents(np.zeros((dataset.n, 0)), rows=dataset.rows)
    area = fsc_area(result.curves.corrected)
    quality = {"resolution_ang": round(result.resolution_ang(), 3), "fsc_area": round(area, 4)}
    run.append_metrics({"epoch": 1, "seconds": round(time.perf_counter() - began, 3), **quality})
    run.note(**quality, halves=result.halves_from, directions=result.directions.entry())
    run.log(f"Resolution {quality['resolution_ang']:.2f} Å at FSC 0.143, halves: {result.halves_from}.")
    run.log(f"By direction {result.directions.sentence}. {result.directions.warning}".rstrip())


def _save(path: Path, config: RunConfig, volume: np.ndarray, pixel_size_ang: float) -> None:
    decoder = make_linear_decoder(config, len(volume))
    decoder.set_volumes(volume[None])
    save_model(path, config, decoder, None, pixel_size_ang)
