"""One damaged image among many changes nothing but itself, and is named."""

import numpy as np
import pytest

from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.imaging import outliers
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.imaging.outliers import FAR, Seen, mended
from cryodrgn_plugin.engine.preflight.preflight_options import PreflightOptions
from cryodrgn_plugin.engine.preflight.survey import survey
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.reconstruction.homogeneous import reconstruct
from cryodrgn_plugin.engine.run import Run

from .particle_files import molecule, optics, project, rows, write_set

COUNT, BOX, BAD = 200, 32, 7


def hot_pixel(image):
    image[12, 20] = 1e6


def cold_line(image):
    image[:, 5] = -3e4


def saturated_rows(image):
    image[10:12] = 32767


def scaled(image):
    image *= 1e6


def constant(image):
    image[:] = 3.0


def blank_but_one(image):
    image[:] = 0
    image[3, 3] = 1e6


def saturated_band(image):
    image[8:14] = 1e6


MENDED, KEPT, LOST = [hot_pixel, cold_line, saturated_rows], [scaled], [constant, blank_but_one, saturated_band]


@pytest.fixture(scope="module")
def clean():
    group, table = optics(box=BOX), rows(COUNT, seed=6)
    images = project(molecule(), table, group)
    images = images / images.std() * 0.5
    return table, images, np.random.default_rng(6).normal(size=images.shape)


def damaged(folder, clean, damage, noisy=True):
    table, images, noise = clean
    images = (images + noise if noisy else images).astype(np.float32)
    if damage is not None:
        damage(images[BAD])
    return write_set(folder, images, table)


def volume_of(dataset):
    return reconstruct(dataset, mask="sphere").volume


def difference(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@pytest.mark.parametrize("noisy", [True, False])
@pytest.mark.parametrize("damage", MENDED + LOST)
def test_a_damaged_image_leaves_the_map_as_it_is(tmp_path, clean, damage, noisy):
    (tmp_path / "clean").mkdir()
    whole = ParticleDataset.open(damaged(tmp_path / "clean", clean, None, noisy))
    dataset = ParticleDataset.open(damaged(tmp_path, clean, damage, noisy))
    look = dataset.first_look
    others = np.arange(COUNT) != BAD
    assert not whole.first_look.lost.any() and not whole.first_look.far_out.any()
    assert not look.lost[others].any() and not look.far_out[others].any()
    if damage in LOST:
        assert look.lost[BAD] and dataset.usable().rows.tolist() == np.flatnonzero(others).tolist()
        assert "Left out are 1 image with one grey value all over" in look.sentences()[0]
        expected = whole.subset(others)
    else:
        assert look.mended[BAD] and dataset.usable() is dataset
        assert "replaced on reading in 1 image: row 8." in look.sentences()[0]
        expected = whole
    assert difference(volume_of(dataset.usable()), volume_of(expected)) < 0.02
    np.testing.assert_allclose(estimate_noise(dataset.usable()).sigma2, estimate_noise(whole).sigma2, rtol=0.05)


def test_an_image_in_other_units_counts_as_any_other(tmp_path, clean):
    (tmp_path / "clean").mkdir()
    whole = ParticleDataset.open(damaged(tmp_path / "clean", clean, None))
    dataset = ParticleDataset.open(damaged(tmp_path, clean, scaled))
    assert dataset.first_look.sentences() == []
    assert difference(volume_of(dataset), volume_of(whole)) < 1e-4
    # Noise-free images have no scale of their own: there such an image is lost.
    noise_free = ParticleDataset.open(damaged(tmp_path, clean, scaled, noisy=False))
    assert np.flatnonzero(noise_free.first_look.lost).tolist() == [BAD]


@pytest.mark.parametrize("recipe", ["homogeneous", "fast", "cryodrgn"])
def test_every_training_goes_on_and_names_the_row(tmp_path, clean, recipe):
    table, images, noise = clean
    images = (images + noise).astype(np.float32)
    hot_pixel(images[BAD])
    constant(images[BAD + 2])
    star = write_set(tmp_path, images, table)
    small = {"training.epochs": "1", "decoder.width": "16", "encoder.width": "16", "closed_form.n_components": "2"}
    config = recipe_config(recipe, {"particles": str(star), **({} if recipe == "homogeneous" else small)})
    run = Run.create(tmp_path / "run", config)
    with run.working():
        fit(run, config)
    assert run.latents().rows.tolist() == [row for row in range(COUNT) if row != BAD + 2]
    assert np.isfinite(run.latents().z).all()
    assert run.info["notes"]["mended_rows"] == [BAD] and run.info["notes"]["left_out_rows"] == [BAD + 2]
    log = run.log_file.read_text()
    assert "(1 pixels, hot or saturated) are replaced on reading in 1 image: row 8." in log and "row 10." in log


def test_preflight_names_the_row_and_blames_nothing_else(tmp_path, clean):
    table, images, noise = clean
    star = damaged(tmp_path, (table, images, noise), hot_pixel)
    verdicts = survey(star, PreflightOptions(tested=COUNT), lambda *_: None).verdicts
    assert [verdict.check for verdict in verdicts if verdict.level != "ok"] == ["images", "grey values"]
    assert verdicts[3].check == "grey values" and "row 8." in verdicts[3].sentence


def test_clean_images_come_back_as_they_are():
    rng = np.random.default_rng(0)
    for images in (rng.normal(size=(300, 32, 32)), rng.poisson(0.3, (300, 32, 32)), rng.standard_t(5, (300, 32, 32))):
        images = images.astype(np.float32)
        found = mended(images)
        np.testing.assert_array_equal(found.images, images)
        assert not found.seen.far_out.any() and not found.lost.any()
    images[4, 2, 2] = 10 * FAR
    before = images.copy()
    assert mended(images).seen.far_out.tolist() == [1 if i == 4 else 0 for i in range(300)]
    np.testing.assert_array_equal(images, before)
    alone = mended(images[4:5])
    np.testing.assert_array_equal(alone.images[0], mended(images).images[4])


def test_no_image_is_passed_over_whose_extremes_are_far_from_its_middle_half():
    """The first look counts pixels in bins where ordering them would tell; it may ask in vain, but must not miss."""
    rng, scales = np.random.default_rng(0), np.geomspace(1, 100, 500)[:, None, None]
    images = np.concatenate([rng.normal(size=(500, 16, 16)), rng.standard_t(2, (500, 16, 16))]).astype(np.float32)
    images[:500, 3:4, :1] *= scales
    images[500:, 5:9] *= 10 * rng.integers(0, 2, (500, 1, 16))
    seen = Seen.nothing(1000)
    seen.look_at(slice(None), images)
    far = outliers._suspicious(images.reshape(1000, -1), 0.0)
    asked = np.isin(np.arange(1000), seen.suspicious(0.0))
    assert far.any() and asked[far].all() and not asked.all()


def test_a_set_of_blank_images_is_refused(tmp_path, clean):
    star = write_set(tmp_path, np.zeros((COUNT, BOX, BOX), np.float32), clean[0])
    with pytest.raises(DataError, match="none of its 200 images says anything"):
        ParticleDataset.open(star).usable()
