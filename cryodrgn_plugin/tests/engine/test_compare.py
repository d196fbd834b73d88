"""Comparison of latent spaces by their neighbours, and of a run's maps with the truth."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from cryodrgn_plugin.engine.analysis.against_truth import per_conformation, per_image
from cryodrgn_plugin.engine.analysis.latent_comparison import compare_latents
from cryodrgn_plugin.engine.analysis.truth import Truth
from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.reconstruction.fsc import fsc
from cryodrgn_plugin.engine.run import Run

from .planted_run import BOX, PIXEL_ANG, BlobDecoder, planted_run, serve_decoder


def turned(z: np.ndarray, seed: int) -> np.ndarray:
    """The same space with other axes, another origin and another scale."""
    rotation, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((z.shape[1],) * 2))
    return 3 * z @ rotation + 5


def test_a_space_and_its_turned_self_have_the_same_neighbours():
    z = np.random.default_rng(0).standard_normal((400, 3))
    found = compare_latents(z, turned(z, 1))
    assert found.similarity == 1
    assert found.a_to_b == found.b_to_a == pytest.approx(2 / 400)


def test_unrelated_spaces_share_neighbours_by_chance_only():
    rng = np.random.default_rng(2)
    found = compare_latents(rng.standard_normal((1500, 3)), rng.standard_normal((1500, 2)))
    assert found.similarity == pytest.approx(found.by_chance, rel=0.15)
    assert found.a_to_b == pytest.approx(1, abs=0.06) and found.b_to_a == pytest.approx(1, abs=0.06)


def test_a_space_that_merges_what_the_other_keeps_apart_predicts_it_less():
    z = np.random.default_rng(3).uniform(size=(800, 2))
    found = compare_latents(z, z[:, :1])
    assert found.a_to_b < 0.1 < 0.4 < found.b_to_a


def test_ranks_and_shares_are_those_of_a_slow_count():
    rng = np.random.default_rng(4)
    a, b = rng.standard_normal((60, 2)), rng.standard_normal((60, 4))
    order_a, order_b = (
        [sorted((j for j in range(60) if j != i), key=lambda j: np.linalg.norm(s[i] - s[j])) for i in range(60)]
        for s in (a, b)
    )
    shared = np.mean([len(set(x[:7]) & set(y[:7])) / 7 for x, y in zip(order_a, order_b, strict=True)])
    ranks = [y.index(x[0]) + 1 for x, y in zip(order_a, order_b, strict=True)]
    found = compare_latents(a, b, neighbors=7)
    assert found.similarity == pytest.approx(shared)
    assert found.a_to_b == pytest.approx(2 / 60 * np.mean(ranks))


def test_many_particles_are_compared_on_a_part_that_the_seed_draws():
    z = np.random.default_rng(5).standard_normal((5000, 2))
    found = compare_latents(z, turned(z, 6), seed=1)
    assert found.compared == 3000 and found.similarity == 1


@pytest.fixture
def planted_truth():
    """Blobs at five places: particles' latents say where, with an error of their own."""
    decoder = BlobDecoder()
    places = np.linspace(-4, 4, 5)
    state = np.random.default_rng(7).integers(0, 5, 80)
    maps = np.stack([decoder.volume([place]) for place in places])
    truth = Truth(state, places[state], maps)
    z = (places[state] + 0.3 * np.random.default_rng(8).standard_normal(80))[:, None].astype(np.float32)
    return decoder, truth, z


def test_each_image_meets_the_true_map_of_its_own_particle(planted_truth):
    decoder, truth, z = planted_truth
    found = per_image(decoder, z, np.arange(80), truth, 10, seed=0)
    for k, particle in enumerate(found.particles):
        np.testing.assert_allclose(found.box[k], fsc(decoder.volume(z[particle]), truth.maps[truth.state[particle]]))
    assert found.figures(PIXEL_ANG)["maps"] == 10
    shuffled = per_image(decoder, z[::-1], np.arange(80), truth, 10, seed=0)
    assert found.figures(1.0)["fsc_area"] > shuffled.figures(1.0)["fsc_area"] + 0.1


def test_each_conformation_is_judged_at_the_middle_of_its_particles(planted_truth):
    decoder, truth, z = planted_truth
    found = per_conformation(decoder, z, np.arange(80), truth, 3)
    np.testing.assert_array_equal(found.states, [0, 2, 4])
    np.testing.assert_array_equal(truth.state[found.particles], found.states)
    for state, particle in zip(found.states, found.particles, strict=True):
        assert abs(z[particle, 0] - np.median(z[truth.state == state])) < 0.15


def test_the_truth_of_another_set_is_noticed(planted_truth):
    decoder, truth, z = planted_truth
    with pytest.raises(DataError, match="another set"):
        per_image(decoder, z, np.arange(80) + 5, truth, 3, seed=0)


def test_two_runs_are_compared_on_the_particles_they_share(tmp_path, monkeypatch, capsys):
    run = planted_run(tmp_path)
    z, coordinate = run.latents().z, run.latents().coordinate
    other = Run.create(tmp_path / "other", run.config)
    with other.working():
        other.save_latents(turned(z, 9)[20:], coordinate=-coordinate[20:], rows=np.arange(20, 150))
    serve_decoder(monkeypatch, SimpleNamespace(box=BOX, pixel_size_ang=PIXEL_ANG))
    out = tmp_path / "comparison.json"
    assert main(["compare", str(run.path), str(other.path), "--out", str(out), "--neighbors", "10"]) == 0
    found = json.loads(out.read_text())["latent spaces"]
    assert found["particles"] == 130 and found["similarity"] > 0.99
    assert found["coordinates"] == pytest.approx(1)
    assert "neighbours in common" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["a"], ["a", "b", "c"], ["a", "b", "--truth", "sim"]])
def test_a_wrong_number_of_runs_is_one_sentence(words, capsys):
    assert main(["compare", *words]) == 2
    assert "two runs" in capsys.readouterr().err


def test_runs_of_different_files_are_refused(tmp_path, capsys):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        planted_run(tmp_path / name)
    assert main(["compare", str(tmp_path / "one" / "run"), str(tmp_path / "two" / "run")]) == 2
    assert "different files" in capsys.readouterr().err
