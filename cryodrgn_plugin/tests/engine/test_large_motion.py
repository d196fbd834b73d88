"""Half of a compact chain turned far about a bond of its backbone: neighbours across the halves part on the way."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.atomic_motion.bead_overlap import density
from cryodrgn_plugin.engine.atomic_motion.displacements import gyration_px
from cryodrgn_plugin.engine.atomic_motion.model_in_run import laid_into
from cryodrgn_plugin.engine.atomic_motion.node_maps import NodeMaps
from cryodrgn_plugin.engine.simulate.presets import adenylate_kinase

pytestmark = pytest.mark.slow

BOX, PIXEL_ANG, SIGMA_PX, NOISE = 40, 2.5, 0.7, 0.02
ANGLES_DEG = np.arange(0.0, 90.0, 8.0)


@pytest.fixture(scope="module")
def chain():
    """Residues of adenylate kinase as CA atoms around their middle, and the residue that the hinge is at."""
    model = adenylate_kinase(1).states[0]
    model = model[np.unique(model.residues, return_index=True)[1]]
    model = model.moved(model.coords_ang - model.coords_ang.mean(axis=0))
    return model, len(model) // 2


def turned(model, hinge: int, angle_deg: float) -> np.ndarray:
    coords = model.coords_ang.copy()
    pivot, axis = coords[hinge], coords[hinge + 1] - coords[hinge]
    turn = Rotation.from_rotvec(np.radians(angle_deg) * axis / np.linalg.norm(axis))
    coords[hinge + 1 :] = turn.apply(coords[hinge + 1 :] - pivot) + pivot
    return coords


def test_a_large_motion_of_a_small_protein_is_followed_to_its_end(chain):
    model, hinge = chain
    true = [turned(model, hinge, angle) for angle in ANGLES_DEG]
    clean = np.stack([density(coords / PIXEL_ANG, model.weights, SIGMA_PX, BOX) for coords in true])
    noise = NOISE * clean.max() * np.random.default_rng(0).standard_normal((2, *clean.shape))
    points, share = np.arange(float(len(true)))[:, None], np.full(len(true), 1 / len(true))
    halves = (clean + noise).astype(np.float32)
    maps = NodeMaps(points.astype(np.float32), points, share, halves.mean(axis=0), halves)
    found = laid_into(model, maps, PIXEL_ANG, most_parts=4)
    placed = found.atoms_at(points)
    errors = [np.sqrt(np.square(one - wanted).sum(axis=1).mean()) for one, wanted in zip(placed, true, strict=True)]
    assert max(errors) < 1.5
    beyond = np.arange(len(model)) > hinge  # but for residues on the axis itself
    assert found.parts == 2 and max((found.part_of_atom == beyond).mean(), (found.part_of_atom != beyond).mean()) > 0.97


def test_the_radius_of_gyration_is_that_of_a_ball():
    grid = np.stack(np.meshgrid(*[np.arange(-10, 11)] * 3, indexing="ij"), axis=-1).reshape(-1, 3).astype(float)
    ball = grid[np.linalg.norm(grid, axis=1) < 9]
    assert gyration_px(ball, np.ones(len(ball))) == pytest.approx(0.6**0.5 * 9, rel=0.02)
