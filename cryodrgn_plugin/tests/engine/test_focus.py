"""A focus: what moves outside of it does not hide what comes and goes inside, nor is it mistaken for that."""

from itertools import product

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.analysis.cautions import about_focus, cautions
from cryodrgn_plugin.engine.analysis.truth import Truth
from cryodrgn_plugin.engine.atoms.atomic_model import bare_model, joined
from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.closed_form.focus import Focus
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.data.batch import centred
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.errors import ConfigError, DataError
from cryodrgn_plugin.engine.io.mrc import write_map
from cryodrgn_plugin.engine.likelihood.near_images import NearImages
from cryodrgn_plugin.engine.likelihood.nuisances import Nuisances, without_pose_errors
from cryodrgn_plugin.engine.likelihood.outside import as_nuisances, integrated_out
from cryodrgn_plugin.engine.likelihood.spread_solve import solved_spread
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.reconstruction.mask_file import region_mask, regions_of, resampled
from cryodrgn_plugin.engine.results import Results
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate import Ensemble, SimulationConfig, simulate_particles, tiny_ensemble
from cryodrgn_plugin.engine.simulate.simulation import frame_centre_ang
from cryodrgn_plugin.engine.slicing.exact import exact_slices
from cryodrgn_plugin.engine.validation.verdict import judge

pytestmark = pytest.mark.slow

BOX, PIXEL_ANG = 24, 4.5
PART_AT_ANG = np.array([0.0, -26.0, -14.0])
"""Where the small part sits, at the foot of the chain whose arm swings."""
SETTINGS = {
    "z_dim": 2,
    "closed_form.n_components": 3,
    "closed_form.iterations": 6,
    "closed_form.first_radius": 9,
    "closed_form.nodes": 12,
    "closed_form.pose_errors": False,
}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """1,000 images of a chain whose arm swings through 90°, half of them with a part beside it; the part's sphere."""
    part = bare_model(PART_AT_ANG + 5.0 * np.array(list(product((-1, 0, 1), repeat=3))), np.full(27, 9.0))
    chains = tiny_ensemble(6).states
    states = [joined([chain, part]) if there else chain for chain in chains for there in (0, 1)]
    ensemble = Ensemble(states, np.arange(12.0), np.ones(12))
    config = SimulationConfig(n_particles=1000, box=BOX, pixel_size_ang=PIXEL_ANG, snr=0.15, shift_px=1.0)
    star = simulate_particles(ensemble, config, tmp_path_factory.mktemp("focus"), 3)
    return star, ",".join(f"{value:.1f}" for value in (*(PART_AT_ANG - frame_centre_ang(states)), 16.0))


def train(star, folder, **asked) -> Run:
    config = recipe_config("fast", {**SETTINGS, "particles": str(star), **asked})
    run = Run.create(folder, config)
    with run.working("train"):
        fit(run, config)
    return run


@pytest.fixture(scope="module")
def focused(planted, tmp_path_factory) -> Run:
    star, sphere = planted
    return train(star, tmp_path_factory.mktemp("run") / "run", **{"closed_form.focus": sphere})


def told_apart(z: np.ndarray, of: np.ndarray) -> float:
    """Correlation of what is planted with the best linear function of z."""
    design = np.column_stack([np.ones(len(z)), z])
    return float(np.corrcoef(design @ np.linalg.lstsq(design, of, rcond=None)[0], of)[0, 1])


def test_the_coordinate_is_the_part_inside_and_not_the_arm_outside(focused, planted):
    state, z = Truth.open(planted[0].parent).state, focused.latents().z
    assert told_apart(z, state % 2) > 0.8
    assert told_apart(z, state // 2) < 0.15


def test_without_a_focus_the_large_motion_comes_first(planted, tmp_path):
    state = Truth.open(planted[0].parent).state
    z = train(planted[0], tmp_path / "run", z_dim=1).latents().z
    assert told_apart(z, state // 2) > 0.8 and told_apart(z, state % 2) < 0.5


def test_a_part_is_one_of_two_states_whatever_happens_elsewhere(focused):
    assert focused.info["notes"]["states"] == 2


def test_whoever_looks_at_the_run_is_told_of_its_focus(focused, planted):
    (sentence,) = cautions(focused.latents(), focused.config, ())
    assert sentence.startswith(f"The run has a focus, {planted[1]}:")
    assert judge(None, [], [], 0.05, more=[about_focus(focused.config), ""]).sentences[-1] == sentence
    assert not about_focus(recipe_config("fast"))


def test_a_mask_from_a_file_does_as_the_sphere_does(focused, planted, tmp_path):
    star, sphere = planted
    write_map(tmp_path / "mask.mrc", region_mask(sphere, BOX, PIXEL_ANG), PIXEL_ANG)
    again = train(star, tmp_path / "run", **{"closed_form.focus": str(tmp_path / "mask.mrc")})
    np.testing.assert_array_equal(again.latents().z, focused.latents().z)


def test_a_sphere_has_its_volume_and_place():
    mask = region_mask("9,-13.5,4.5,27", 48, 4.5)
    assert mask.sum() == pytest.approx(4 / 3 * np.pi * 6**3, rel=0.05)
    centre = np.array([(mask * index).sum() for index in np.indices(mask.shape)]) / mask.sum() - 24
    np.testing.assert_allclose(centre, [1, -3, 2], atol=1e-3)


def test_a_mask_keeps_place_and_share_on_another_grid():
    fine, coarse = region_mask("9,-13.5,4.5,27", 48, 4.5), region_mask("9,-13.5,4.5,27", 24, 9.0)
    brought = resampled(fine, 24)
    assert brought.sum() == pytest.approx(fine.sum() / 8, rel=0.03)
    centres = [np.array([(m * i).sum() for i in np.indices(m.shape)]) / m.sum() for m in (brought, coarse)]
    np.testing.assert_allclose(centres[0], centres[1], atol=0.05)


def test_inside_and_outside_are_the_molecule():
    molecule = region_mask("0,0,0,40", 24, 4.5)
    parts = Focus.of(regions_of("20,0,0,20;foot=10,0,0,20", 24, 4.5)).parted(molecule)
    assert len(parts) == 3
    np.testing.assert_allclose(sum(parts), molecule, atol=1e-6)
    with pytest.raises(DataError, match="is -48,0,0,6, where the particles' mean map has no density"):
        Focus.of(regions_of("20,0,0,20;-48,0,0,6", 24, 4.5)).parted(region_mask("20,0,0,20", 24, 4.5))


@pytest.fixture
def compressed() -> tuple[NearImages, Nuisances]:
    """5 images over a mean, three bases and five pose errors, at contrasts that are known."""
    rng = np.random.default_rng(2)
    design = torch.from_numpy(rng.standard_normal((5, 30, 9)))
    gram, inner = design.mT @ design, torch.from_numpy(rng.standard_normal((5, 9)))
    contrast = torch.from_numpy(rng.uniform(0.8, 1.2, 5))
    pose_sd = torch.tensor([0.1] * 3 + [0.3] * 2, dtype=torch.float64)
    moved = torch.zeros(5, 5, dtype=torch.float64)
    return NearImages(gram, inner, 3), Nuisances(contrast, 0 * contrast, moved, 0.1, pose_sd)


def test_amplitudes_outside_are_integrated_out_as_on_a_grid():
    """exp ℓ(s) is the integral of exp ℓ(s, o) N(o; 0, 1) over o, up to a factor that is the same for every s."""
    rng = np.random.default_rng(1)
    design = rng.standard_normal((6, 3))
    gram, inner = design.T @ design, rng.standard_normal(3)
    left, told = integrated_out(torch.from_numpy(gram)[None], torch.from_numpy(inner)[None], 1)
    grid = np.linspace(-8, 8, 4001)

    def ratio(of) -> float:
        return of(np.array([1.0, 0.7])) - of(np.array([1.0, -1.1]))

    def on_grid(s: np.ndarray) -> float:
        points = np.column_stack([np.tile(s, (len(grid), 1)), grid])
        log_density = points @ inner - ((points @ gram) * points).sum(1) / 2 - grid**2 / 2
        return float(np.log(np.exp(log_density).sum()))

    def in_closed_form(s: np.ndarray) -> float:
        return float(s @ told[0].numpy() - s @ left[0].numpy() @ s / 2)

    assert ratio(in_closed_form) == pytest.approx(ratio(on_grid), abs=1e-6)


def test_bases_counted_as_errors_are_bases_integrated_out(compressed):
    """Pose errors first and the bases then, or all at once: the same likelihood of what is kept."""
    near, nuisances = compressed
    contrast = nuisances.contrast
    gram, inner = without_pose_errors(near, nuisances)
    by_turns = integrated_out(gram * contrast[:, None, None] ** 2, inner * contrast[:, None], 2)
    at_once = without_pose_errors(*as_nuisances(near, nuisances, torch.arange(1)))
    torch.testing.assert_close(at_once[0] * contrast[:, None, None] ** 2, by_turns[0])
    torch.testing.assert_close(at_once[1] * contrast[:, None], by_turns[1])


def test_spreads_inside_and_outside_stay_independent():
    rng = np.random.default_rng(0)
    b = rng.standard_normal((400, 3, 3))
    b = torch.from_numpy(b @ b.transpose(0, 2, 1))
    flat = b.flatten(1)
    left = (flat.T @ flat).view(3, 3, 3, 3).permute(0, 2, 1, 3).reshape(9, 9)
    planted = torch.tensor([[2.0, 0.5, 0], [0.5, 1.0, 0], [0, 0, 3.0]], dtype=torch.float64)
    right = sum(each @ planted @ each for each in b)
    torch.testing.assert_close(solved_spread(left, right, (2, 1)), planted, rtol=1e-4, atol=1e-4)
    assert solved_spread(left, right + 5.0, (2, 1))[:2, 2].abs().max() < 1e-9


@pytest.mark.parametrize(
    ("focus", "message"),
    [
        ("nowhere.mrc", "There is no mask nowhere.mrc; give an MRC file, or a sphere"),
        ("1,2,3", "There is no mask 1,2,3"),
        ("0,0,400,20", "has no voxel inside the box of 108 Å"),
        ("0,0,0,-3", "has no voxel inside the box"),
    ],
)
def test_a_focus_that_is_none_is_refused_in_a_sentence(focus, message):
    with pytest.raises(DataError, match=message):
        region_mask(focus, 24, 4.5)


def test_a_mask_that_does_not_fit_is_refused_in_a_sentence(tmp_path):
    write_map(tmp_path / "box.mrc", np.ones((20, 20, 20)), 4.5)
    write_map(tmp_path / "pixel.mrc", np.ones((24, 24, 24)), 3.0)
    write_map(tmp_path / "empty.mrc", np.zeros((24, 24, 24)), 4.5)
    for name, message in (("box", "20 × 20 × 20 voxels"), ("pixel", "voxels of 3 Å"), ("empty", "zero everywhere")):
        with pytest.raises(DataError, match=message):
            region_mask(str(tmp_path / f"{name}.mrc"), 24, 4.5)


def test_a_focus_and_free_poses_are_refused():
    with pytest.raises(ConfigError, match="use one of them"):
        recipe_config("fast", {"closed_form.focus": "0,0,0,9", "closed_form.free_poses": True})


@pytest.fixture(scope="module")
def subtracted(planted, tmp_path_factory) -> tuple[Run, object]:
    """A run that knows the swinging arm, and its images without what lies outside of the part's sphere."""
    star, sphere = planted
    folder = tmp_path_factory.mktemp("subtracted")
    run = train(star, folder / "run", z_dim=3)
    assert main(["subtract", str(run.path), f"--mask={sphere}", "--out", str(folder / "out")]) == 0
    return run, folder / "out" / "particles.star"


def test_subtracted_images_show_the_part_and_little_else(subtracted, planted):
    """How much of the true map inside and outside of the mask images hold, by least squares: 1 and 1, then 1 and 0."""
    star, sphere = planted
    truth, mask = Truth.open(star.parent), region_mask(sphere, BOX, PIXEL_ANG)
    before, after = ParticleDataset.open(str(star)), ParticleDataset.open(str(subtracted[1]))
    index = np.flatnonzero(truth.state % 2)[:300]
    batch, shown = before.batch(index), []
    for region in (mask, 1 - mask):
        slices = [
            exact_slices(truth.maps[truth.state[i]] * region, before.rotations[i : i + 1].astype(float), before.lattice)
            for i in index
        ]
        shown.append((np.concatenate(slices) * batch.ctf).ravel())
    products = np.array([[np.vdot(a, b).real for b in shown] for a in shown])
    images = [centred(dataset.batch(index)).ravel() for dataset in (before, after)]
    held = [np.linalg.solve(products, [np.vdot(a, image).real for a in shown]) for image in images]
    print(held)
    inside, outside = held[1] / held[0]
    assert abs(outside) < 0.25 and inside == pytest.approx(1, abs=0.15)


def test_rows_of_subtracted_particles_keep_every_byte_but_the_name_of_the_image(subtracted, planted):
    old, new = (path.read_text().split() for path in (planted[0], subtracted[1]))
    differing = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
    assert len(differing) == 1000 and all("@" in a and b.endswith("out/particles.mrcs") for a, b in differing)


def test_subtracting_without_a_mask_is_refused(subtracted, capsys):
    assert main(["subtract", str(subtracted[0].path), "--out", "nowhere"]) == 2
    assert "mask is empty, and the run has no focus" in capsys.readouterr().err


def test_what_was_taken_off_is_told_and_drawn(subtracted, planted):
    told = Results.open(subtracted[1].parent, "subtraction")
    stacks = [
        ParticleDataset.open(str(star)).source.raw(np.arange(1000)).astype(np.float64)
        for star in (planted[0], subtracted[1])
    ]
    share = (stacks[0] - stacks[1]).var(axis=(1, 2)).sum() / stacks[0].var(axis=(1, 2)).sum()
    assert told.index["taken_off"] == pytest.approx(share, abs=1e-4) and 0.01 < share < 0.2
    assert (told.index["particles"], told.index["mask"]) == (1000, planted[1])
    assert told.figures["views"].is_file() and told.file("images").is_file()


def test_subtracting_into_the_folder_of_the_particles_themselves_is_refused(subtracted, planted, capsys):
    star, sphere = planted
    before = star.read_bytes()
    assert main(["subtract", str(subtracted[0].path), f"--mask={sphere}", "--out", str(star.parent)]) == 2
    assert "holds the particles of the run themselves" in capsys.readouterr().err
    assert star.read_bytes() == before
