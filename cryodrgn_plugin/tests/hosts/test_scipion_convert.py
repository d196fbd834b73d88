"""Scipion sets become star files and back without loss, compared with the host's own RELION plugin."""

import numpy as np
import pytest

pwem = pytest.importorskip("pwem")

from pwem.objects import Acquisition, CTFModel, Particle, SetOfParticles, Transform  # noqa: E402

from cryodrgn_plugin.constants import ID_COLUMN  # noqa: E402
from cryodrgn_plugin.convert import (  # noqa: E402
    fill_flex_particles,
    latents_by_id,
    new_flex_particles,
    object_ids,
    read_particles_star,
    relion_alignment,
    scipion_matrices,
    write_particles_star,
)
from cryodrgn_plugin.convert.posed import posed_particles  # noqa: E402
from cryodrgn_plugin.engine.analysis.analysis_options import AnalysisOptions  # noqa: E402
from cryodrgn_plugin.engine.analysis.analysis_report import analyze  # noqa: E402
from cryodrgn_plugin.engine.config import RunConfig  # noqa: E402
from cryodrgn_plugin.engine.errors import DataError  # noqa: E402
from cryodrgn_plugin.engine.io.star import read_star, write_star  # noqa: E402
from cryodrgn_plugin.engine.run import Run  # noqa: E402

PIXEL_SIZE_ANG = 1.7
N_PARTICLES = 12


@pytest.fixture
def particles(tmp_path):
    """Particles with random poses, astigmatic CTF and ids that are not their row numbers."""
    mrcfile = pytest.importorskip("mrcfile")
    stack = tmp_path / "stack.mrcs"
    with mrcfile.new(stack, np.zeros((N_PARTICLES, 16, 16), np.float32)) as mrc:
        mrc.set_image_stack()
    rng = np.random.default_rng(3)
    angles = rng.uniform([-180, 0, -180], [180, 180, 180], (N_PARTICLES, 3))
    origins = rng.uniform(-4, 4, (N_PARTICLES, 2))
    made = SetOfParticles(filename=str(tmp_path / "particles.sqlite"))
    made.setAcquisition(Acquisition(voltage=300, sphericalAberration=2.7, amplitudeContrast=0.1))
    made.setSamplingRate(PIXEL_SIZE_ANG)
    made.setHasCTF(True)
    made.setAlignmentProj()
    for i, matrix in enumerate(scipion_matrices(angles, origins)):
        particle = Particle()
        particle.setObjId(100 + 7 * i)
        particle.setLocation(i + 1, str(stack))
        particle.setTransform(Transform(matrix))
        ctf = CTFModel()
        ctf.setStandardDefocus(15000 + 100 * i, 14000 + 50 * i, 10 + i)
        ctf.setPhaseShift(float(i))
        particle.setCTF(ctf)
        made.append(particle)
    made.write()
    yield made, angles, origins
    made.close()


def test_particles_carry_the_class_that_is_most_probable_and_how_probable_it_is(particles, tmp_path):
    made, _, _ = particles
    star = tmp_path / "particles.star"
    write_particles_star(made, str(star))
    posterior = np.random.default_rng(4).dirichlet([0.5, 0.5, 0.5], N_PARTICLES)
    run = Run.create(tmp_path / "run", RunConfig(particles=str(star), z_dim=2))
    with run.working():
        run.save_latents(posterior[:, :2], coordinate=posterior @ [0, 1, 2], states=posterior)
    analyze(run, AnalysisOptions(volumes=False, umap=False, figures=False))
    found = run.results("analysis")
    flexible = new_flex_particles(str(tmp_path), made, run)
    probability = found.arrays["class_probability"]
    fill_flex_particles(flexible, made, latents_by_id(run), labels=found.labels, probability=probability)
    for particle, own in zip(flexible.iterItems(), posterior, strict=True):
        assert particle.getClassId() == own.argmax() + 1
        assert particle._cdrgClassProbability.get() == pytest.approx(own.max(), abs=1e-5)
    flexible.close()


def test_a_pose_survives_the_way_there_and_back():
    angles = np.array([[10.0, 20.0, 30.0], [-120.0, 95.0, 5.0]])
    origins = np.array([[1.5, -2.25], [0.0, 3.0]])
    back_angles, back_origins = relion_alignment(scipion_matrices(angles, origins))
    np.testing.assert_allclose(back_angles, angles, atol=1e-9)
    np.testing.assert_allclose(back_origins[:, :2], origins, atol=1e-9)


def test_the_star_file_carries_poses_ctf_optics_and_ids(particles, tmp_path):
    made, angles, origins = particles
    star = tmp_path / "out.star"
    assert write_particles_star(made, str(star)) == N_PARTICLES
    blocks = read_star(star)
    table, optics = blocks["particles"], blocks["optics"].iloc[0]
    np.testing.assert_array_equal(object_ids(str(star)), 100 + 7 * np.arange(N_PARTICLES))
    np.testing.assert_allclose(table[["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]], angles, atol=1e-5)
    np.testing.assert_allclose(table[["rlnOriginXAngst", "rlnOriginYAngst"]], origins * PIXEL_SIZE_ANG, atol=1e-5)
    np.testing.assert_allclose(table["rlnPhaseShift"], np.arange(N_PARTICLES))
    assert table["rlnImageName"].iloc[4].startswith("000005@")
    assert optics["rlnImagePixelSize"] == PIXEL_SIZE_ANG
    assert (optics["rlnVoltage"], optics["rlnImageSize"]) == (300, 16)
    assert optics["rlnCtfDataArePhaseFlipped"] == 0


def test_the_columns_equal_those_of_the_relion_plugin(particles, tmp_path):
    relion_convert = pytest.importorskip("relion.convert.convert31")
    made, _, _ = particles
    ours, theirs = tmp_path / "ours.star", tmp_path / "theirs.star"
    write_particles_star(made, str(ours))
    relion_convert.Writer().writeSetOfParticles(made, str(theirs), outputDir=None)
    a, b = read_star(ours)["particles"], read_star(theirs)["particles"]
    shared_numbers = [name for name in a.columns if name in b.columns and name != "rlnImageName"]
    assert len(shared_numbers) >= 10
    for name in shared_numbers:
        np.testing.assert_allclose(a[name], b[name], atol=1e-4, err_msg=name)
    assert list(a["rlnImageName"]) == list(b["rlnImageName"])
    np.testing.assert_array_equal(a[ID_COLUMN], b["rlnImageId"])


def test_reading_a_star_file_restores_the_particles(particles, tmp_path):
    made, _, _ = particles
    star = tmp_path / "again.star"
    write_particles_star(made, str(star))
    again = SetOfParticles(filename=str(tmp_path / "again.sqlite"))
    again.setAcquisition(Acquisition())
    read_particles_star(str(star), again)
    assert again.getSize() == N_PARTICLES
    assert again.getSamplingRate() == PIXEL_SIZE_ANG
    assert again.getAcquisition().getVoltage() == 300
    for before, after in zip(made.iterItems(), again.iterItems(), strict=True):
        np.testing.assert_allclose(after.getTransform().getMatrix(), before.getTransform().getMatrix(), atol=1e-5)
        np.testing.assert_allclose(after.getCTF().getDefocus(), before.getCTF().getDefocus(), rtol=1e-6)
        assert after.getLocation() == before.getLocation()
    again.close()


def test_particles_get_the_defocus_that_a_run_has_found(particles, tmp_path):
    """Of the particles that it has poses for; astigmatism and phase shift stay, and so does what the set has."""
    made, _, _ = particles
    star = tmp_path / "found.star"
    write_particles_star(made, str(star))
    blocks = read_star(star)
    moved_ang = np.linspace(-300, 400, N_PARTICLES)
    found = blocks["particles"].assign(
        **{name: blocks["particles"][name] + moved_ang for name in ("rlnDefocusU", "rlnDefocusV")}
    )
    write_star(star, {**blocks, "particles": found.iloc[::-2]})
    posed = {particle.getObjId(): particle.getCTF() for particle in posed_particles(made, str(star))}
    assert len(posed) == N_PARTICLES // 2
    for i, particle in enumerate(made.iterItems()):
        given = particle.getCTF()
        assert given.getDefocusU() == 15000 + 100 * i
        if ctf := posed.get(particle.getObjId()):
            expected = (given.getDefocusU() + moved_ang[i], given.getDefocusV() + moved_ang[i], given.getDefocusAngle())
            np.testing.assert_allclose(ctf.getDefocus(), expected, rtol=1e-6)
            assert ctf.getPhaseShift() == given.getPhaseShift()


def test_optics_groups_of_an_import_are_kept(particles, tmp_path):
    made, _, _ = particles
    optics = "data_optics\n\nloop_\n_rlnOpticsGroupName #1\n_rlnOpticsGroup #2\n_rlnVoltage #3\n"
    made.getAcquisition().opticsGroupInfo.set(optics + "krios 1 300\narctica 2 200\n")
    star = tmp_path / "groups.star"
    write_particles_star(made, str(star))
    table = read_star(star)["optics"]
    assert list(table["rlnOpticsGroupName"]) == ["krios", "arctica"]
    assert list(table["rlnVoltage"]) == [300, 200]
    assert list(table["rlnImagePixelSize"]) == [PIXEL_SIZE_ANG] * 2


def test_an_empty_set_is_refused_in_one_sentence(tmp_path):
    empty = SetOfParticles(filename=str(tmp_path / "empty.sqlite"))
    with pytest.raises(DataError, match="empty"):
        write_particles_star(empty, str(tmp_path / "none.star"))
    empty.close()
