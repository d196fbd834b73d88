"""What runs of species agree on, from runs whose poses are the true ones in frames and hands of their own: particle
files, maps in one frame, counts; and runs that cannot be compared.
"""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.agreement.agreement_options import AgreementOptions
from cryodrgn_plugin.engine.agreement.agreement_report import agreement
from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.io.particles import read_particles
from cryodrgn_plugin.engine.io.star import read_star, write_star
from cryodrgn_plugin.engine.reconstruction import map_alignment
from cryodrgn_plugin.engine.reconstruction.fsc import fsc
from cryodrgn_plugin.engine.results import Results
from cryodrgn_plugin.engine.run import Run

from .species_runs import finished_run, two_molecules

N, WRONG = 360, 24


@pytest.fixture(scope="module", autouse=True)
def a_coarser_grid():
    """Half as fine as usual: enough for maps of 24 voxels, in an eighth of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(map_alignment, "_GRID_LEVEL", 1)
        yield


@pytest.fixture(scope="module")
def planted(tmp_path_factory, a_coarser_grid):
    """A folder with images of two molecules, the state of each, and three runs: `best` has the finest map of the first
    molecule, `mirrored` other numbers and the other hand, `part` two thirds of the particles, some in the wrong one."""
    folder = tmp_path_factory.mktemp("agreement")
    star, state = two_molecules(folder / "set", N)
    turns = Rotation.random(2, random_state=5)
    tables = read_star(star)
    kept = np.sort(np.random.default_rng(1).permutation(N)[: 2 * N // 3])
    write_star(star.with_name("part.star"), {**tables, "particles": tables["particles"].iloc[kept]})
    wrong = state[kept].copy()
    wrong[:WRONG] = 1 - wrong[:WRONG]
    runs = [
        finished_run(folder / "best", star, state, resolution_ang=(9.5, 16.0)),
        finished_run(folder / "mirrored", star, 1 - state, turns[0], True, (12.0, 15.0)),
        finished_run(folder / "part", star.with_name("part.star"), wrong, turns[1]),
    ]
    index = agreement(runs, AgreementOptions())
    return folder, runs, state, kept, Results.open(index.parent, "agreement")


def test_particles_and_runs_of_each_species_are_counted(planted):
    _, runs, state, kept, results = planted
    told = results.index["species"]
    assert [entry["particles"] for entry in told] == np.bincount(state).tolist()
    assert [entry["found_in"] for entry in told] == [3, 3]
    wrong = np.isin(np.arange(N), kept[:WRONG])
    for kind, entry in enumerate(told):
        agreed = (state == kind) & ~wrong
        assert entry["agreed"] == agreed.sum() == results.arrays["agreed"][state == kind].sum()
    assert [pair["particles"] for pair in results.index["pairs"]] == [N, len(kept), len(kept)]
    rand = [pair["adjusted_rand_index"] for pair in results.index["pairs"]]
    assert rand[0] == 1 and rand[1] == rand[2] < 0.9
    log = runs[0].log_file.read_text()
    assert "3 of 3" in log and "best and part: adjusted Rand index" in log


def test_all_particles_are_listed_with_their_class_and_no_pose_of_a_run(planted):
    folder, _, state, kept, results = planted
    listed, given = read_particles(results.file("particles")), read_particles(folder / "set" / "particles.star")
    assert listed.image_names == given.image_names
    np.testing.assert_array_equal(listed.numbers("rlnClassNumber"), state + 1)
    np.testing.assert_array_equal(listed.euler_deg, given.euler_deg)
    share = np.ones(N)
    share[kept[:WRONG]] = 1 / 3
    np.testing.assert_allclose(listed.numbers("cryodrgnClassAgreement"), share, atol=1e-4)
    np.testing.assert_allclose(results.arrays["agreement"], share, atol=1e-4)


def test_a_species_has_the_poses_of_the_one_run_whose_map_is_best(planted):
    _, runs, state, kept, results = planted
    for kind, which in enumerate((0, 1)):  # 9.5 Å in the first run, 12 Å in the second, where its number is the other
        entry = results.index["species"][kind]
        assert entry["poses_of"] == ("best", "mirrored")[which]
        listed = read_particles(results.file(f"species_{kind + 1:03d}"))
        members = (state == kind) & ~np.isin(np.arange(N), kept[:WRONG])
        assert entry["listed"] == listed.n == members.sum()
        poses = read_particles(runs[which].poses_file)
        np.testing.assert_allclose(listed.euler_deg, poses.euler_deg[members], atol=1e-5)
        assert (listed.numbers("rlnClassNumber") == kind + 1).all()
        assert ParticleDataset.open(listed.path).images([0]).shape == (1, 24, 24)


def test_maps_are_brought_into_one_frame_and_hand_and_merged(planted):
    _, runs, _, _, results = planted
    first, second = results.index["species"]
    assert [entry.get("other_hand") for entry in first["runs"]] == [None, True, False]
    assert [entry.get("other_hand") for entry in second["runs"]] == [True, None, True]
    for entry, reference, number in ((first, 0, 1), (second, 1, 1)):
        assert all(one["alike_to_ang"] < 12 for one in entry["runs"] if "fsc" in one)
        merged, pixel_size_ang = read_map(results.folder / entry["map"])
        own, _ = read_map(runs[reference].found_map_file(number))
        assert pixel_size_ang == pytest.approx(4.7, rel=1e-3)
        assert fsc(merged, own)[1:8].min() > 0.9
    assert results.figures["agreement"].stat().st_size > 10_000


def test_a_run_of_links_is_compared_by_the_maps_of_its_lender_and_results_may_lie_elsewhere(planted, tmp_path):
    _, runs, state, kept, _ = planted
    Run.borrow(runs[0].path, tmp_path / "links", "agreement")
    words = ["agreement", tmp_path / "links", runs[2].path, "--out", tmp_path / "agreed", "--least", "0.6"]
    assert main([str(word) for word in words]) == 0
    elsewhere = Results.open(tmp_path / "agreed", "agreement")
    told = elsewhere.index["species"]
    assert [entry["found_in"] for entry in told] == [2, 2] and elsewhere.index["options"] == {"least": 0.6}
    assert [entry["agreed"] for entry in told] == np.bincount(state[kept[WRONG:]]).tolist()
    assert [run["name"] for run in elsewhere.index["runs"]] == ["best", "part"]
    assert (tmp_path / "agreed" / "figures" / "agreement.png").is_file()
    assert not (tmp_path / "links" / "agreement").exists()


# --- runs that cannot be compared -----------------------------------------------------------------------------------


def refused(capsys, *runs) -> str:
    assert main(["agreement", *map(str, runs)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.endswith(".\n")
    return said


def test_runs_that_cannot_be_compared_are_refused_in_a_sentence(planted, tmp_path, capsys):
    folder, runs, *_ = planted
    best = runs[0].path
    assert "Give two runs or more" in refused(capsys, best)
    assert f"{best} stands there twice" in refused(capsys, best, best)
    Run.borrow(best, tmp_path / "links", "agreement")
    assert "are the same run" in refused(capsys, best, tmp_path / "links")
    star = folder / "set" / "particles.star"
    alone = Run.create(tmp_path / "alone", recipe_config("abinitio", {"particles": str(star)}))
    assert "has not finished (created)" in refused(capsys, best, alone.path)
    with alone.working():
        alone.save_latents(np.zeros((N, 0)))
    assert "alone has no species" in refused(capsys, best, alone.path)
    assert "There is no run folder" in refused(capsys, best, tmp_path / "nowhere")


def test_runs_without_a_common_particle_are_refused(planted, tmp_path, capsys):
    folder, runs, state, *_ = planted
    tables = read_star(folder / "set" / "particles.star")
    others = tables["particles"].assign(rlnImageName=[f"{n}@other.mrcs" for n in range(1, N + 1)])
    stack = folder / "set" / tables["particles"]["rlnImageName"].iloc[0].partition("@")[2].rpartition("/")[2]
    (tmp_path / "other.mrcs").symlink_to(folder / "set" / stack)
    write_star(tmp_path / "other.star", {**tables, "particles": others})
    stranger = finished_run(tmp_path / "stranger", tmp_path / "other.star", state)
    said = refused(capsys, runs[0].path, stranger.path)
    assert "have no particle in common (rlnImageName)" in said
