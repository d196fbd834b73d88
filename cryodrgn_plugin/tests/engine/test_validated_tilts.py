"""Validation of tilt series, as RELION 5 and M write them: it places, parts, counts and shuffles particles."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cryodrgn_plugin.engine.analysis.run_particles import particles_of
from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.io.chosen_rows import particle_of_image
from cryodrgn_plugin.engine.io.mrc import write_stack
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.validation import validation_report
from cryodrgn_plugin.engine.validation.leakage import leaks
from cryodrgn_plugin.engine.validation.tied_images import TiedImages

from .particle_files import optics, write_set
from .tilt_sets import BOX, EXACT, PIXEL, VISIBLE, TiltSet, plant

pytestmark = pytest.mark.slow

PARTICLES, TILTS, NOISE = 60, int(VISIBLE.sum()), 2.5
SHARE = 0.4
QUICK = "--z_dim 1 --closed_form.n_components 2 --closed_form.iterations 3 --closed_form.nodes 6".split()
ASKED = "--nodes 6 --permutations 19 --significance 0.05 --states 2 --bootstrap 200".split()


def two_states(folder: Path) -> np.ndarray:
    """A RELION 5 set of a molecule a third of which is absent from some particles: which they are, (P,) bool."""
    planted = plant(folder, TiltSet(particles=PARTICLES, angles=True, coordinates="centred"))
    lattice, rng = HalfPlane(BOX, BOX // 2 - 1), np.random.default_rng(5)
    freqs = lattice.indices / (BOX * PIXEL)
    weights = planted.blobs.weights * (np.arange(len(planted.blobs.weights)) >= 4)
    absent = rng.permutation(PARTICLES) < SHARE * PARTICLES
    for number in range(PARTICLES):
        blobs = replace(planted.blobs, weights=weights) if absent[number] else planted.blobs
        spectra = np.stack([blobs.slice(freqs @ view[:2]) for view in planted.views[number]]) / PIXEL**3
        moved = np.exp(2j * np.pi * planted.origins_ang[number] @ freqs.T)
        images = lattice.images(spectra * planted.ctf[number] * moved)
        images += NOISE * images.std() * rng.normal(size=images.shape)
        write_stack(folder / f"{number}.mrcs", images.astype(np.float32), PIXEL)
    return absent


def as_m_writes_it(source: Path, folder: Path) -> Path:
    """The same images as one table of single images, tied by rlnGroupName."""
    dataset = ParticleDataset.open(source, EXACT)
    table, ctf = dataset.table, dataset.table.ctf()
    tilt = np.arange(table.n) % TILTS
    frame = pd.DataFrame(
        {
            "rlnImageName": [f"{k + 1:06d}@stack.mrcs" for k in range(table.n)],
            **{f"rlnAngle{name}": table.euler_deg[:, k] for k, name in enumerate(("Rot", "Tilt", "Psi"))},
            **{f"rlnOrigin{axis}Angst": table.origins_ang[:, k] for k, axis in enumerate("XY")},
            "rlnDefocusU": ctf.defocus_u_ang,
            "rlnDefocusV": ctf.defocus_v_ang,
            "rlnDefocusAngle": ctf.defocus_angle_deg,
            "rlnMicrographName": [f"ts_{k}.mrc" for k in tilt],
            "rlnCtfBfactor": -0.1 * (1 + tilt),
            "rlnGroupName": [f"ts_{k:07d}" for k in particle_of_image(table)],
            "rlnOpticsGroup": 1,
        }
    )
    stack = np.concatenate([dataset.source.raw(np.arange(table.n))])
    return write_set(folder, stack, frame, [optics(box=BOX, pixel_ang=PIXEL)])


@pytest.fixture(scope="module", params=["RELION 5", "M"])
def validated(request, tmp_path_factory) -> tuple[Run, np.ndarray]:
    """A validated run, and which particles lack a part."""
    folder = tmp_path_factory.mktemp("tilts")
    (folder / "set").mkdir()
    absent, path = two_states(folder / "set"), folder / "set" / "set.star"
    path = as_m_writes_it(path, folder) if request.param == "M" else path
    run = str(folder / "run")
    with pytest.MonkeyPatch.context() as few:
        few.setattr(validation_report, "LEAST_PARTICLES", PARTICLES)
        assert main(["train", str(path), "--out", run, *QUICK]) == 0
        assert main(["validate", run, *ASKED]) == 0
    return Run.open(run), absent


def test_halves_part_no_particle_and_place_it_by_all_its_images(validated):
    run, absent = validated
    found = run.results("validation")
    particle = particle_of_image(particles_of(run).table)
    assert np.array_equal(particle, np.repeat(np.arange(PARTICLES), TILTS))
    for name in ("half", "confidence", "z_half1", "z_half2"):
        values = found.arrays[name].reshape(PARTICLES, TILTS, -1)
        assert (values == values[:, :1]).all(), name
    for name in ("z_half1", "z_half2"):
        z = found.arrays[name].reshape(PARTICLES, TILTS)[:, 0]
        assert abs(np.corrcoef(z, absent)[0, 1]) > 0.9
    assert found.index["halves"]["particles"] == [PARTICLES // 2] * 2
    assert f"{PARTICLES} particles" in found.file("page").read_text(encoding="utf-8")
    assert found.index["verdict"]["outcome"] == "found"


def test_populations_are_as_sure_as_so_many_particles_are(validated):
    run, absent = validated
    rows = run.results("validation").index["populations"]
    truth = sorted([absent.mean(), 1 - absent.mean()])
    for way in ("counted", "likely"):
        for (share, low, high), true in zip(sorted(row[way] for row in rows), truth, strict=True):
            by_chance = 2 * 1.96 * np.sqrt(true * (1 - true) / PARTICLES)
            assert low <= true <= high and share == pytest.approx(true, abs=0.05)
            assert high - low == pytest.approx(by_chance, rel=0.25)


def test_names_of_tilts_are_no_quantity_of_a_particle(validated):
    run, _ = validated
    told = {leak["name"] for leak in run.results("validation").index["leakage"]}
    assert "micrograph" not in told and {"viewing direction", "defocus", "contrast"} <= told


def test_a_few_images_are_not_many_particles(validated, tmp_path, capsys):
    run, _ = validated
    assert main(["validate", str(run.path), *ASKED]) == 2
    assert f"has {PARTICLES} particles; a validation needs at least 200" in capsys.readouterr().err


def test_what_is_equal_in_all_images_of_a_particle_is_no_leak():
    """Place and view of a particle by chance: eight images of each are no eight witnesses."""
    particle = np.repeat(np.arange(150), 8)
    tied = TiedImages(particle, particle)
    alarms = {"images": 0, "particles": 0}
    for seed in range(12):
        rng = np.random.default_rng(seed)
        z, view = rng.normal(size=(150, 1))[particle], rng.normal(size=(150, 2))[particle]
        membership = np.eye(3)[np.digitize(z[:, 0], [-0.4, 0.4])]
        for name, known in (("images", None), ("particles", tied)):
            (leak,) = leaks(z, membership, {"view": view}, permutations=99, tested=2000, seed=seed, tied=known)
            alarms[name] += leak.p_value <= 0.01
    assert alarms["particles"] == 0 and alarms["images"] > 4


def test_quantities_of_a_particle_are_those_of_its_images_averaged():
    tied = TiedImages(np.array([0, 0, 1]), np.array([0, 0, 1]))
    names = {"tilt": np.array(["a", "b", "a"]), "grid": np.array(["g", "g", "h"])}
    numbers = {"defocus": np.array([1.0, 3.0, 5.0]), "axis": np.array([[1, 0], [0, 1], [1, 1.0]])}
    found = tied.of_particles(names | numbers)
    assert found["grid"].tolist() == ["g", "g", "h"] and "tilt" not in found
    assert found["defocus"].tolist() == [2, 2, 5] and found["axis"].tolist() == [[0.5, 0.5], [0.5, 0.5], [1, 1]]
    assert tied.once.tolist() == [True, False, True] and tied.count == 2
