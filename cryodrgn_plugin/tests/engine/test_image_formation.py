"""CTFs and shifts made of a few numbers are those that the host makes of every coefficient."""

import os

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.config import DataConfig
from cryodrgn_plugin.engine.data.ctf_numbers import NumberedCtfs
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.likelihood import folding
from cryodrgn_plugin.engine.likelihood.whitened import WhitenedImages
from cryodrgn_plugin.engine.slicing.compute import Compute
from cryodrgn_plugin.engine.slicing.image_formation import folded

from .particle_files import optics, rows, write_set

ON_GPU = torch.cuda.is_available()
os.environ.setdefault("TRITON_INTERPRET", "0" if ON_GPU else "1")
N, BOX, COUNT, FIRST = 12, 32, 350, 100
WAYS = ["plain", "numba", pytest.param("triton", marks=pytest.mark.triton)]
FLAGS = {"taken": {}, "flipped": {"rlnCtfDataArePhaseFlipped": 1}, "multiplied": {"rlnCtfDataAreCtfPremultiplied": 1}}


@pytest.fixture(params=FLAGS)
def dataset(request, tmp_path) -> ParticleDataset:
    """Astigmatic images at up to 6 µm and 2 Å, whose CTFs turn 100 times, some with a phase shift, a B-factor or a
    scale, in two groups of different extents."""
    rng, n = np.random.default_rng(0), np.arange(N)
    groups = [{**optics(1 + i, pixel_ang=pixel), **FLAGS[request.param]} for i, pixel in enumerate((1.0, 1.2))]
    table = rows(N).assign(
        rlnOpticsGroup=1 + n % 2,
        rlnDefocusU=rng.uniform(5e3, 6e4, N),
        rlnDefocusV=rng.uniform(5e3, 6e4, N),
        rlnDefocusAngle=rng.uniform(0, 180, N),
        rlnPhaseShift=90.0 * (n % 3 == 0),
        rlnCtfBfactor=5.0 * (n % 4 == 0),
        rlnCtfScalefactor=1 - 0.1 * (n % 5 == 0),
    )
    images = rng.normal(size=(N, BOX, BOX)).astype(np.float32)
    return ParticleDataset.open(write_set(tmp_path, images, table, groups), DataConfig(sign="white", cache_mb=0))


@pytest.mark.parametrize("way", WAYS)
def test_images_are_folded_of_few_numbers_as_of_the_values(dataset, way, monkeypatch):
    if way == "plain":
        monkeypatch.setattr(folding, "kernel_of", lambda place: folded)
    device, noise = torch.device("cuda" if ON_GPU and way != "numba" else "cpu"), estimate_noise(dataset)
    makes = Compute(device, member="numba" if way == "numba" else "triton")
    by_values, by_numbers = (
        WhitenedImages(dataset, noise, compute=compute, with_defocus=True)
        for compute in (Compute(member="torch"), makes)
    )
    assert isinstance(by_numbers._folding.source, NumberedCtfs) and by_values._folding.source is dataset
    (wanted,), (found,) = (list(images.passes(COUNT, slice(FIRST, COUNT))) for images in (by_values, by_numbers))
    for name in ("targets", "weights"):
        one, other = getattr(found, name).cpu(), getattr(wanted, name)
        assert one.shape == other.shape == (N, COUNT - FIRST)
        away_by = torch.linalg.vector_norm(one - other, dim=1) / torch.linalg.vector_norm(other, dim=1)
        assert away_by.max() < 1e-5, name
    # Near a zero of the CTF its slope is without bounds; what an image changes by is that times the CTF.
    one, other = (batch.defocus_slopes.cpu() * wanted.weights.sqrt() for batch in (found, wanted))
    assert (torch.linalg.vector_norm(one - other, dim=1) / torch.linalg.vector_norm(other, dim=1)).max() < 1e-5


def test_ctfs_that_are_not_told_by_few_numbers_come_from_the_host(dataset):
    flipped = dataset.source.phase_flipped.any()
    assert NumberedCtfs.tell(dataset.with_defocus_moved(np.zeros(N))) != flipped
    assert not NumberedCtfs.tell(dataset.through_squared_ctf())
    dataset.source.ctf_params.__dict__["dose_per_ang2"] = np.ones(N)
    assert not NumberedCtfs.tell(dataset.subset(np.arange(N)))
