"""Whitened noise is white: what no map explains counts the same at all frequencies, CTF-multiplied or not."""

import numpy as np
import pytest

from cryodrgn_plugin.engine.config import DataConfig
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.imaging.ctf import evaluate_ctf
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.imaging.preprocess import soft_window
from cryodrgn_plugin.engine.likelihood.whitened import WhitenedImages

from .particle_files import ctf_params, optics, rows, write_set

N, BOX, PIXEL = 300, 32, 4.0


@pytest.mark.parametrize("multiplied", [False, True], ids=["as taken", "multiplied by the CTF"])
def test_noise_alone_has_unit_variance_in_every_shell(multiplied, tmp_path):
    group, table, lattice = optics(box=BOX, pixel_ang=PIXEL), rows(N), HalfPlane(BOX, BOX // 2)
    images = np.random.default_rng(0).standard_normal((N, BOX, BOX)).astype(np.float32)
    if multiplied:
        group["rlnCtfDataAreCtfPremultiplied"] = 1
        ctf = evaluate_ctf(ctf_params(table, group), lattice.indices / (BOX * PIXEL))
        images = lattice.images(lattice.spectra(images) * ctf).astype(np.float32)
    dataset = ParticleDataset.open(write_set(tmp_path, images, table, [group]), DataConfig(sign="white"))
    batch = WhitenedImages(dataset.without_poses(), estimate_noise(dataset)).of(np.arange(N), dataset.lattice.size)
    shells, window = dataset.lattice.shells, soft_window(BOX, dataset.config.window)
    # ½ |t|²/w is 1 on average, times the share of the coefficients that are independent within the window.
    power = np.bincount(shells, (np.abs(batch.targets) ** 2).sum(0)) / np.bincount(shells, 2 * batch.weights.sum(0))
    np.testing.assert_allclose(power[2:-1] / np.square(window).mean(), 1, atol=0.25)
