"""Errors of the defocus: what they do to CTFs and likelihoods, against finite differences; what of them can be learned
at all; and what was planted is found, told and written.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.closed_form.direction_search import PosedSet, defocus_is_settled
from cryodrgn_plugin.engine.closed_form.nuisance_report import defocus_worth_telling, sentence, surely_defocused
from cryodrgn_plugin.engine.config import DataConfig, recipe_config, with_settings
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.data.tilt_series import TiltSeries
from cryodrgn_plugin.engine.imaging.ctf import defocus_slopes, evaluate_ctf
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.likelihood.linear_model import LinearModel, sphere_at
from cryodrgn_plugin.engine.likelihood.near_images import NearImages, compress_near
from cryodrgn_plugin.engine.likelihood.nuisance_sizes import FIRST_DEFOCUS_SD
from cryodrgn_plugin.engine.likelihood.nuisances import Nuisances, settle
from cryodrgn_plugin.engine.likelihood.whitened import ANG_PER_MICROMETRE, WhitenedImages

from .particle_files import ctf_params, optics, rows, write_set

N, BOX, PIXEL_ANG = 6, 32, 2.5
STEP_ANG = 10.0
WHITE = DataConfig(sign="white")


def small(folder, **columns) -> ParticleDataset:
    """Images of noise; `columns` are those of the optics group."""
    images = np.random.default_rng(0).standard_normal((N, BOX, BOX)).astype(np.float32)
    group = {**optics(box=BOX, pixel_ang=PIXEL_ANG), **columns}
    return ParticleDataset.open(write_set(folder, images, rows(N), [group]), WHITE)


# --- what the defocus does --------------------------------------------------------------------------------------------


def test_slopes_are_the_change_of_the_ctf_with_both_values_of_the_defocus():
    """Astigmatism, envelope, scale and phase plate among them."""
    rng, lattice = np.random.default_rng(1), HalfPlane(BOX, BOX // 2 - 1)
    params = replace(
        ctf_params(rows(N), optics()),
        phase_shift_deg=rng.uniform(0, 90, N), b_factor_ang2=np.full(N, 40.0), scale=rng.uniform(0.5, 1, N),
    )  # fmt: skip
    freqs = lattice.indices / (BOX * PIXEL_ANG)
    ends = [evaluate_ctf(params.defocused(np.full(N, sign * STEP_ANG)), freqs).astype(float) for sign in (1, -1)]
    difference = (ends[0] - ends[1]) / (2 * STEP_ANG)
    slopes = evaluate_ctf(params, freqs) * defocus_slopes(params, freqs)
    assert np.abs(difference).max() > 1e-3
    np.testing.assert_allclose(slopes, difference, atol=1e-3 * np.abs(difference).max())


def test_slopes_stay_finite_where_a_ctf_is_nothing():
    params = replace(ctf_params(rows(N), optics()), amplitude_contrast=np.zeros(N))
    assert np.isfinite(defocus_slopes(params, np.zeros((1, 2)))).all()


def test_a_moved_defocus_is_that_of_a_file_which_has_it(tmp_path):
    moved_ang = np.linspace(-800, 900, N)
    moved = small(tmp_path).with_defocus_moved(moved_ang)
    told = rows(N).assign(**{f"rlnDefocus{v}": rows(N)[f"rlnDefocus{v}"] + moved_ang for v in "UV"})
    images = np.zeros((N, BOX, BOX), np.float32)
    expected = ParticleDataset.open(write_set(tmp_path, images, told, [optics(box=BOX, pixel_ang=PIXEL_ANG)]), WHITE)
    some = np.array([4, 1])
    np.testing.assert_allclose(moved.batch(some).ctf, expected.batch(some).ctf, atol=1e-6)
    for part in (moved.subset(some), moved.with_poses(*moved.physical_poses()).subset(some)):
        np.testing.assert_array_equal(part.batch(np.arange(2)).ctf, moved.batch(some).ctf)
        np.testing.assert_allclose(part.ctf_params.defocus_u_ang, expected.ctf_params.defocus_u_ang[some])


@pytest.mark.parametrize("columns", [{}, {"rlnCtfDataArePhaseFlipped": 1}], ids=["as taken", "phases flipped"])
def test_the_likelihood_changes_with_the_defocus_as_the_amplitude_says(tmp_path, columns):
    """b − A of the amplitude of the defocus is the slope of the likelihood of the consensus, and its own A the
    curvature that is left where the consensus explains the image. Phases stay flipped by the defocus of the file."""
    dataset = small(tmp_path, **columns)
    noise, sphere = estimate_noise(dataset), sphere_at(BOX, 1.5, BOX // 2 - 1)
    given = WhitenedImages(dataset, noise, with_defocus=True)
    volume = torch.from_numpy(np.random.default_rng(2).standard_normal((1, BOX, BOX, BOX)).astype(np.float32))
    backend = given.backend(sphere)
    model = LinearModel.of(backend, 0.3 * volume)
    near = compress_near([model], given, given.lattice.size, backend.moving(model.coefs))

    def log_likelihood(moved_ang: float) -> torch.Tensor:
        images = WhitenedImages(dataset.with_defocus_moved(np.full(N, moved_ang)), noise, with_defocus=True)
        seen = compress_near([model], images, images.lattice.size, backend.moving(model.coefs))
        return seen.inner[:, 0] - seen.gram[:, 0, 0] / 2

    difference = (log_likelihood(STEP_ANG) - log_likelihood(-STEP_ANG)) * (ANG_PER_MICROMETRE / (2 * STEP_ANG))
    slope = near.inner[:, -1] - near.gram[:, 0, -1]
    np.testing.assert_allclose(slope, difference, atol=0.01 * float(difference.abs().max()))


def test_images_multiplied_by_their_ctf_or_without_one_are_left_alone(tmp_path):
    multiplied = small(tmp_path, rlnCtfDataAreCtfPremultiplied=1)
    assert "multiplied by their CTF" in defocus_is_settled(multiplied)
    corrected = ParticleDataset.open(multiplied.table.path, replace(WHITE, ctf_applied="corrected"))
    assert "no CTF" in defocus_is_settled(corrected)
    config = recipe_config("fast", {"particles": str(multiplied.table.path)})
    for dataset in (multiplied, corrected):
        assert not PosedSet(config, dataset, TiltSeries.singles(N)).images.with_defocus
    as_taken = ParticleDataset.open(multiplied.table.path, replace(WHITE, ctf_applied="none"))
    assert defocus_is_settled(as_taken) == "" and PosedSet(config, as_taken, TiltSeries.singles(N)).images.with_defocus
    exact = with_settings(config, closed_form={"pose_errors": False})
    assert not PosedSet(exact, as_taken, TiltSeries.singles(N)).images.with_defocus


def test_pixels_that_are_too_coarse_show_no_error_of_the_defocus(tmp_path):
    assert "in pixels of 5 Å one of 300 Å hardly shows" in defocus_is_settled(small(tmp_path, rlnImagePixelSize=5.0))


# --- how much they err ------------------------------------------------------------------------------------------------


def told_of_defocus(n: int, sd: float, information: float, seed: int) -> tuple[NearImages, Nuisances]:
    """Images of which each knows its defocus to 1/√information, and all else well."""
    rng = np.random.default_rng(seed)
    gram = np.tile(np.diag([400.0, 9.0, *[1e4] * 3, *[1e5] * 2, information]), (n, 1, 1))
    values = np.column_stack([np.ones(n), rng.standard_normal((n, 1)), np.zeros((n, 5)), sd * rng.standard_normal(n)])
    inner = np.einsum("ncd,nd->nc", gram, values) + rng.standard_normal((n, 8)) * np.sqrt(gram[0].diagonal())
    ones = torch.ones(n, dtype=torch.float64)
    pose_sd = torch.tensor([0.01] * 3 + [0.003] * 2 + [FIRST_DEFOCUS_SD], dtype=torch.float64)
    nuisances = Nuisances(ones, 0 * ones, ones.new_zeros(n, 6), 0.1, pose_sd)
    return NearImages(torch.from_numpy(gram), torch.from_numpy(inner), 1), nuisances


@pytest.mark.parametrize("sd", [0.02, 0.1])
def test_a_defocus_that_images_tell_badly_is_learned_from_many(sd):
    """An error of 200 Å leaves an image with nine tenths of the variance that the error had."""
    _, _, _, learned = settle(*told_of_defocus(6000, sd, 0.11 / 0.02**2, seed=3), rounds=8)
    assert float(learned.pose_sd[-1]) == pytest.approx(sd, rel=0.15)
    assert surely_defocused({"defocus_doubt": float(learned.doubt[-1])})


@pytest.mark.parametrize("information", [100.0, 10.0])
def test_where_there_is_no_error_of_the_defocus_none_is_sure(information):
    for seed in range(4):
        _, _, _, learned = settle(*told_of_defocus(1500, 0.0, information, seed), rounds=8)
        assert not surely_defocused({"defocus_doubt": float(learned.doubt[-1])})


def test_what_is_said_of_the_defocus(tmp_path):
    dataset = small(tmp_path)
    moved = torch.zeros(N, 6, dtype=torch.float64)
    moved[:, 5] = torch.linspace(-0.02, 0.03, N)
    ones = torch.ones(N, dtype=torch.float64)
    sizes = torch.tensor([0.01] * 3 + [0.003] * 2 + [0.0312], dtype=torch.float64)
    sure = Nuisances(ones, 0 * ones, moved, 0.1, sizes, doubt=torch.full((6,), 0.1))
    assert "the defocus by about 312 Å" in sentence(dataset, sure)
    np.testing.assert_allclose(defocus_worth_telling(dataset, sure), np.linspace(-200, 300, N))
    for less in (replace(sure, doubt=torch.full((6,), 0.5)), replace(sure, doubt=None)):
        assert "defocus" not in sentence(dataset, less) and defocus_worth_telling(dataset, less) is None
    assert defocus_worth_telling(dataset, replace(sure, pose_sd=sizes / 4)) is None
