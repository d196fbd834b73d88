"""The homogeneous recipe makes one map, by either decoder."""

import json

import numpy as np
import pytest

from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.decoders.restore import load_decoder
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.reconstruction.fsc import fsc
from cryodrgn_plugin.engine.reconstruction.masks import spherical_mask
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate.config import SimulationConfig
from cryodrgn_plugin.engine.simulate.tiny import tiny_set

BOX = 24


@pytest.fixture(scope="module")
def star(tmp_path_factory):
    config = SimulationConfig(snr=0.3, shift_px=1.0, pixel_size_ang=4.6)
    return tiny_set(tmp_path_factory.mktemp("one"), n=400, box=BOX, states=1, config=config)


@pytest.fixture(scope="module")
def truth(star):
    return read_map(next((star.parent / "maps").glob("*.mrc")))[0]


def agreement(volume, truth, last):
    return fsc(volume, truth, spherical_mask(BOX))[1:last].mean()


def test_the_basis_decoder_gives_the_backprojection_and_its_halves(star, truth, tmp_path):
    assert main(["train", str(star), "--recipe", "homogeneous", "--out", str(tmp_path / "run")]) == 0
    assert main(["reconstruct", str(star), "--out", str(tmp_path / "rec")]) == 0
    run = Run.open(tmp_path / "run")
    decoder = load_decoder(run)
    volume = decoder.volume(None)
    assert agreement(volume, truth, 9) > 0.9
    written, _ = read_map(tmp_path / "rec" / "map.mrc")
    assert np.corrcoef(volume.ravel(), written.ravel())[0, 1] > 0.995
    assert agreement(*decoder.half_volumes(None), 9) > 0.8
    resolution = json.loads((tmp_path / "rec" / "reconstruction.json").read_text())["resolution_ang"]["0.143"]
    assert run.metrics()[-1]["resolution_ang"] == pytest.approx(resolution, abs=0.01)


def test_the_coordinate_network_learns_the_map(star, truth, tmp_path):
    network = "--decoder.kind mlp --decoder.width 32 --decoder.layers 2"
    arguments = f"--recipe homogeneous {network} --training.epochs 4 --training.batch_size 16"
    assert main(["train", str(star), "--out", str(tmp_path / "run"), *arguments.split()]) == 0
    volume = load_decoder(Run.open(tmp_path / "run")).volume(None)
    assert agreement(volume, truth, 5) > 0.8
