"""Tilt pairs: what is simulated is what the star file says, and both images of a particle are explained by one pose."""

import numpy as np
import pandas as pd
import pytest
import torch

from cryodrgn_plugin.engine.config import PoseConfig
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.data.loader import BatchLoader
from cryodrgn_plugin.engine.data.tilt_pairs import PARTICLE, TILT_ANGLE, find_tilt_pairs, has_tilt_pairs
from cryodrgn_plugin.engine.data.tilt_series import SeriesDataset, TiltSeries
from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.geometry.rotations import angular_distance_deg, tilt_about_x
from cryodrgn_plugin.engine.imaging.formation import ImageFormation
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.io.star import read_star, write_star
from cryodrgn_plugin.engine.likelihood.linear_model import LinearModel
from cryodrgn_plugin.engine.likelihood.linear_score import LinearScore, SliceBank
from cryodrgn_plugin.engine.likelihood.whitened import WhitenedImages
from cryodrgn_plugin.engine.poses.series_score import TiltSeriesScore
from cryodrgn_plugin.engine.poses.strategy_registry import STRATEGIES, make_pose_inference
from cryodrgn_plugin.engine.simulate.config import SimulationConfig
from cryodrgn_plugin.engine.simulate.tiny import tiny_set
from cryodrgn_plugin.engine.slicing.exact import exact_slices
from cryodrgn_plugin.engine.slicing.sphere import HalfSphere

N, BOX, TILT_DEG = 40, 24, 45.0


def simulated(folder, snr: float, n: int = N):
    config = SimulationConfig(snr=snr, shift_px=1.0, pixel_size_ang=4.6, tilt_deg=TILT_DEG)
    return tiny_set(folder, n=n, box=BOX, states=1, seed=3, config=config)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    star = simulated(tmp_path_factory.mktemp("clean"), np.inf)
    return ParticleDataset.open(star), np.load(star.parent / "truth.npz")


def taken_apart(pairs: TiltSeries) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first images, the second ones, and the tilt between them."""
    return *pairs.images.T, pairs.tilts[0, 1]


def test_partners_are_one_particle_seen_before_and_after_the_tilt(clean):
    dataset, truth = clean
    pairs = find_tilt_pairs(dataset)
    first, second, tilt = taken_apart(pairs)
    assert pairs.n == N and dataset.n == 2 * N
    np.testing.assert_allclose(tilt, tilt_about_x(TILT_DEG))
    np.testing.assert_array_equal(truth["particle"][first], truth["particle"][second])
    rotations, shifts_ang = truth["rotations"], truth["shifts_ang"]
    np.testing.assert_allclose(rotations[second], tilt @ rotations[first], atol=1e-6)
    np.testing.assert_array_equal(shifts_ang[second], shifts_ang[first])
    np.testing.assert_array_equal(pairs.carries, np.eye(2)[None, None].repeat(2, axis=1))
    assert (truth["state"][first] == truth["state"][second]).all()
    # Partners lie on micrographs of their own, with their own defocus, and in one half-set.
    frame = dataset.table.frame
    assert (frame["rlnMicrographName"][first].to_numpy() != frame["rlnMicrographName"][second]).all()
    assert (frame["rlnDefocusU"][first].to_numpy() != frame["rlnDefocusU"][second].to_numpy()).all()
    assert (frame["rlnRandomSubset"][first].to_numpy() == frame["rlnRandomSubset"][second].to_numpy()).all()


def test_the_tilted_image_is_the_map_seen_after_the_tilt(clean):
    dataset, truth = clean
    first, second, tilt = taken_apart(find_tilt_pairs(dataset))
    volume = read_map(dataset.table.path.parent / "maps" / "state_000.mrc")[0]
    batch, lattice = dataset.batch(second), dataset.lattice
    formation = ImageFormation(lattice, dataset.pixel_size_ang)
    shifts = torch.from_numpy(truth["shifts_ang"][first])[:, None]

    def correlation(tilt: np.ndarray) -> float:
        slices = exact_slices(volume, tilt @ truth["rotations"][first], lattice)
        predicted = formation.observe(torch.from_numpy(slices)[:, None], torch.from_numpy(batch.ctf), shifts)[:, 0]
        products = np.abs((batch.spectra.conj() * predicted.numpy()).sum(1))
        return float(np.mean(products / np.linalg.norm(batch.spectra, axis=1) / np.linalg.norm(predicted, axis=1)))

    assert correlation(tilt) > 0.98
    assert correlation(tilt_about_x(-TILT_DEG)) < 0.9


def test_a_tilt_turns_y_towards_z():
    np.testing.assert_allclose(tilt_about_x(90.0) @ [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], atol=1e-12)
    np.testing.assert_allclose(tilt_about_x(30.0) @ tilt_about_x(-30.0), np.eye(3), atol=1e-12)


def test_batches_hold_partners_one_after_the_other_in_any_order_of_rows(clean, tmp_path):
    dataset, _ = clean
    tables = read_star(dataset.table.path)
    shuffled = tables["particles"].sample(frac=1, random_state=0)
    star = tmp_path / "shuffled.star"
    write_star(star, {**tables, "particles": shuffled})
    mixed = ParticleDataset.open(star, root=dataset.table.path.parent)
    pairs = find_tilt_pairs(mixed)
    names = shuffled[PARTICLE].to_numpy()
    angles_deg = shuffled[TILT_ANGLE].to_numpy()
    seen = []
    for batch in BatchLoader(SeriesDataset(mixed, pairs), 7).iterate(0):
        first, second = batch.index.reshape(-1, 2).T
        assert (names[first] == names[second]).all()
        assert (angles_deg[first] == 0).all() and (angles_deg[second] == TILT_DEG).all()
        seen += batch.index.tolist()
    assert sorted(seen) == list(range(2 * N))
    values = np.arange(N)
    np.testing.assert_array_equal(pairs.to_images(values)[pairs.flat(values)], values.repeat(2))


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_joint_score_finds_poses_that_one_noisy_image_hides(name, tmp_path):
    star = simulated(tmp_path, 0.1, n=24)
    dataset, truth = ParticleDataset.open(star), np.load(star.parent / "truth.npz")
    first, second, tilt = taken_apart(find_tilt_pairs(dataset))
    volume = read_map(star.parent / "maps" / "state_000.mrc")[0]
    images = WhitenedImages(dataset.without_poses(), estimate_noise(dataset))
    bank = SliceBank(LinearModel.of(images.backend(HalfSphere(BOX, 2.0, BOX // 2 - 1)), volume[None]))
    config = PoseConfig(inference=name, spacing_deg=15.0, levels=1, first_radius=8, last_radius=11, shift_extent=0.05,
                        shift_steps=3)  # fmt: skip
    search = make_pose_inference(config, BOX, dataset.pixel_size_ang)

    def score(rows: np.ndarray) -> LinearScore:
        some = images.of(rows, dataset.lattice.size)
        return LinearScore(bank, some.targets, some.weights, BOX * dataset.pixel_size_ang)

    def errors_deg(score) -> np.ndarray:
        found = search.infer(score).best.rotations[:, 0].numpy()
        return angular_distance_deg(found, truth["rotations"][first])

    def joint_score(tilt: np.ndarray) -> TiltSeriesScore:
        tilts = torch.stack([torch.eye(3, dtype=torch.float64), torch.from_numpy(tilt)])
        return TiltSeriesScore([alone, score(second)], tilts, torch.eye(2).expand(2, 2, 2))

    alone = score(first)
    joint = joint_score(tilt)
    assert (errors_deg(joint) < 15).mean() > (errors_deg(alone) < 15).mean() + 0.1
    wrong = joint_score(tilt_about_x(-TILT_DEG))
    assert (errors_deg(joint) < 15).mean() > (errors_deg(wrong) < 15).mean() + 0.1


def changed(frame: pd.DataFrame, kind: str) -> pd.DataFrame:
    if kind == "no pairs":
        return frame.drop(columns=TILT_ANGLE)
    if kind == "one image missing":
        return frame.drop(index=3)
    if kind == "another tilt":
        return frame.assign(**{TILT_ANGLE: frame[TILT_ANGLE].where(frame.index != 5, 30.0)})
    return frame.assign(**{TILT_ANGLE: 0.0})


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("no pairs", "it has no tilt pairs"),
        ("one image missing", "1 particles have not two images, the first is particle_000002 with 1"),
        ("another tilt", "tilts by 30 to 45°"),
        ("no tilt", "one known tilt for all particles"),
    ],
)
def test_pairs_that_are_none_are_one_sentence(kind, sentence, clean, tmp_path):
    dataset, _ = clean
    tables = read_star(dataset.table.path)
    star = tmp_path / "changed.star"
    write_star(star, {**tables, "particles": changed(tables["particles"], kind)})
    broken = ParticleDataset.open(star, root=dataset.table.path.parent)
    assert has_tilt_pairs(broken) == (kind != "no pairs")
    with pytest.raises(DataError, match=sentence):
        find_tilt_pairs(broken)
