"""How far in frequency poses are compared, and the maps of found poses: what is known is used, and noise is not."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.fft

from cryodrgn_plugin.engine.ab_initio.found_maps import save_maps
from cryodrgn_plugin.engine.ab_initio.rounds import BEYOND, within_sight
from cryodrgn_plugin.engine.ab_initio.stages import Stages
from cryodrgn_plugin.engine.ab_initio.steps import Round
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.likelihood.linear_model import LinearModel
from cryodrgn_plugin.engine.likelihood.species_maps import Maps
from cryodrgn_plugin.engine.reconstruction.fsc import fsc, fsc_area
from cryodrgn_plugin.engine.reconstruction.homogeneous import reconstruct
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate import SimulationConfig, equal_parts, simulate_particles
from cryodrgn_plugin.engine.simulate.tiny import lopsided_map
from cryodrgn_plugin.engine.slicing.compute import Compute
from cryodrgn_plugin.engine.slicing.sphere import HalfSphere

BOX, AGREE_TO = 32, 7
LAST = Round(radius=15, images=10, temperature=1.0, kept=4, levels=3, crossed=True, masked=True)


def halves_agreeing_to(shell: int) -> list[list[LinearModel]]:
    """Two half-set maps of one species that are the same up to `shell` and unlike beyond it."""
    limit, rng = BOX // 2 - 1, np.random.default_rng(shell)
    backend = Compute().backend(HalfSphere(BOX, 1.5, limit), HalfPlane(BOX, limit))
    axes = scipy.fft.fftfreq(BOX, 1 / BOX), scipy.fft.fftfreq(BOX, 1 / BOX), scipy.fft.rfftfreq(BOX, 1 / BOX)
    beyond = np.sqrt(sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij"))) > shell + 0.5
    shared, *own = (scipy.fft.rfftn(rng.standard_normal((BOX,) * 3)) for _ in range(3))
    volumes = (scipy.fft.irfftn(np.where(beyond, each, shared), s=(BOX,) * 3) for each in own)
    return [[LinearModel.of(backend, volume[None])] for volume in volumes]


def test_poses_are_compared_as_far_as_the_best_known_maps_reach():
    known, well_known = halves_agreeing_to(AGREE_TO), halves_agreeing_to(BOX // 2)
    assert within_sight(LAST, Maps(known, np.ones(1))).radius == AGREE_TO + BEYOND
    both = [[*one, *other] for one, other in zip(known, well_known, strict=True)]
    assert within_sight(LAST, Maps(both, np.full(2, 0.5))).radius == LAST.radius
    assert within_sight(replace(LAST, radius=5), Maps(known, np.ones(1))).radius == 5
    # Maps that nothing checks, and rounds whose maps are not solved beyond their limit, keep the limit they are given.
    assert within_sight(LAST, Maps(known[:1], np.ones(1))) == LAST
    assert within_sight(replace(LAST, masked=False), Maps(known, np.ones(1))).radius == LAST.radius


def test_the_first_grid_reaches_further_as_maps_get_better():
    config = recipe_config("abinitio", {"ab_initio.refinements": 4})
    firsts = [plan.first_radius for plan in Stages.of(config.ab_initio, config.poses, 64, 1000).refining]
    assert firsts == sorted(firsts) and firsts[-1] > firsts[0]


def test_several_molecules_meet_at_higher_frequencies_than_conformers_of_one():
    config = recipe_config("abinitio", {})
    molecules, conformers = (
        Stages.of(config.ab_initio, config.poses, 64, 1000, species=3, distinct=distinct) for distinct in (True, False)
    )
    for stage in ("settling", "sorting", "parting"):
        higher, lower = (max(plan.radius for plan in getattr(stages, stage)) for stages in (molecules, conformers))
        assert higher > lower
    assert molecules.sorting[0].first_radius > conformers.sorting[0].first_radius
    # Both end where the box does.
    assert molecules.refining[-1].radius == conformers.refining[-1].radius == 31


@pytest.fixture(scope="module")
def posed(tmp_path_factory) -> ParticleDataset:
    """200 noisy images of a lopsided molecule, with their true poses."""
    settings = SimulationConfig(n_particles=200, box=BOX, pixel_size_ang=4.0, snr=0.1, ctf=False)
    ensemble = equal_parts([lopsided_map(BOX)], ("molecule",))
    return ParticleDataset.open(simulate_particles(ensemble, settings, tmp_path_factory.mktemp("posed"), seed=2))


def test_the_map_of_found_poses_holds_less_noise_than_a_filter_by_shells_leaves(posed, tmp_path):
    run = Run.create(tmp_path / "run", recipe_config("abinitio", {"particles": str(posed.table.path)}))
    true = lopsided_map(BOX)
    save_maps(run, posed, np.zeros(posed.n, int), 1, seed=0)
    found = fsc_area(fsc(read_map(run.found_map_file(1))[0], true))
    by_shells = fsc_area(fsc(reconstruct(posed).volume, true))
    assert found > by_shells + 0.05
