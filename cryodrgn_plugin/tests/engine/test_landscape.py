"""`landscape` on a run with a planted truth: exact and sketched, its files, its refusals, and the network's route."""

import json

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.decoders.basis import BasisDecoder
from cryodrgn_plugin.engine.decoders.restore import TrainedDecoder
from cryodrgn_plugin.engine.errors import ConfigError, DataError
from cryodrgn_plugin.engine.io.mrc import read_map, write_map
from cryodrgn_plugin.engine.io.star import read_star
from cryodrgn_plugin.engine.landscape.landscape_options import LandscapeOptions
from cryodrgn_plugin.engine.landscape.landscape_report import landscape
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.slicing.sphere import HalfSphere
from cryodrgn_plugin.tests.engine.planted_run import (
    PIXEL_ANG,
    BlobDecoder,
    planted_latents,
    planted_run,
    serve_decoder,
)

BOX = 16
QUICK = {"clusters": 3, "walks": 1, "steps": 4, "most_states": 4, "bootstrap": 50, "figures": False}


def blob_decoder(noise: float = 0.0, network: bool = False) -> BasisDecoder:
    """A ball, and four smaller ones of which a particle has as much as its latents say; or of what a network makes of
    them."""
    rng = np.random.default_rng(1)
    z, y, x = np.indices((BOX,) * 3) - BOX // 2
    places = [(0, 0, 0, 3.0), (4, 0, 0, 1.5), (-4, 0, 0, 1.5), (0, 4, 0, 1.5), (0, 0, 4, 1.5)]
    balls = [np.exp(-((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) / (2 * width**2)) for a, b, c, width in places]
    volumes = np.array(balls) * np.array([5, 1, 1, 1, 1.0])[:, None, None, None]
    torch.manual_seed(0)
    decoder = BasisDecoder(HalfSphere(BOX, 1.5, BOX // 2 - 1), 4, 4, width=16)
    decoder.set_volumes((volumes + noise * rng.standard_normal(volumes.shape)).astype(np.float32))
    if network:
        torch.nn.init.normal_(decoder.network.head.weight, std=0.3)
    return decoder


def trained(network: bool = False) -> TrainedDecoder:
    halves = None if network else (blob_decoder(0.01), blob_decoder(0.012))
    return TrainedDecoder(blob_decoder(network=network), halves, PIXEL_ANG)


class NoBases(TrainedDecoder):
    """The same volumes, from a decoder that says nothing of bases."""

    def linear(self):
        return ()


@pytest.fixture(scope="module")
def explored(tmp_path_factory):
    """A planted run with its landscape: the run, the index, the folder."""
    run = planted_run(tmp_path_factory.mktemp("planted"), n=400)
    file = landscape(run, LandscapeOptions(**{**QUICK, "figures": True}), trained())
    return run, json.loads(file.read_text()), file.parent


def columns(folder) -> dict[str, np.ndarray]:
    with np.load(folder / "landscape.npz", allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


@pytest.mark.parametrize("network", [False, True], ids=["latents are amplitudes", "amplitudes of a network"])
def test_the_components_are_those_of_all_volumes_made_one_by_one(network, tmp_path):
    from sklearn.decomposition import PCA

    run = planted_run(tmp_path, n=60)
    decoder = trained(network)
    folder = landscape(run, LandscapeOptions(**QUICK, volumes=False), decoder).parent
    mask, _ = read_map(folder / "mask.mrc")
    volumes = [decoder.volume(z)[mask > 0] for z in run.latents().z]
    brute = PCA(4, svd_solver="full").fit(volumes)
    expected, found = brute.transform(volumes), columns(folder)["pca"]
    expected *= np.sign((expected * found).sum(axis=0))
    np.testing.assert_allclose(found, expected, atol=1e-4 * expected.std(axis=0).max())
    index = json.loads((folder / "landscape.json").read_text())
    np.testing.assert_allclose(index["pca"]["explained"], brute.explained_variance_ratio_, atol=1e-5)


def test_the_planted_groups_are_the_clusters_and_stand_apart(explored):
    _, index, folder = explored
    assert adjusted_rand_score(planted_latents(400)[1], columns(folder)["labels"]) == 1.0
    assert index["method"] == "exact" and all(cluster["apart"] for cluster in index["clusters"])


def test_populations_lie_in_their_intervals_and_add_up(explored):
    _, index, _ = explored
    group = planted_latents(400)[1]
    for part in (index["clusters"], index["states"]):
        assert sum(one["share"] for one in part) == pytest.approx(1, abs=1e-5)
        for one in part:
            assert one["interval"][0] < one["share"] < one["interval"][1] < one["share"] + 0.1
    shares = sorted(np.bincount(group) / len(group))
    assert sorted(one["share"] for one in index["clusters"]) == pytest.approx(shares, abs=1e-5)


def test_a_cluster_map_is_the_average_of_its_particles_volumes(explored):
    run, index, folder = explored
    z, labels, decoder = run.latents().z, columns(folder)["labels"], trained()
    for number, entry in enumerate(index["series"][0]["maps"]):
        average = np.mean([decoder.volume(point) for point in z[labels == number]], axis=0)
        np.testing.assert_allclose(read_map(folder / entry["file"])[0], average, atol=1e-4)
        np.testing.assert_allclose(entry["z"], z[labels == number].mean(axis=0), atol=1e-4)
        assert labels[entry["particle"]] == number


def test_a_walk_changes_its_component_alone(explored):
    _run, index, folder = explored
    walk = next(series for series in index["series"] if series["name"] == "pc1")
    inside = read_map(folder / "mask.mrc")[0] > 0
    maps = np.array([read_map(folder / entry["file"])[0][inside] for entry in walk["maps"]])
    positions = [entry["position"] for entry in walk["maps"]]
    steps = np.diff(maps, axis=0)
    np.testing.assert_allclose(np.linalg.norm(steps, axis=1), np.diff(positions), rtol=1e-3)
    np.testing.assert_allclose(positions[0], np.percentile(columns(folder)["pca"][:, 0], 5), rtol=1e-3)


def test_everything_the_index_names_is_there(explored):
    _, index, folder = explored
    named = [*index["files"].values(), *index["figures"].values(), *(c["star"] for c in index["clusters"])]
    named += [entry["file"] for series in index["series"] for entry in series["maps"]]
    assert all((folder / name).is_file() for name in named)
    assert {"landscape", "clusters", "populations", "variance", "states", "fsc", "maps_clusters"} <= set(
        index["figures"]
    )
    assert [series["name"] for series in index["series"]] == ["clusters", "states", "pc1"]


def test_every_map_has_the_agreement_of_its_halves(explored):
    _, index, _ = explored
    for series in index["series"]:
        assert all(len(entry["fsc"]) == BOX // 2 + 1 for entry in series["maps"])


def test_the_particle_list_has_clusters_states_and_every_column(explored):
    run, _, folder = explored
    before, after = run.particles().frame, read_star(folder / "particles.star")["particles"]
    assert after["someToolsColumn"].tolist() == before["someToolsColumn"].tolist()
    found = columns(folder)
    assert (after["rlnClassNumber"].to_numpy() == found["labels"] + 1).all()
    assert (after["cryodrgnState"].to_numpy() == found["state"] + 1).all()


def test_the_same_seed_gives_the_same_landscape(explored, tmp_path):
    _, index, folder = explored
    again = landscape(planted_run(tmp_path, n=400), LandscapeOptions(**QUICK), trained())
    assert json.loads(again.read_text())["clusters"] == index["clusters"]
    np.testing.assert_array_equal(columns(again.parent)["pca"], columns(folder)["pca"])


def test_clusters_take_the_numbers_of_another_run(explored, tmp_path):
    run, _, folder = explored
    other = planted_run(tmp_path, n=400)
    turned = other.latents().z[:, [0, 1, 2, 3]] * [-1, 1, 1, 1]
    other.save_latents(turned)
    options = LandscapeOptions(**QUICK, volumes=False, match=str(run.path))
    found = columns(landscape(other, options, trained()).parent)["labels"]
    np.testing.assert_array_equal(found, columns(folder)["labels"])


def test_the_sketch_of_a_decoder_without_bases_finds_the_same_space(explored, tmp_path):
    _, _exact_index, exact_folder = explored
    run = planted_run(tmp_path, n=400)
    options = LandscapeOptions(**{**QUICK, "figures": True}, sketch=60, mapped=240)
    file = landscape(run, options, NoBases(blob_decoder(), None, PIXEL_ANG))
    index, found, exact = json.loads(file.read_text()), columns(file.parent), columns(exact_folder)
    assert index["method"] == "sketch" and index["phi"]["sketched"] + index["phi"]["mapped"] == 300
    assert index["phi"]["r2_all"] > 0.98 and index["phi"]["held_out"] == 75
    assert abs(np.corrcoef(found["pca"][:, 0], exact["pca"][:, 0])[0, 1]) > 0.99
    assert adjusted_rand_score(exact["labels"], found["labels"]) == 1.0
    assert not (file.parent / "sketch.npy").exists()


def test_a_mask_decides_what_counts(tmp_path):
    run = planted_run(tmp_path, n=120)
    mask = np.zeros((BOX,) * 3, np.float32)
    mask[:, :, BOX // 2 + 3 :] = 1  # where the first ball is, and no other
    write_map(tmp_path / "mask.mrc", mask, PIXEL_ANG)
    options = LandscapeOptions(**QUICK, volumes=False, mask=str(tmp_path / "mask.mrc"))
    found = columns(landscape(run, options, trained()).parent)["pca"]
    assert abs(np.corrcoef(found[:, 0], run.latents().z[:, 0])[0, 1]) > 0.999
    index = json.loads((run.results_dir("landscape") / "landscape.json").read_text())
    assert index["pca"]["explained"][0] > 0.98 and index["mask"]["voxels"] == int(mask.sum())


def test_only_the_moving_region_counts_when_asked_for(tmp_path):
    run = planted_run(tmp_path, n=120)
    landscape(run, LandscapeOptions(**QUICK, volumes=False, mask="moving"), trained())
    mask = read_map(run.results_dir("landscape") / "mask.mrc")[0]
    middle = BOX // 2
    assert mask[middle, middle, middle + 4] == 1 and mask[middle, middle - 6, middle] < 0.2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask": "nowhere.mrc"}, "There is no mask nowhere.mrc"),
        ({"match": "nowhere"}, "There is no run folder nowhere"),
        ({"method": "exact"}, "its landscape must be a sketch"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(options, message, tmp_path):
    decoder = NoBases(blob_decoder(), None, PIXEL_ANG) if "method" in options else trained()
    with pytest.raises(DataError, match=message):
        landscape(planted_run(tmp_path, n=60), LandscapeOptions(**{**QUICK, **options}), decoder)


@pytest.mark.parametrize("kind", [TrainedDecoder, NoBases])
@pytest.mark.parametrize("share", [0.0, 1e-9])
def test_volumes_that_do_not_differ_have_no_landscape(kind, share, tmp_path):
    flat = blob_decoder()
    volumes = flat.basis_volumes() * np.array([1, share, share, share, share])[:, None, None, None]
    flat.set_volumes(volumes.astype(np.float32))
    with pytest.raises(DataError, match="volumes of this run do not differ from each other"):
        landscape(planted_run(tmp_path, n=60), LandscapeOptions(**QUICK), kind(flat, None, PIXEL_ANG))


def test_a_mask_of_another_box_is_refused(tmp_path):
    write_map(tmp_path / "mask.mrc", np.ones((20, 20, 20), np.float32), PIXEL_ANG)
    options = LandscapeOptions(**QUICK, mask=str(tmp_path / "mask.mrc"))
    with pytest.raises(DataError, match=r"has 20 × 20 × 20 voxels of .* but the images are 16 × 16 pixels"):
        landscape(planted_run(tmp_path, n=60), options, trained())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"linkage": "single"}, "choose ward or average"),
        ({"states": "many"}, "give a number"),
        ({"clusters": -1}, "at least 1"),
    ],
)
def test_an_option_out_of_range_is_named(options, message):
    with pytest.raises(ConfigError, match=message):
        LandscapeOptions(**options)


def test_the_command_makes_the_landscape_and_says_what_it_found(tmp_path, monkeypatch, capsys):
    run = planted_run(tmp_path, n=120)
    serve_decoder(monkeypatch, trained())
    assert main(["landscape", str(run.path), "--clusters", "3", "--no-volumes", "--no-figures"]) == 0
    assert "3 clusters, 3 of which stand apart" in capsys.readouterr().out
    assert Run.open(run.path).info["steps"]["landscape"]["status"] == "finished"


def test_a_homogeneous_run_is_refused_in_a_sentence(tmp_path, capsys):
    run = planted_run(tmp_path, n=20)
    run.save_latents(np.zeros((20, 0)))
    assert main(["landscape", str(run.path)]) == 2
    assert "no latent space" in capsys.readouterr().err


def test_the_maps_of_the_blob_stay_where_the_sketch_put_them(tmp_path):
    run = planted_run(tmp_path, n=90)

    class Blobs(BlobDecoder):
        def linear(self):
            return ()

    options = LandscapeOptions(**QUICK, sketch=30, mapped=30)
    index = json.loads(landscape(run, options, Blobs()).read_text())
    walk = index["series"][-1]["maps"]
    for entry in walk:
        np.testing.assert_allclose(
            read_map(run.results_dir("landscape") / entry["file"])[0], Blobs().volume(np.array(entry["z"])), atol=1e-5
        )
