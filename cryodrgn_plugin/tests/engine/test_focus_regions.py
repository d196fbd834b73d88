"""Several regions of a focus: each has a latent space of its own, and it is told whether they move together."""

import shutil
from itertools import product

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.analysis.truth import Truth
from cryodrgn_plugin.engine.analysis.volumes import decoder_of
from cryodrgn_plugin.engine.atoms.atomic_model import bare_model, joined
from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.closed_form.focus_places import joint_moments
from cryodrgn_plugin.engine.closed_form.together import moving_together
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.io.mrc import write_map
from cryodrgn_plugin.engine.likelihood.near_images import NearImages
from cryodrgn_plugin.engine.likelihood.nuisances import Nuisances
from cryodrgn_plugin.engine.recipes import fit, look_in
from cryodrgn_plugin.engine.reconstruction.mask_file import region_mask, regions_of
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate import Ensemble, SimulationConfig, simulate_particles, tiny_ensemble
from cryodrgn_plugin.engine.simulate.simulation import frame_centre_ang

pytestmark = pytest.mark.slow

BOX, PIXEL_ANG, N = 24, 4.5, 1000
PLACES_ANG = {"foot": np.array([0.0, -26.0, -14.0]), "head": np.array([0.0, 26.0, -8.0])}
CORNERS = 5.0 * np.array(list(product((-1, 0, 1), repeat=3)))


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    """1,000 images of a chain whose arm swings, with a foot and a head that come and go by themselves."""
    folder = tmp_path_factory.mktemp("regions")
    parts = [bare_model(at + CORNERS, np.full(27, 9.0)) for at in PLACES_ANG.values()]
    states = [
        joined([chain, *(part for part, there in zip(parts, present, strict=True) if there)])
        for chain in tiny_ensemble(3).states
        for present in product((0, 1), repeat=2)
    ]
    ensemble = Ensemble(states, np.arange(12.0), np.ones(12))
    config = SimulationConfig(n_particles=N, box=BOX, pixel_size_ang=PIXEL_ANG, snr=0.15, shift_px=1.0)
    star = simulate_particles(ensemble, config, folder, 3)
    centre = frame_centre_ang(states)
    spheres = {name: ",".join(f"{x:.1f}" for x in (*(at - centre), 16.0)) for name, at in PLACES_ANG.items()}
    settings = {
        "particles": str(star),
        "z_dim": 2,
        "closed_form.n_components": 2,
        "closed_form.iterations": 6,
        "closed_form.first_radius": 9,
        "closed_form.nodes": 8,
        "closed_form.outside": 2,
        "closed_form.pose_errors": False,
        "closed_form.focus": "; ".join(f"{name}={sphere}" for name, sphere in spheres.items()),
    }
    run = Run.create(folder / "run", recipe_config("fast", settings))
    with run.working("train"):
        fit(run, run.config)
    return run


@pytest.fixture(scope="module")
def present(run) -> dict[str, np.ndarray]:
    state = Truth.open(run.path.parent).state
    return {"foot": state // 2 % 2, "head": state % 2}


def told_apart(z: np.ndarray, of: np.ndarray) -> float:
    """Correlation of what is planted with the best linear function of z."""
    design = np.column_stack([np.ones(len(z)), z])
    return float(np.corrcoef(design @ np.linalg.lstsq(design, of, rcond=None)[0], of)[0, 1])


def test_each_region_knows_its_own_part_and_not_the_other(run, present):
    for name, other in (("foot", "head"), ("head", "foot")):
        latents = Run.open(run.region_dir(name)).latents()
        assert told_apart(latents.z, present[name]) > 0.8
        assert told_apart(latents.z, present[other]) < 0.15
        assert latents.states.shape == (N, 2)


def test_columns_of_the_run_are_those_of_its_regions(run):
    latents = run.latents()
    assert latents.columns == ("foot_1", "foot_2", "head_1", "head_2")
    apart = [Run.open(run.region_dir(name)).latents().z for name in PLACES_ANG]
    np.testing.assert_array_equal(latents.z, np.concatenate(apart, axis=1))


def test_parts_that_come_and_go_by_themselves_are_not_said_to_move_together(run):
    (told,) = run.info["notes"]["together"]
    assert told["regions"] == ["foot", "head"] and told["correlation"] < 0.15


def test_maps_of_all_regions_add_up_to_the_four_states(run, present):
    """At the mean z of images with both, one or none of the parts the map has what these have."""
    decoder, z = decoder_of(run), run.latents().z
    masks = {each.name: each.mask > 0.5 for each in regions_of(run.config.closed_form.focus, BOX, PIXEL_ANG)}
    density = {}
    for foot, head in product((0, 1), repeat=2):
        volume = decoder.volume(z[(present["foot"] == foot) & (present["head"] == head)].mean(axis=0))
        density[foot, head] = [volume[mask].mean() for mask in masks.values()]
    whole = density[1, 1]
    for (foot, head), seen in density.items():
        np.testing.assert_allclose(np.divide(seen, whole), [foot, head], atol=0.2)


def test_a_region_is_a_run_that_knows_what_all_regions_share(run):
    region = Run.open(run.region_dir("foot"))
    assert region.status == "finished" and region.config.closed_form.focus.count(",") == 3
    assert len(region.particles().frame) == N and region.metrics() == run.metrics()
    assert region.info["notes"]["states"] == 2 and region.info["notes"]["source"] == run.info["notes"]["source"]


def test_a_run_of_several_regions_is_looked_at_and_resumed_at_its_last_checkpoint(run, tmp_path):
    """One step before its end: particles lie nearly where they end, and the last step ends as it did."""
    copy = tmp_path / "run"
    shutil.copytree(run.path, copy, symlinks=True)
    for name in ("latents.npz", "regions/foot/latents.npz", "regions/head/latents.npz"):
        (copy / name).unlink()
    stopped = Run.open(copy)
    look_in(stopped)
    seen = stopped.latents()
    assert seen.steps == (13, 14) and seen.columns == run.latents().columns
    apart = [Run.open(stopped.region_dir(name)).latents().z for name in PLACES_ANG]
    np.testing.assert_array_equal(seen.z, np.concatenate(apart, axis=1))
    resumed = Run.create(copy, run.config, resume=True)
    fit(resumed, run.config, resume=True)
    np.testing.assert_array_equal(resumed.latents().z, run.latents().z)
    assert resumed.latents().steps is None


def test_regions_are_borrowed_with_their_run(run, tmp_path):
    Run.borrow(run.path, tmp_path / "looking", "landscape")
    looking = Run.open(tmp_path / "looking")
    assert [each.name for each in looking.region_dirs] == ["foot", "head"]
    for region in looking.region_dirs:
        np.testing.assert_array_equal(Run.open(region).latents().z, Run.open(run.region_dir(region.name)).latents().z)
        assert (region / "latents.npz").is_symlink() and not (region / "run.json").is_symlink()


def test_analyze_looks_at_all_regions_and_at_each(run):
    assert main(["analyze", str(run.path), "--volumes", "no", "--umap", "no"]) == 0
    whole = run.results("analysis")
    assert whole.figures["regions"].is_file() and whole.index["z_dim"] == 4
    assert "These are the latents of foot and head together" in " ".join(whole.index["cautions"])
    for name in PLACES_ANG:
        each = Run.open(run.region_dir(name)).results("analysis").index
        assert each["z_dim"] == 2 and "states" in each["grouped_because"]
        assert [entry["particles"] for entry in each["clusters"]] == pytest.approx([N / 2, N / 2], rel=0.1)


@pytest.mark.parametrize("planted", [0.0, 0.6])
def test_the_correlation_of_regions_is_the_planted_one(planted):
    """1,500 images of two amplitudes in each of two regions, of which the first of each are correlated."""
    rng, n = np.random.default_rng(4), 1500
    spread = np.eye(4)
    spread[0, 2] = spread[2, 0] = planted
    amplitudes = np.column_stack([np.ones(n), rng.multivariate_normal(np.zeros(4), spread, n)])
    design = 0.4 * rng.standard_normal((n, 12, 5))
    images = (design @ amplitudes[:, :, None])[:, :, 0] + rng.standard_normal((n, 12))
    gram, inner = design.transpose(0, 2, 1) @ design, (images[:, None] @ design)[:, 0]
    near = NearImages(torch.from_numpy(gram), torch.from_numpy(inner), 4, groups=(2, 2, 0))
    ones = torch.ones(n, dtype=torch.float64)
    nuisances = Nuisances(ones, 0 * ones, ones.new_zeros(n, 0), 0.1, ones.new_zeros(0))
    (told,) = moving_together(near, nuisances, ["arm", "foot"])
    assert told.correlation == pytest.approx(planted, abs=0.2)  # the largest of those of noise is no 0
    assert (told.chance < 1e-6) == (planted > 0) and ("move together:" in told.sentence) == (planted > 0)


def test_moments_of_places_and_of_what_moves_outside_are_those_of_a_sum_over_all_nodes():
    """Two regions of 3 and 2 nodes and two amplitudes outside, against the mixture written out."""
    rng = np.random.default_rng(0)
    design = rng.standard_normal((9, 6))
    gram, inner = design.T @ design, rng.standard_normal(6)
    shares = [np.array([0.2, 0.5, 0.3]), np.array([0.6, 0.4])]
    places = [np.column_stack([np.ones(m), rng.standard_normal((m, k))]) for m, k in ((3, 2), (2, 1))]
    features = [np.column_stack([np.ones(m), rng.standard_normal((m, k))]) for m, k in ((3, 1), (2, 2))]
    covariance = np.linalg.inv(gram[4:, 4:] + np.eye(2))
    first, second = np.zeros(6), np.zeros((6, 6))
    for a, b in product(range(3), range(2)):
        at = np.concatenate([[1], places[0][a, 1:], places[1][b, 1:]])
        outside = covariance @ (inner[4:] - gram[4:, :4] @ at)
        channels = np.concatenate([[1], features[0][a, 1:], features[1][b, 1:], outside])
        weight = shares[0][a] * shares[1][b]
        first += weight * channels
        second += weight * np.outer(channels, channels)
    second[4:, 4:] += covariance
    as_tensors = [[torch.from_numpy(each) for each in group] for group in (places, features)]
    told = joint_moments(
        [torch.from_numpy(each)[None] for each in shares],
        *as_tensors,
        torch.from_numpy(gram)[None],
        torch.from_numpy(inner)[None],
    )
    np.testing.assert_allclose(told[0][0], first, atol=1e-12)
    np.testing.assert_allclose(told[1][0], second, atol=1e-12)


def test_a_mask_of_numbers_is_a_region_for_each(tmp_path):
    labels = np.zeros((24, 24, 24), np.float32)
    labels[4:9, 10:14, 10:14], labels[14:19, 10:14, 10:14] = 1, 2
    write_map(tmp_path / "parts.mrc", labels, 4.5)
    regions = regions_of(str(tmp_path / "parts.mrc"), 24, 4.5)
    assert [each.name for each in regions] == ["parts_1", "parts_2"]
    for number, each in enumerate(regions, start=1):
        np.testing.assert_array_equal(each.mask, region_mask(f"{tmp_path}/parts.mrc#{number}", 24, 4.5))
        assert np.corrcoef(each.mask.ravel(), (labels == number).ravel())[0, 1] > 0.85
    (both,) = regions_of(f"all={tmp_path}/parts.mrc#2", 24, 4.5)
    assert both.name == "all"
    with pytest.raises(DataError, match="has no voxel of the value 7"):
        region_mask(f"{tmp_path}/parts.mrc#7", 24, 4.5)


def test_regions_without_a_name_get_one_and_two_of_one_name_are_refused():
    for text in ("0,0,0,20; foot=9,0,0,20", "0,0,0,20++foot=9,0,0,20"):
        assert [each.name for each in regions_of(text, 24, 4.5)] == ["sphere_1", "foot"]
    with pytest.raises(DataError, match="names two regions foot; give each a name of its own"):
        regions_of("foot=0,0,0,20;foot=9,0,0,20", 24, 4.5)
