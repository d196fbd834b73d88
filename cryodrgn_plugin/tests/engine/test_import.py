"""What other programs made becomes particles and runs: planted latents, maps and grey scales come back."""

import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from cryodrgn_plugin.engine.analysis.analysis_options import AnalysisOptions
from cryodrgn_plugin.engine.analysis.analysis_report import analyze
from cryodrgn_plugin.engine.analysis.run_particles import images_of
from cryodrgn_plugin.engine.cli.info_command import about_run
from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.decoders.restore import load_decoder
from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.geometry.rotations import matrices_from_euler
from cryodrgn_plugin.engine.imaging.ctf import evaluate_ctf
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.importing.cryodrgn_training import read_training
from cryodrgn_plugin.engine.importing.given_latents import read_given_latents
from cryodrgn_plugin.engine.importing.import_latents import import_latents
from cryodrgn_plugin.engine.importing.import_options import ImportOptions
from cryodrgn_plugin.engine.importing.import_training import import_training
from cryodrgn_plugin.engine.io import cryodrgn
from cryodrgn_plugin.engine.io.cs import read_records
from cryodrgn_plugin.engine.io.mrc import write_stack
from cryodrgn_plugin.engine.io.particles import read_particles
from cryodrgn_plugin.engine.io.star import write_star
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.selection.export_options import ExportOptions
from cryodrgn_plugin.engine.selection.exported import export
from cryodrgn_plugin.engine.validation.validation_report import _about_import
from cryodrgn_plugin.tests.engine.cryodrgn_folder import Layout, write_training
from cryodrgn_plugin.tests.engine.particle_files import Blobs, ctf_params, molecule, optics, project, rows

BOX, PIXEL_ANG, N, M = 16, 4.0, 300, 500
EULER = ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]


def poses_and_ctf(folder: Path, table, group) -> dict[str, Path]:
    """poses.pkl and ctf.pkl of the rows of a star file."""
    origins = table[["rlnOriginXAngst", "rlnOriginYAngst"]].to_numpy(float)
    rotations = matrices_from_euler(table[EULER].to_numpy(float))
    cryodrgn.write_poses(folder / "poses.pkl", rotations, origins / PIXEL_ANG, BOX)
    optics_values = [group[f"rln{name}"] for name in ("Voltage", "SphericalAberration", "AmplitudeContrast")]
    defocus = table[["rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle"]].to_numpy(float)
    fixed = np.tile([*optics_values, 0.0], (len(table), 1))
    sizes = np.tile([BOX, PIXEL_ANG], (len(table), 1))
    cryodrgn.write_ctf(folder / "ctf.pkl", np.concatenate([sizes, defocus, fixed], axis=1))
    return {"poses": folder / "poses.pkl", "ctf": folder / "ctf.pkl"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> dict:
    """A cryoDRGN training whose images show its own maps, black, at 1/3 of their grey values, with noise."""
    folder = tmp_path_factory.mktemp("cryodrgn")
    group, table = optics(box=BOX, pixel_ang=PIXEL_ANG), rows(N, stack="particles.mrcs")
    z = np.random.default_rng(2).normal(size=(N, 2)).astype(np.float32)
    log_variance = np.full_like(z, np.log(0.04))
    paths = {"particles": folder / "particles.mrcs", **poses_and_ctf(folder, table, group)}
    layout = Layout(box=BOX, encoding="geom_lowf", domain="fourier", paths=paths)
    network = read_training(write_training(folder / "training", layout, z, log_variance)).network
    lattice = HalfPlane(BOX, BOX // 2 - 1)
    count = lattice.count(lattice.radius)
    rotations = torch.tensor(matrices_from_euler(table[EULER].to_numpy(float))[:, None], dtype=torch.float32)
    with torch.no_grad():
        views = network.slices(torch.tensor(z), rotations, lattice, count)[:, 0].numpy()
    freqs = lattice.indices[:count] / (BOX * PIXEL_ANG)
    origins = table[["rlnOriginXAngst", "rlnOriginYAngst"]].to_numpy(float)
    spectra = np.zeros((N, lattice.size), complex)
    spectra[:, :count] = views * evaluate_ctf(ctf_params(table, group), freqs) * np.exp(2j * np.pi * origins @ freqs.T)
    images = lattice.images(spectra) / -3.0
    images += np.random.default_rng(3).normal(size=images.shape) * images.std() * 0.7
    write_stack(paths["particles"], images.astype(np.float32), PIXEL_ANG)
    return {"folder": folder / "training", "z": z, "table": table, "layout": layout, "spread": images.std()}


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory) -> Run:
    out = tmp_path_factory.mktemp("runs") / "run"
    return import_training(trained["folder"], out, ImportOptions(), overwrite=False, command="import")


def test_a_training_becomes_a_finished_run_with_its_latents(trained, run):
    latents = Run.open(run.path).latents()
    np.testing.assert_array_equal(latents.z, trained["z"])
    np.testing.assert_allclose(latents.uncertainty, 0.2, rtol=1e-5)
    assert run.status == "finished" and run.info["notes"]["imported"]["from"] == "cryoDRGN 4.3.1"
    table = run.particles()
    rotations = matrices_from_euler(trained["table"][EULER].to_numpy(float))
    np.testing.assert_allclose(matrices_from_euler(table.euler_deg), rotations, atol=1e-5)
    origins = trained["table"][["rlnOriginXAngst", "rlnOriginYAngst"]].to_numpy(float)
    np.testing.assert_allclose(table.origins_ang, origins, atol=1e-4)
    np.testing.assert_allclose(table.ctf().defocus_u_ang, trained["table"]["rlnDefocusU"], rtol=1e-6)
    assert table.pixel_size_ang[0] == PIXEL_ANG
    assert ("made of", "imported from cryoDRGN 4.3.1, epoch 9") in about_run(run.path)[1]


def test_its_maps_are_white_on_the_grey_scale_of_the_images(trained, run):
    notes = run.info["notes"]["imported"]
    # Images are divided by the spread of their background, which the maps of random numbers fill like the rest.
    expected = -images_of(run).sign / 3 / trained["spread"]
    assert notes["grey_scale"] == pytest.approx(expected, rel=0.1)
    assert abs(notes["grey_scale"]) > 20 * notes["grey_scale_error"]
    assert ("black maps white" in run.log_file.read_text()) == (expected < 0)
    network = read_training(trained["folder"]).network
    volume = load_decoder(run).volume(trained["z"][5])
    np.testing.assert_allclose(volume, network.volume(trained["z"][5]) * notes["grey_scale"], rtol=1e-3, atol=1e-5)


def test_an_imported_run_is_analysed_like_any_other(run):
    options = AnalysisOptions(clusters=2, components=1, steps=2, umap=False, figures=False)
    analyze(run, options)
    results = run.results("analysis")
    assert [len(series["maps"]) for series in results.all_series] == [2, 2]
    assert sum(cluster["particles"] for cluster in results.clusters) == N


def test_a_validation_says_who_trained_the_halves_and_whether_they_find_the_same(trained, run):
    turned = trained["z"] @ np.array([[0.6, -0.8], [0.8, 0.6]]) * 3 + 1
    others = np.random.default_rng(8).normal(size=(N, 2))
    (said,) = _about_import(run, SimpleNamespace(latents=(turned, others), once=np.ones(N, bool)), seed=0)
    assert "trained by the recipe fast" in said and "1.00 and 0." in said and said.endswith("no more than chance.")
    assert _about_import(run, None, seed=0) == []


def test_images_that_do_not_show_the_maps_are_named(trained, tmp_path):
    rng = np.random.default_rng(0)
    write_stack(tmp_path / "noise.mrcs", rng.normal(size=(N, BOX, BOX)).astype(np.float32), PIXEL_ANG)
    options = ImportOptions(particles=str(tmp_path / "noise.mrcs"))
    run = import_training(trained["folder"], tmp_path / "run", options, overwrite=False, command="")
    assert "do not show its maps" in run.log_file.read_text()


def test_a_part_of_the_particles_keeps_its_own_latents(trained, tmp_path):
    """ind.pkl: z has a row for each index, poses and CTFs for all images."""
    chosen = np.sort(np.random.default_rng(1).permutation(N)[:200])
    cryodrgn.write_indices(tmp_path / "ind.pkl", chosen)
    layout = Layout(**{**trained["layout"].__dict__, "paths": {**trained["layout"].paths, "ind": "ind.pkl"}})
    write_training(tmp_path / "training", layout, trained["z"][chosen], None)
    run = import_training(tmp_path / "training", tmp_path / "run", ImportOptions(), overwrite=False, command="")
    np.testing.assert_array_equal(run.latents().z, trained["z"][chosen])
    assert [int(name.partition("@")[0]) - 1 for name in run.particles().image_names] == chosen.tolist()
    assert abs(run.info["notes"]["imported"]["grey_scale"]) > 20 * run.info["notes"]["imported"]["grey_scale_error"]
    with pytest.raises(DataError, match=r"latents of 200 particles, but its files name 300"):
        broken = Layout(**{**layout.__dict__, "paths": trained["layout"].paths})
        write_training(tmp_path / "training", broken, trained["z"][chosen], None)
        import_training(tmp_path / "training", tmp_path / "other", ImportOptions(), overwrite=False, command="")


def test_tilts_of_a_particle_share_its_latent(trained, tmp_path):
    """A tilt training: z has a row for each group of the star file, in the order in which groups come."""
    table = trained["table"].assign(rlnGroupName=[f"p{k // 3 % 100:03d}" for k in range(N)])
    table["rlnImageName"] = [f"{k}@{trained['layout'].paths['particles']}" for k in range(1, N + 1)]
    table["rlnMicrographName"] = [f"t{k % 3}.mrc" for k in range(N)]
    group = {name: [value] for name, value in optics(box=BOX, pixel_ang=PIXEL_ANG).items()}
    write_star(tmp_path / "tilts.star", {"optics": pd.DataFrame(group), "particles": table})
    kept = np.arange(0, 100, 2)
    cryodrgn.write_indices(tmp_path / "ind.pkl", kept)
    paths = {**trained["layout"].paths, "particles": tmp_path / "tilts.star", "ind": tmp_path / "ind.pkl"}
    layout = Layout(**{**trained["layout"].__dict__, "paths": paths})
    folder = write_training(tmp_path / "training", layout, trained["z"][:50], None)
    (folder / "config.yaml").write_text((folder / "config.yaml").read_text().replace("resid", "tilt"))
    run = import_training(folder, tmp_path / "run", ImportOptions(), overwrite=False, command="")
    np.testing.assert_array_equal(run.latents().z, np.repeat(trained["z"][:50], 3, axis=0))
    assert run.particles().frame["rlnGroupName"].iloc[3] == "p002"


# --- latents of others ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two_parts(tmp_path_factory) -> dict:
    """Particles in which a second part is there to the degree that a latent says, beside a latent of nothing."""
    folder = tmp_path_factory.mktemp("latents")
    group, table = optics(box=BOX, pixel_ang=PIXEL_ANG), rows(M, stack="stack.mrcs")
    whole, part = molecule(radius_ang=14.0, width_ang=5.0), Blobs(np.array([[8.0, 4, -6]]), np.array([6e3]), 5.0)
    rng = np.random.default_rng(5)
    z = rng.normal(size=(M, 2)).astype(np.float32)
    fixed = project(whole, table, group)
    images = fixed + (z[:, 0] + 1)[:, None, None] * project(part, table, group)
    images = images + rng.normal(size=images.shape) * fixed.std()
    write_stack(folder / "stack.mrcs", images.astype(np.float32), PIXEL_ANG)
    write_star(folder / "p.star", {"optics": pd.DataFrame([group]), "particles": table})
    return {"folder": folder, "z": z, "part": part}


@pytest.fixture(scope="module")
def of_table(two_parts) -> Run:
    """The run of a table of latents: how much of the part there is, times 3 and beside 5."""
    folder = two_parts["folder"]
    np.save(folder / "z.npy", two_parts["z"] * [3.0, 1.0] + [5.0, 0.0])
    options = ImportOptions(latents=str(folder / "z.npy"))
    return import_latents(folder / "p.star", folder / "run", options, overwrite=False, command="import")


def test_latents_of_any_program_become_maps_and_half_maps(two_parts, of_table):
    run, z = of_table, np.load(two_parts["folder"] / "z.npy")
    np.testing.assert_allclose(run.latents().z, z.astype(np.float32))
    assert set(np.unique(run.latents().half)) == {0, 1}
    decoder = load_decoder(run)
    found = decoder.volume(np.array([8.0, 0.0])) - decoder.volume(np.array([5.0, 0.0]))
    nothing = decoder.volume(np.array([5.0, 1.0])) - decoder.volume(np.array([5.0, 0.0]))
    axis = (np.arange(BOX) - BOX // 2) * PIXEL_ANG
    place = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)[..., ::-1] - two_parts["part"].centres_ang[0]
    blob = np.exp(-(place**2).sum(-1) / (2 * 5.0**2))
    assert np.corrcoef(found.ravel(), blob.ravel())[0, 1] > 0.9
    assert np.linalg.norm(nothing) < 0.35 * np.linalg.norm(found)
    halves = [np.subtract(*(decoder.half_volumes(np.array([at, 0.0]))[k] for at in (8.0, 5.0))) for k in (0, 1)]
    assert 0.6 < np.corrcoef(halves[0].ravel(), halves[1].ravel())[0, 1] < 0.9999
    assert run.given_file == two_parts["folder"] / "p.star"


def test_components_of_a_cs_file_become_a_run_as_they_are(of_table, tmp_path):
    cs = export(of_table, ExportOptions()).parent / "particles.cs"
    assert main(["import", str(cs), "--out", str(tmp_path / "run")]) == 0
    run = Run.open(tmp_path / "run")
    np.testing.assert_allclose(run.latents().z, of_table.latents().z)
    at = np.array([7.0, 0.5])
    ours, theirs = (load_decoder(each).volume(at) for each in (of_table, run))
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.999


@pytest.mark.parametrize("name", ["z.txt", "z.csv", "z.npz", "z.pkl", "J1.cs"])
def test_latents_are_read_from_any_table(tmp_path, name):
    z, path = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32), tmp_path / name
    if name.endswith(".txt"):
        np.savetxt(path, z)
    elif name.endswith(".csv"):
        np.savetxt(path, z, delimiter=",", header="umap_1,umap_2,umap_3", comments="")
    elif name.endswith(".npz"):
        np.savez(path, z=z, rows=np.arange(5))
    elif name.endswith(".pkl"):
        path.write_bytes(pickle.dumps(z) + pickle.dumps(z))
    else:
        fields = [("uid", "u8"), *[(f"components_mode_{k}/value", "f4") for k in (2, 0, 1)]]
        records = np.zeros(5, fields)
        for k in range(3):
            records[f"components_mode_{k}/value"] = z[:, k]
        with open(path, "wb") as file:
            np.save(file, records)
    np.testing.assert_allclose(read_given_latents(path).z, z, rtol=1e-6)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"a b\n", "rows|shape|cannot"), (b"1 2\n3 nan\n", "row 2 holds no finite"), (b"\x00\xff", "z.txt")],
)
def test_tables_that_hold_no_latents_are_one_sentence(tmp_path, content, said):
    (tmp_path / "z.txt").write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_given_latents(tmp_path / "z.txt")


def test_latents_of_other_particles_are_refused(two_parts, tmp_path, capsys):
    np.save(tmp_path / "z.npy", np.zeros((7, 2)))
    source = str(two_parts["folder"] / "p.star")
    assert main(["import", source, "--latents", str(tmp_path / "z.npy"), "--out", str(tmp_path / "run")]) == 2
    assert "latents of 7 particles, but" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


# --- there and back ---------------------------------------------------------------------------------------------------


def test_what_is_exported_for_cryodrgn_imports_as_it_was(trained, run, tmp_path, capsys):
    folder = export(run, ExportOptions(program="cryodrgn", classes=False)).parent
    np.testing.assert_array_equal(cryodrgn.read_latents(folder / "z.pkl")[0], trained["z"])
    np.testing.assert_array_equal(cryodrgn.read_indices(folder / "ind.pkl", N), np.arange(N))
    files = {name: str(folder / f"{name}.pkl") for name in ("poses", "ctf")}
    star, stack = tmp_path / "back.star", str(trained["layout"].paths["particles"])
    arguments = ["import", stack, "--out", str(star)]
    assert main([*arguments, *(word for name, path in files.items() for word in (f"--{name}", path))]) == 0
    again, before = read_particles(star), run.particles()
    np.testing.assert_allclose(again.euler_deg, before.euler_deg, atol=2e-4)
    np.testing.assert_allclose(again.origins_ang, before.origins_ang, atol=1e-4)
    assert again.image_names == before.image_names and again.pixel_size_ang[0] == PIXEL_ANG
    for name in ("defocus_u_ang", "defocus_v_ang", "defocus_angle_deg", "voltage_kv", "phase_shift_deg"):
        np.testing.assert_allclose(getattr(again.ctf(), name), getattr(before.ctf(), name), rtol=1e-6)
    assert main(arguments) == 2 and "is there already" in capsys.readouterr().err


def test_only_the_particles_that_are_asked_for_are_exported(trained, run, tmp_path, capsys):
    rows = tmp_path / "rows.txt"
    rows.write_text("11\n3\n7\n")
    folder = export(run, ExportOptions(program="cryodrgn", only=str(rows))).parent
    np.testing.assert_array_equal(cryodrgn.read_indices(folder / "ind.pkl", N), [3, 7, 11])
    np.testing.assert_array_equal(cryodrgn.read_latents(folder / "z.pkl")[0], trained["z"][[3, 7, 11]])
    folder = export(run, ExportOptions(only=str(rows))).parent
    np.testing.assert_array_equal(
        read_records(folder / "particles.cs")["components_mode_0/value"], trained["z"][[3, 7, 11], 0]
    )
    for text, said in (("", "lists no rows"), (f"{N}", f"lists row {N}"), ("three", "cannot be read")):
        rows.write_text(text)
        assert main(["export", str(run.path), "--only", str(rows)]) == 2 and said in capsys.readouterr().err


def test_a_stack_without_ctf_needs_a_pixel_size(tmp_path, capsys):
    write_stack(tmp_path / "s.mrcs", np.ones((3, 16, 16), np.float32), 0.0)
    arguments = ["import", str(tmp_path / "s.mrcs"), "--out", str(tmp_path / "p.star")]
    assert main(arguments) == 2 and "no pixel size" in capsys.readouterr().err
    assert main([*arguments, "--pixel_size_ang", "1.5"]) == 0
    table = read_particles(tmp_path / "p.star")
    assert table.pixel_size_ang.tolist() == [1.5] * 3 and table.ctf() is None and table.euler_deg is None


@pytest.mark.parametrize("index", [[0, 5], [1, 1], np.array([0.5]), "text"])
def test_indices_that_are_none_are_refused(tmp_path, index):
    (tmp_path / "ind.pkl").write_bytes(pickle.dumps(index))
    with pytest.raises(DataError, match=r"ind\.pkl"):
        cryodrgn.read_indices(tmp_path / "ind.pkl", 5)
