"""What a latent space holds beside the molecule is told; that images tell less from some sides is not."""

import shutil

import numpy as np
import pytest

from cryodrgn_plugin.engine.analysis.truth import Truth
from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.decoders.decoder_registry import make_linear_decoder
from cryodrgn_plugin.engine.decoders.model_file import save_model
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate import simulate_particles
from cryodrgn_plugin.engine.simulate.presets import PRESETS
from cryodrgn_plugin.engine.validation.leakage import OVERT, leaks, second_moments
from cryodrgn_plugin.engine.validation.shared_contrast import PartAmplitudes, SharedContrast, parts_of

pytestmark = pytest.mark.slow

N = 3000


def in_steps(z, count=8):
    """(N, M) membership of places on a line: each particle in one of `count` equally filled parts."""
    step = (np.argsort(np.argsort(z)) * count) // len(z)
    return np.eye(count)[step]


def leaks_of(z, membership, quantities):
    found = leaks(z.reshape(len(z), -1), membership, quantities, permutations=99, tested=len(z), seed=0)
    return {leak.name: leak for leak in found}


def test_leaks_are_found_in_their_strength_and_nothing_else():
    rng = np.random.default_rng(4)
    defocus, micrograph = rng.normal(size=N), rng.integers(0, 30, N)
    z = defocus + rng.normal(size=N)
    quantities = {
        "defocus": defocus,
        "shift": rng.normal(size=(N, 2)),
        "micrograph": np.array([f"m{k}.mrc" for k in micrograph], object),
    }
    found = leaks_of(z, in_steps(z), quantities)
    assert found["defocus"].share == pytest.approx(0.5, abs=0.06)  # half of z's variance is defocus
    assert found["defocus"].strength(0.01) == "strong"
    assert found["shift"].strength(0.01) == found["micrograph"].strength(0.01) == "none"


def test_particles_that_lie_nearer_the_middle_because_their_images_tell_less_are_no_leak():
    """Two states, equally frequent at any defocus; the noise of what an image says grows with it."""
    rng = np.random.default_rng(0)
    state, defocus = rng.choice([-1.0, 1.0], N), rng.uniform(0, 1, N)
    noise = 0.3 + 3 * defocus
    seen = state + noise * rng.normal(size=N)
    odds = np.exp(-2 * seen / noise**2)
    membership = np.stack([1 / (1 + odds), odds / (1 + odds)], axis=1)
    place = membership @ [1.0, -1.0]
    leak = leaks_of(place, membership, {"defocus": defocus})["defocus"]
    assert leak.nearby > 0.3  # what neighbours predict, and what is no reason for alarm
    assert abs(leak.share) < 0.01 and leak.strength(0.01) in ("none", "weak")


def test_a_state_that_prefers_a_defocus_is_told_however_uncertain_the_images():
    rng = np.random.default_rng(1)
    defocus = rng.uniform(0, 1, N)
    state = np.where(rng.uniform(size=N) < defocus, 1.0, -1.0)
    seen = state + 0.7 * rng.normal(size=N)
    odds = np.exp(-2 * seen / 0.49)
    membership = np.stack([1 / (1 + odds), odds / (1 + odds)], axis=1)
    leak = leaks_of(membership[:, 0], membership, {"defocus": defocus})["defocus"]
    assert leak.share > 0.15 and leak.p_value == 0.01


def test_a_latent_space_of_micrographs_is_seen_as_one():
    rng = np.random.default_rng(5)
    micrograph = rng.integers(0, 4, 800)
    names = micrograph.astype(str).astype(object)
    z = 10.0 * micrograph + rng.normal(size=800)
    assert leaks_of(z, np.eye(4)[micrograph], {"micrograph": names})["micrograph"].share > 0.95


def test_a_view_and_its_opposite_may_leak_together():
    rng = np.random.default_rng(6)
    views = rng.normal(size=(N, 3))
    views /= np.linalg.norm(views, axis=1, keepdims=True)
    z = np.abs(views[:, 2]) + 0.02 * rng.normal(size=N)
    leak = leaks_of(z, in_steps(z), {"viewing axis": second_moments(views)})["viewing axis"]
    assert leak.share > 0.15 and leak.chance < 0.01


def test_what_a_latent_space_holds_and_its_maps_do_not_show_is_told_all_the_same():
    rng = np.random.default_rng(7)
    psi = rng.uniform(0, 2 * np.pi, N)
    circle = np.stack([np.cos(psi), np.sin(psi)], axis=1)
    z = circle + 0.05 * rng.normal(size=(N, 2))
    leak = leaks_of(z, np.full((N, 5), 0.2), {"in-plane angle": circle})["in-plane angle"]
    assert abs(leak.share) < 0.01 and leak.told > OVERT and leak.strength(0.01) == "strong"


# --- contrast -------------------------------------------------------------------------------------------------------


PRESENT = np.array([[1, 1, 0, 0, 0], [0, 0, 1, 1, 1], [1, 1, 1, 1, 1]], float)
"""What states of a molecule of five parts have of each: the first two, the other three, or all."""


def images_of(amplitudes, seed=0):
    """What images of these amplitudes (N, P) say of them, parts lying over one another in projection."""
    n, p = amplitudes.shape
    gram = 6 * np.eye(p) + 2 + np.random.default_rng(seed).uniform(0, 1, n)[:, None, None]
    noise = np.linalg.cholesky(gram) @ np.random.default_rng([seed, 1]).normal(size=(n, p, 1))
    return PartAmplitudes(gram, (gram @ amplitudes[:, :, None] + noise)[:, :, 0])


def states_and_contrasts(spread, seed=2):
    """(N,) states, 20 : 30 : 50, and contrasts that know nothing of them."""
    rng = np.random.default_rng(seed)
    return rng.choice(3, N, p=[0.2, 0.3, 0.5]), 1 + spread * rng.normal(size=N)


def test_parts_that_come_and_go_share_no_contrast_even_between_states_that_are_mixtures():
    state, _ = states_and_contrasts(0)
    measured = SharedContrast(images_of(PRESENT[state]))
    mixed = np.array([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.1, 0.1, 0.8]])[state]
    assert measured.variance < 0.002
    assert measured.share(np.eye(3)[state]) < 0.02 and measured.share(mixed) < 0.02


def test_the_variance_of_contrasts_is_measured_beside_a_part_that_comes_and_goes():
    state, contrast = states_and_contrasts(0.25)
    present = np.where(state[:, None] == 0, [1, 1, 1, 1, 0.0], 1.0)
    measured = SharedContrast(images_of(contrast[:, None] * present))
    assert measured.variance**0.5 == pytest.approx(0.25, abs=0.02)
    assert measured.share(np.eye(3)[state]) < 0.02


@pytest.mark.parametrize("correlation", [0.3, 0.6, 0.9])
def test_states_that_follow_contrast_carry_the_square_of_the_correlation(correlation):
    rng = np.random.default_rng(3)
    place = rng.normal(size=N)
    contrast = 1 + 0.2 * (correlation * place + np.sqrt(1 - correlation**2) * rng.normal(size=N))
    present = np.where(rng.uniform(size=N)[:, None] < 0.3, [1, 1, 1, 1, 0.0], 1.0)
    parts = images_of(contrast[:, None] * present)
    leak = leaks(place[:, None], in_steps(place), {}, permutations=99, tested=N, seed=0, parts=parts)[0]
    assert leak.name == "contrast" and leak.p_value == 0.01
    assert leak.share == pytest.approx(correlation**2, rel=0.35)
    assert leak.strength(0.01) in ("clear", "strong")


def test_a_molecule_is_cut_into_parts_that_are_all_of_it():
    z, y, x = np.indices((24,) * 3) - 12
    volume = sum(np.exp(-(x**2 + y**2 + (z - place) ** 2) / 12.0) for place in (-5, 0, 6)).astype(np.float32)
    parts = parts_of(volume)
    assert len(parts) == 8 and ((parts > 0).sum(axis=0) <= 1).all()
    assert parts.sum() > 0.97 * volume.sum()
    assert parts.sum(axis=(1, 2, 3)).min() > 0.03 * volume.sum()


def simulated(folder, preset, **settings):
    """800 images of 24 pixels; the star file."""
    molecule = PRESETS[preset]
    return simulate_particles(molecule.make(10), molecule.config(24, n_particles=800, **settings), folder, 0)


def validated(run):
    """Leaks by name, and the sentence about them."""
    assert main(["validate", str(run.path), "--halves", "no", "--bootstrap", "20"]) == 0
    index = run.results("validation").index
    return {leak["name"]: leak for leak in index["leakage"]}, next(
        each for each in index["verdict"]["sentences"] if "The latent space" in each
    )


def planted(folder, star, z, volumes):
    """A finished run whose particles lie at z (N, K) and whose map at z is volumes[0] + Σ z_k volumes[k]."""
    settings = {"particles": str(star), "z_dim": z.shape[1], "decoder.n_bases": z.shape[1]}
    run = Run.create(folder, recipe_config("fast", settings))
    decoder = make_linear_decoder(run.config, volumes.shape[1])
    decoder.set_volumes(volumes.astype(np.float32))
    with run.working():
        for file in (run.model_file, run.half_file(1), run.half_file(2)):
            save_model(file, run.config, decoder, None, ParticleDataset.open(star).pixel_size_ang)
        run.save_latents(z, half=np.arange(len(z)) % 2)
    return run


def test_a_latent_space_that_follows_contrast_is_told_to(tmp_path):
    star = simulated(tmp_path / "set", "adk", snr=0.2, contrast_sd=0.3)
    known = Truth.open(star.parent)
    contrast = np.load(star.with_name("truth.npz"))["contrast"]
    mean = known.maps.mean(axis=0)
    run = planted(tmp_path / "run", star, (contrast - 1)[:, None], np.stack([mean, mean]))
    found, sentence = validated(run)
    assert found["contrast"]["share"] > 0.5 and found["contrast"]["p_value"] <= 0.01
    assert sentence.startswith("The latent space follows contrast (")
    assert max(leak["share"] for name, leak in found.items() if name != "contrast") < 0.1


def test_parts_that_come_and_go_are_no_contrast(tmp_path):
    """30S, 50S and 70S, of a third to all of the mass: an image of the smallest is faint beside the mean map."""
    star = simulated(tmp_path / "set", "compositional", snr=0.1)
    known = Truth.open(star.parent)
    first, *others = known.maps
    z = np.eye(len(known.maps))[known.state][:, 1:]
    run = planted(tmp_path / "run", star, z, np.stack([first, *(volume - first for volume in others)]))
    found, sentence = validated(run)
    assert sentence.startswith("The latent space follows none of viewing direction")
    assert found["contrast"]["share"] < 0.03


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A run of the fast recipe on a clean set."""
    folder = tmp_path_factory.mktemp("clean")
    star = simulated(folder / "set", "adk", snr=0.2)
    run = Run.create(folder / "run", recipe_config("fast", {"particles": str(star), "z_dim": 4}))
    with run.working():
        fit(run, run.config)
    return run


def test_a_clean_set_gives_no_alarm(clean):
    found, sentence = validated(clean)
    assert sentence.startswith("The latent space follows none of viewing direction")
    assert max(leak["share"] for leak in found.values()) < 0.1


def test_errors_that_a_training_has_found_are_tested(clean, tmp_path):
    run = Run.open(shutil.copytree(clean.path, tmp_path / "run"))
    with np.load(run.latents_file) as stored:
        arrays = dict(stored)
    rng = np.random.default_rng(0)
    turned = arrays["coordinate"][:, None] * [2.0, 0, 0] + 0.2 * rng.normal(size=(800, 3))
    arrays["pose_correction"] = np.concatenate([turned, rng.normal(size=(800, 2))], axis=1)
    arrays["defocus_correction"] = 300 * arrays["coordinate"] + 30 * rng.normal(size=800)
    np.savez(run.latents_file, **arrays)
    found, sentence = validated(run)
    assert "error of the rotation (" in sentence and "contrast" not in sentence.split("Look")[0]
    assert found["error of the defocus"]["share"] > 0.3
    assert found["error of the rotation"]["share"] > 0.3 > 0.05 > abs(found["error of the shift"]["share"])
