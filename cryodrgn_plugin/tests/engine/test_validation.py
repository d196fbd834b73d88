"""Validation: what is planted is found, what is not there is not, and the page says so."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser

import numpy as np
import pytest
from scipy.special import logsumexp

from cryodrgn_plugin.engine.analysis.oracle import state_log_likelihoods
from cryodrgn_plugin.engine.analysis.run_particles import particles_of
from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.errors import ConfigError, DataError
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.likelihood.whitened import WhitenedImages
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate import Ensemble, SimulationConfig, simulate_particles
from cryodrgn_plugin.engine.simulate.presets import PRESETS
from cryodrgn_plugin.engine.validation import halves
from cryodrgn_plugin.engine.validation.agreement import agreement
from cryodrgn_plugin.engine.validation.consensus import consensus
from cryodrgn_plugin.engine.validation.halves import HalfModel, deal
from cryodrgn_plugin.engine.validation.heterogeneity import HeterogeneityTest, permutation_test
from cryodrgn_plugin.engine.validation.leakage import Leak
from cryodrgn_plugin.engine.validation.sensitivity import Sensitivity
from cryodrgn_plugin.engine.validation.validation_options import ValidateOptions
from cryodrgn_plugin.engine.validation.validation_report import validate
from cryodrgn_plugin.engine.validation.verdict import judge
from cryodrgn_plugin.tests.engine.planted_run import planted_run

pytestmark = pytest.mark.slow

BOX, N = 24, 500
QUICK = ["--states", "2", "--nodes", "8", "--permutations", "99"]


def simulated(folder, shares, seed=0, snr=0.3, n=N, **settings):
    """Adenylate kinase, open and closed by `shares`; its star file."""
    ends = PRESETS["adk"].make(2).states[: len(shares)]
    ensemble = Ensemble(ends, np.arange(len(ends), dtype=float), np.array(shares))
    config = SimulationConfig(n_particles=n, box=BOX, pixel_size_ang=115.2 / BOX, snr=snr, shift_px=1, **settings)
    return simulate_particles(ensemble, config, folder, seed)


@pytest.fixture(scope="module")
def two_states(tmp_path_factory):
    return simulated(tmp_path_factory.mktemp("two"), (0.7, 0.3))


@pytest.fixture(scope="module")
def one_state(tmp_path_factory):
    return simulated(tmp_path_factory.mktemp("one"), (1.0,), contrast_sd=0.25)


def outcome(star, maps, population, seed=0):
    """The permutation test of a set against given maps, the same for both halves; its images beside it."""
    dataset = ParticleDataset.open(star)
    images = WhitenedImages(dataset, estimate_noise(dataset))
    model = HalfModel(np.arange(len(maps))[:, None].astype(float), np.asarray(population), np.asarray(maps))
    half = np.arange(dataset.n) % 2
    test = permutation_test(dataset, images, half, (model, model), permutations=99, tested=dataset.n, seed=seed,
                            report=lambda *_: None)  # fmt: skip
    return test, images


def true_maps(star):
    return np.stack([read_map(path)[0] for path in sorted(star.parent.glob("maps/*.mrc"))])


def test_true_states_gain_what_their_likelihoods_say_and_chance_gains_less_than_nothing(two_states):
    maps = true_maps(two_states)
    test, images = outcome(two_states, maps, (0.7, 0.3))
    mean = 0.7 * maps[0] + 0.3 * maps[1]
    scores = state_log_likelihoods(images, np.concatenate([mean[None], maps]))
    expected = (logsumexp(scores[:, 1:] + np.log([0.7, 0.3]), axis=1) - scores[:, 0]).mean()
    assert test.gain == pytest.approx(expected, abs=2e-3)
    assert test.gain > 0 > test.by_chance.max()
    assert test.p_value == 0.01


def test_shuffled_residuals_are_as_likely_as_those_of_a_molecule_in_one_state(one_state):
    """Directions that are not there: the real images gain what shuffled ones gain, on three seeds."""
    mean = true_maps(one_state)[0]
    p_values = []
    for seed in range(3):
        noise = np.random.default_rng(seed).normal(size=(2, *mean.shape)) * 0.3 * mean.std()
        p_values.append(outcome(one_state, mean + noise - noise.mean(0), (0.5, 0.5), seed)[0].p_value)
    assert min(p_values) > 0.02


def test_contrast_is_no_heterogeneity(one_state):
    """States that are the same map, brighter and fainter, explain images of varying contrast, and prove nothing."""
    mean = true_maps(one_state)[0]
    test, _ = outcome(one_state, np.stack([0.75 * mean, mean, 1.25 * mean]), (0.3, 0.4, 0.3))
    assert test.gain > 0.3
    assert test.p_value > 0.02
    assert test.contrast_spread == pytest.approx(0.25, abs=0.05)


def test_one_state_gains_exactly_nothing(one_state):
    test, _ = outcome(one_state, true_maps(one_state), (1.0,))
    assert test.gain == 0 and not test.by_chance.any() and test.p_value == 1


# --- agreement ------------------------------------------------------------------------------------------------------


def test_canonical_correlations_are_the_roots_of_the_textbook_matrix():
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(400, 2))
    a = shared @ rng.normal(size=(2, 3)) + rng.normal(size=(400, 3))
    b = shared @ rng.normal(size=(2, 4)) + rng.normal(size=(400, 4))
    joint = np.cov(np.c_[a, b].T)
    saa, sab, sbb = joint[:3, :3], joint[:3, 3:], joint[3:, 3:]
    roots = np.linalg.eigvals(np.linalg.solve(saa, sab) @ np.linalg.solve(sbb, sab.T))
    np.testing.assert_allclose(agreement(a, b).correlation, np.sort(np.sqrt(roots.real))[::-1], atol=1e-6)


def test_the_same_places_in_other_axes_agree_fully():
    rng = np.random.default_rng(1)
    z = rng.normal(size=(500, 3)) * [5, 1, 0.2]
    found = agreement(z, z @ rng.normal(size=(3, 3)) * 7 + 2)
    assert found.shared == 3
    assert found.confidence().min() > 0.99


def test_unrelated_places_share_nothing_and_nobody_is_sure():
    rng = np.random.default_rng(2)
    found = agreement(rng.normal(size=(800, 4)), rng.normal(size=(800, 4)))
    assert found.shared <= 1  # one time in twenty chance reaches its own 95th percentile
    assert found.confidence().mean() < 0.1


def test_confidence_is_low_for_the_particles_that_were_placed_apart():
    rng = np.random.default_rng(3)
    z = rng.choice([-1.0, 1.0], 1000)[:, None] + 0.1 * rng.normal(size=(1000, 1))
    other = z.copy()
    other[:150] = other[rng.permutation(1000)[:150]]
    moved = np.abs(other - z)[:, 0] > 1
    confidence = agreement(z, other).confidence()
    assert confidence[~moved].min() > 0.6 and confidence[moved].max() < 0.1


def test_a_latent_space_of_one_point_agrees_with_nothing():
    found = agreement(np.zeros((100, 2)), np.random.default_rng(0).normal(size=(100, 2)))
    assert found.shared == 0 and not found.confidence().any()


def test_halves_share_no_particle_and_keep_tilts_together(tmp_path):
    particles = particles_of(planted_run(tmp_path, n=300))
    half = deal(particles, np.arange(300), 0, seed=1)
    assert sorted(np.bincount(half)) == [150, 150]
    part = deal(particles, np.arange(300), 100, seed=1)
    assert (part >= 0).sum() == 100 and sorted(np.bincount(part[part >= 0])) == [50, 50]
    particles.table.frame["rlnTomoParticleName"] = np.arange(300) // 2
    pairs = deal(particles, np.arange(300), 0, seed=1).reshape(-1, 2)
    assert (pairs[:, 0] == pairs[:, 1]).all()


# --- verdict and page -----------------------------------------------------------------------------------------------

CHANCE = np.linspace(-1.2, -0.8, 199)
GOOD = agreement(np.random.default_rng(0).normal(size=(300, 1)), np.random.default_rng(0).normal(size=(300, 1)))
BAD = agreement(np.zeros((300, 1)), np.zeros((300, 1)))
CLEAN = [Leak("defocus", 0.01, 0.02, 0.4)]
LEAKING = [Leak("viewing direction", 0.6, 0.02, 0.005)]


@pytest.mark.parametrize(
    ("gain", "halves", "found_leaks", "expected", "said"),
    [
        (2.0, GOOD, CLEAN, "found", "two independent halves of the particles agree"),
        (-1.0, GOOD, CLEAN, "none", "No heterogeneity found"),
        (-0.5, GOOD, CLEAN, "none", "No heterogeneity found"),
        (2.0, BAD, CLEAN, "partial", "halves of the particles do not agree"),
        (2.0, GOOD, LEAKING, "partial", "follows viewing direction"),
    ],
)
def test_the_verdict_follows_from_the_measurements(gain, halves, found_leaks, expected, said):
    test = HeterogeneityTest(gain, CHANCE, 0.0, 1000)
    verdict = judge((test, halves, halves.confidence()), found_leaks, [], 0.01)
    assert verdict.outcome == expected and said in verdict.headline


def test_halves_that_agree_on_contrast_alone_have_found_no_states():
    verdict = judge((HeterogeneityTest(0.7, CHANCE + 1.7, 0.2, 1000), GOOD, GOOD.confidence()), CLEAN, [], 0.01)
    assert verdict.outcome == "none" and "beyond differences in contrast" in verdict.headline


def test_what_noise_could_have_given_is_not_found_whatever_the_halves_say():
    test = HeterogeneityTest(2.0, CHANCE, 0.0, 1000)
    brief = "; a part of 2.1% of the molecule (about 19 kDa) absent from half of the particles would have been"
    unseen, seen = Sensitivity(0, "What would have been seen: a part.", brief), Sensitivity(2, "", brief)
    verdict = judge((test, GOOD, GOOD.confidence()), CLEAN, [], 0.01, None, unseen)
    assert verdict.outcome == "none" and verdict.headline == f"No heterogeneity found{brief}."
    assert any(said.startswith("No directions of variation stand out") for said in verdict.sentences)
    assert judge((test, GOOD, GOOD.confidence()), CLEAN, [], 0.01, None, seen).outcome == "found"
    worse = HeterogeneityTest(-1.0, CHANCE, 0.0, 1000)
    unsure = judge((worse, GOOD, GOOD.confidence()), CLEAN, [], 0.01, None, seen)
    assert unsure.outcome == "none" and unsure.headline == (
        "Heterogeneity not confirmed: 2 directions of variation stand out from noise in all particles, but not in half "
        "of them."
    )


def test_without_halves_nothing_is_claimed():
    verdict = judge(None, CLEAN, [], 0.01)
    assert verdict.outcome == "untested" and "defocus" in verdict.sentences[0]


class Page(HTMLParser):
    """Tags in order, sources of images, and text of the headings."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.images, self.headings, self._open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in ("meta", "img", "link"):
            self._open.append(tag)
        if tag == "img":
            self.images.append(dict(attributes)["src"])

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] == "h2":
            self.headings.append(data)


@pytest.fixture(scope="module")
def validated(two_states, tmp_path_factory):
    """A run of the two states, validated by the command line."""
    few = {"particles": str(two_states), "z_dim": 2, "closed_form.iterations": 4, "closed_form.n_components": 2,
           "closed_form.nodes": 8}  # fmt: skip
    run = Run.create(tmp_path_factory.mktemp("runs") / "run", recipe_config("fast", few))
    with run.working():
        fit(run, run.config)
    assert main(["validate", str(run.path), "--also", str(run.path), *QUICK]) == 0
    return run


def test_two_states_are_found_with_their_populations_inside_the_intervals(validated):
    found = json.loads((validated.results_dir("validation") / "validation.json").read_text())
    assert found["verdict"]["outcome"] == "found"
    assert (
        found["directions"]["worst_ang"] < 1.5 * found["directions"]["mean_ang"]
        and not found["directions"]["far_worse"]
    )
    assert found["sensitivity"]["directions"] > 0 and "come and go" in found["sensitivity"]["smallest"]
    assert found["halves"]["particles"] == [N // 2, N // 2] and found["halves"]["correlation"][0] > 0.9
    for row, true in zip(sorted(found["populations"], key=lambda row: -row["likely"][0]), (0.7, 0.3), strict=True):
        _, low, high = row["likely"]
        assert low <= true <= high
    assert found["consensus"][0]["same_classes"] == 1


def test_the_page_stands_alone_with_the_verdict_first(validated):
    text = (validated.results_dir("validation") / "validation.html").read_text()
    page = Page(text)
    assert page.headings[0].startswith("Heterogeneity found, and two independent halves")
    assert len(page.images) == 6 and all(source.startswith("data:image/png;base64,") for source in page.images)
    assert not re.search(r"https?://|<script|<link|url\(", text) and "$" not in re.sub(r"base64,[^\"]*", "", text)


def test_confidence_is_what_a_selection_reads(validated):
    assert main(["select", str(validated.path), "--where", "confidence > 0.9"]) == 0
    taken = json.loads((validated.results_dir("selection", "selected") / "selection.json").read_text())["selected"]
    stored = np.load(validated.results_dir("validation") / "confidence.npz")
    assert taken == (stored["confidence"] > 0.9).sum() > 0.7 * N
    assert (stored["rows"] == np.arange(N)).all()


def test_the_runs_of_the_halves_are_whole_when_they_are_kept(validated, tmp_path):
    copied = tmp_path / "run"
    shutil.copytree(validated.path, copied)
    assert main(["validate", str(copied), "--nodes", "4", "--permutations", "99", "--keep-halves"]) == 0
    names = []
    for name in ("half1", "half2"):
        half = Run.open(copied / "validation" / name)
        assert half.status == "finished" and len(half.latents().z) == N // 2
        names += particles_of(half).frame["rlnImageName"].tolist()
    assert sorted(names) == sorted(particles_of(validated).frame["rlnImageName"])


def test_nothing_of_the_halves_stays_behind(validated):
    kept = {path.name for path in validated.results_dir("validation").iterdir()}
    assert kept == {"validation.json", "validation.html", "confidence.npz", "figures"}


def test_a_validation_that_was_killed_between_its_halves_goes_on_and_equals_an_uninterrupted_one(validated, tmp_path):
    # All in processes of their own: code compiled in this one may differ in last bits from what others find compiled.
    runs = [tmp_path / "whole", tmp_path / "killed"]
    for copied in runs:
        shutil.copytree(validated.path, copied, ignore=shutil.ignore_patterns("validation", "selections"))
    whole, killed = (
        [
            sys.executable,
            "-m",
            "cryodrgn_plugin.engine.cli",
            "validate",
            str(copied),
            "--also",
            str(validated.path),
            *QUICK,
        ]
        for copied in runs
    )
    subprocess.run(whole, check=True, stdout=subprocess.DEVNULL)
    process = subprocess.Popen(killed, stdout=subprocess.DEVNULL)
    while process.poll() is None and not (runs[1] / "validating" / "half2" / "run.json").exists():
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL and Run.open(runs[1] / "validating" / "half1").status == "finished"
    said = subprocess.run([*killed, "--resume"], check=True, capture_output=True, text=True).stdout
    assert re.search(r"half 2 (\d+)/\1\b", said) and "half 1 " not in said and not (runs[1] / "validating").exists()
    for name in ("validation.json", "confidence.npz"):
        first, second = ((copied / "validation" / name).read_bytes() for copied in runs)
        assert first == second


def test_halves_of_other_particles_or_settings_are_trained_anew(tmp_path):
    run = planted_run(tmp_path, n=300)
    particles, log = particles_of(run), run.log_file
    half = deal(particles, np.arange(300), 0, seed=1)

    def taken_up(half, seed) -> bool:
        part = halves._half_run(run, particles, half, 0, seed)
        known = part.status == "finished"
        with part.working():
            """The training of this half."""
        return known

    assert [taken_up(half, 1), taken_up(half, 1), taken_up(half, 2), taken_up(half, 2)] == [False, True, False, True]
    assert not taken_up(deal(particles, np.arange(300), 0, seed=2), 2)
    assert log.read_text().count("trained anew") == 2


def test_runs_of_other_particles_are_refused(validated, tmp_path):
    with pytest.raises(DataError, match="was not made from the particles"):
        consensus(validated, planted_run(tmp_path, n=300), 2, 0)


def test_what_cannot_be_validated_is_said(tmp_path):
    small = planted_run(tmp_path, n=50)
    with pytest.raises(DataError, match="at least 200"):
        validate(small, ValidateOptions())
    with pytest.raises(ConfigError, match="ask for at least 99"):
        ValidateOptions(permutations=50)
