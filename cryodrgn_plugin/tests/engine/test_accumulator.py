"""The sums of a backprojection: against slow loops, and against planted maps, noise and weights."""

from pathlib import Path

import numba
import numpy as np
import pytest

from cryodrgn_plugin.engine.errors import ConfigError
from cryodrgn_plugin.engine.geometry.rotations import random_matrices
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.reconstruction.accumulator import Accumulator, precision_from_fsc, precision_from_power
from cryodrgn_plugin.engine.reconstruction.fsc import fsc, shell_power
from cryodrgn_plugin.engine.slicing.exact import RelionProjector

GOLDEN = Path(__file__).parents[1] / "data" / "relion_golden"
BOX = 48
LATTICE = HalfPlane(BOX, BOX // 2 - 1)


@pytest.fixture(scope="module")
def truth():
    return read_map(GOLDEN / "map.mrc")[0]


@pytest.fixture(scope="module")
def perfect(truth):
    """(spectra, rotations) of 1,200 projections without CTF."""
    rotations = random_matrices(1200, np.random.default_rng(0))
    return RelionProjector(truth).slices(rotations, LATTICE), rotations


def ctf_like(count, rng):
    """Oscillating transfer functions of different period, (count, F)."""
    k = np.sqrt((LATTICE.indices**2).sum(1))
    return np.sin(0.2 + rng.uniform(0.01, 0.04, count)[:, None] * k**2).astype(np.float32)


def complex_noise(shape, rng, sigma=1.0):
    """E|n|² = sigma²."""
    return (sigma * (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(2)).astype(np.complex64)


def slow_sums(spectra, ctf, rotations, lattice, grid, padding):
    """Every coefficient of the full plane onto a full grid, one neighbour at a time; [z, y, x]."""
    numerator, weight = np.zeros((grid,) * 3, complex), np.zeros((grid,) * 3)
    pairs = []
    for i, (k, times) in enumerate(zip(lattice.indices, lattice.multiplicity, strict=True)):
        pairs.append((k, i, False))
        if times == 2:
            pairs.append((-k, i, True))
    for image, c, rotation in zip(spectra, ctf, rotations, strict=True):
        for k, i, conjugate in pairs:
            q = (k[0] * rotation[0] + k[1] * rotation[1]) * padding
            value = np.conj(image[i]) if conjugate else image[i]
            base = np.floor(q).astype(int)
            for offset in np.ndindex(2, 2, 2):
                t = np.prod(np.where(offset, q - base, 1 - (q - base)))
                x, y, z = base + offset + grid // 2
                numerator[z, y, x] += t * c[i] * value
                weight[z, y, x] += t * c[i] ** 2
    return numerator, weight


def test_sums_equal_the_slow_loop_over_the_full_plane_and_grid():
    lattice = HalfPlane(8, 3)
    rng = np.random.default_rng(1)
    rotations = random_matrices(3, rng)
    spectra = complex_noise((3, lattice.size), rng)
    spectra[:, 0].imag = 0
    ctf = rng.uniform(0.2, 1, (3, lattice.size)).astype(np.float32)
    sums = Accumulator(lattice, 2.0)
    sums.add(spectra, ctf, rotations)
    sphere = sums.sphere
    grid = 2 * sphere.half_width + 4
    numerator, weight = slow_sums(spectra, ctf, rotations, lattice, grid, sphere.step)
    x, y, z = sphere.indices.T + grid // 2
    both = sphere.symmetrize(sums.sums[:, :2, None].copy(), total=True)[:, :, 0]
    np.testing.assert_allclose(both[:, 0] + 1j * both[:, 1], numerator[z, y, x], atol=1e-5)
    np.testing.assert_allclose(sphere.symmetrize_real(sums.sums[:, 2:].copy())[:, 0], weight[z, y, x], atol=1e-5)


def test_the_result_does_not_depend_on_the_number_of_threads(perfect):
    spectra, rotations = (a[:40] for a in perfect)
    before = numba.get_num_threads()
    results = []
    try:
        for threads in range(1, min(4, numba.config.NUMBA_NUM_THREADS) + 1):
            numba.set_num_threads(threads)
            sums = Accumulator(LATTICE)
            sums.add(spectra, np.ones(spectra.shape, np.float32), rotations)
            results.append(sums.sums)
    finally:
        numba.set_num_threads(before)
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


def test_a_planted_map_comes_back_through_oscillating_transfer_functions(perfect, truth):
    spectra, rotations = perfect
    ctf = ctf_like(len(spectra), np.random.default_rng(2))
    sums = Accumulator(LATTICE)
    sums.add(spectra * ctf, ctf, rotations)
    volume = sums.volume()
    assert fsc(volume, truth)[1 : int(0.8 * BOX / 2) + 1].min() > 0.98
    assert (volume * truth).sum() / (truth**2).sum() == pytest.approx(1, abs=0.01)
    premultiplied = Accumulator(LATTICE)
    premultiplied.add(spectra * ctf**2, ctf, rotations, ctf_multiplied=True)
    np.testing.assert_allclose(premultiplied.volume(), volume, atol=1e-4 * volume.max())


def test_a_weight_is_how_often_a_particle_counts(perfect):
    spectra, rotations = (a[:60] for a in perfect)
    ctf = np.ones(spectra.shape, np.float32)
    weighted, repeated = Accumulator(LATTICE), Accumulator(LATTICE)
    weighted.add(spectra, ctf, rotations, weights=np.repeat([0.0, 1.0, 2.0], 20))
    twice = np.r_[20:40, 40:60, 40:60]
    repeated.add(spectra[twice], ctf[twice], rotations[twice])
    np.testing.assert_allclose(weighted.sums, repeated.sums, rtol=1e-4, atol=1e-2)


def test_halves_add_up_to_all_and_other_grids_do_not(perfect):
    spectra, rotations = (a[:40] for a in perfect)
    ctf = np.ones(spectra.shape, np.float32)
    parts = [Accumulator(LATTICE) for _ in range(3)]
    for part, chosen in zip(parts, (slice(0, 20), slice(20, 40), slice(0, 40)), strict=True):
        part.add(spectra[chosen], ctf[chosen], rotations[chosen])
    together = parts[0] + parts[1]
    np.testing.assert_allclose(together.sums, parts[2].sums, rtol=1e-4, atol=1e-2)
    with pytest.raises(ConfigError, match="same grid"):
        parts[0] + Accumulator(LATTICE, 1.5)


def test_noise_power_of_the_map_is_the_one_foretold():
    rng = np.random.default_rng(3)
    count = 1500
    rotations, ctf = random_matrices(count, rng), ctf_like(count, rng)
    variance = np.linspace(1, 4, LATTICE.size).astype(np.float32)
    sums = Accumulator(LATTICE)
    sums.add(complex_noise(ctf.shape, rng) * np.sqrt(variance), ctf, rotations, noise_variance=variance)
    inner = slice(4, BOX // 2 - 2)
    ratio = shell_power(sums.volume())[inner] / sums.noise_power()[inner]
    assert ratio.mean() == pytest.approx(1, abs=0.1)
    np.testing.assert_allclose(ratio, 1, atol=0.3)


def test_noisy_groups_count_for_less_when_their_noise_is_known(perfect, truth):
    spectra, rotations = perfect
    rng = np.random.default_rng(4)
    sigma = np.where(np.arange(len(spectra)) % 2, 30.0, 3000.0)[:, None]
    noisy = spectra + sigma * complex_noise(spectra.shape, rng)
    ctf = np.ones(spectra.shape, np.float32)
    known, unknown = Accumulator(LATTICE), Accumulator(LATTICE)
    known.add(noisy, ctf, rotations, noise_variance=np.broadcast_to(sigma**2, spectra.shape))
    unknown.add(noisy, ctf, rotations)
    assert fsc(known.volume(), truth)[1:15].mean() > fsc(unknown.volume(), truth)[1:15].mean() + 0.1


@pytest.fixture(scope="module")
def noisy_halves(perfect):
    spectra, rotations = perfect
    rng = np.random.default_rng(5)
    ctf = ctf_like(len(spectra), rng)
    sigma = 400.0
    noisy = spectra * ctf + sigma * complex_noise(spectra.shape, rng)
    halves = [Accumulator(LATTICE) for _ in range(2)]
    for half, total in enumerate(halves):
        own = slice(half, None, 2)
        total.add(noisy[own], ctf[own], rotations[own], noise_variance=np.full(LATTICE.size, sigma**2, np.float32))
    return halves


@pytest.mark.parametrize("prior", ["halves", "power"])
def test_the_wiener_filter_comes_near_the_best_filter_per_shell(noisy_halves, truth, prior):
    total = noisy_halves[0] + noisy_halves[1]
    plain = total.volume()
    if prior == "halves":
        curve = fsc(*(half.volume() for half in noisy_halves))
        filtered = total.volume(precision_from_fsc(curve, total.mean_weight() / 2))
    else:
        filtered = total.volume(precision_from_power(total))
    # What a filter per shell that knows the truth would leave: Σ |V|² (1 − FSC²).
    times = np.bincount(np.rint(np.linalg.norm(np.indices((BOX,) * 3) - BOX // 2, axis=0)).astype(int).ravel())
    power = shell_power(truth) * times[: BOX // 2 + 1]
    best = (power * (1 - fsc(plain, truth) ** 2)).sum() / BOX**3
    error = ((filtered - truth) ** 2).sum()
    assert error < 0.2 * ((plain - truth) ** 2).sum()
    assert error < 1.2 * best
