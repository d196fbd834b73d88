"""Errors of the defocus that were planted are found by a run of the fast recipe, told, and corrected in what it leaves.

Pixels are fine, and contrast and poses err as well.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from cryodrgn_plugin.engine.analysis.run_particles import images_of
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate import SimulationConfig, simulate_particles
from cryodrgn_plugin.engine.simulate.tiny import tiny_ensemble

pytestmark = pytest.mark.slow

N, DEFOCUS_SD_ANG = 1200, 500.0
PLANTED = SimulationConfig(
    n_particles=N, box=40, pixel_size_ang=2.5, snr=0.2, shift_px=2.0, contrast_sd=0.15, pose_error_deg=0.3,
    shift_error_px=0.1, defocus_error_ang=DEFOCUS_SD_ANG,
)  # fmt: skip
ASKED = {
    "seed": 1, "z_dim": 2, "closed_form.n_components": 2, "closed_form.iterations": 5, "closed_form.nodes": 6,
    "closed_form.first_radius": 10,
}  # fmt: skip


@dataclass(frozen=True)
class Trained:
    """A run, and what the star file says of the defocus minus what is true, (N,) in angstrom."""

    run: Run
    error_ang: np.ndarray


def trained(folder: Path, planted: SimulationConfig) -> Trained:
    star = simulate_particles(tiny_ensemble(1), planted, folder / "set", seed=2)
    config = recipe_config("fast", {**ASKED, "particles": str(star)})
    run = Run.create(folder / "run", config)
    fit(run, config)
    with np.load(folder / "set" / "truth.npz") as truth:
        return Trained(run, truth["defocus_error_ang"])


@pytest.fixture(scope="module")
def erring(tmp_path_factory) -> Trained:
    return trained(tmp_path_factory.mktemp("erring"), PLANTED)


def test_the_size_of_the_errors_is_learned_and_told(erring):
    notes = erring.run.info["notes"]
    assert notes["defocus_sd_ang"] == pytest.approx(erring.error_ang.std(), rel=0.1)
    assert notes["defocus_doubt"] < 0.1
    assert f"the defocus by about {notes['defocus_sd_ang']:.0f} Å" in erring.run.log_file.read_text()


def test_the_defocus_of_each_image_is_nearer_to_the_truth(erring):
    correction_ang = erring.run.latents().defocus_correction
    assert correction_ang.shape == (N,)
    assert np.corrcoef(correction_ang, -erring.error_ang)[0, 1] > 0.9
    assert (erring.error_ang + correction_ang).std() < 0.35 * DEFOCUS_SD_ANG


def test_the_particles_of_the_run_have_the_defocus_that_was_found(erring):
    given, found = erring.run.given_particles().frame, erring.run.particles().frame
    correction_ang = erring.run.latents().defocus_correction
    for name in ("rlnDefocusU", "rlnDefocusV"):
        np.testing.assert_allclose(found[name] - given[name], correction_ang, atol=0.02)
    told = images_of(erring.run).ctf_params.defocus_u_ang
    np.testing.assert_allclose(told, given["rlnDefocusU"] + correction_ang, atol=0.02)


def test_a_defocus_that_is_right_stays_and_nothing_is_said_of_it(tmp_path):
    right = trained(tmp_path, SimulationConfig(**{**vars(PLANTED), "defocus_error_ang": 0.0}))
    assert right.run.info["notes"]["defocus_doubt"] > 1
    assert np.abs(right.run.latents().defocus_correction).max() < 50
    assert not right.run.poses_file.exists() and "defocus" not in right.run.log_file.read_text()
