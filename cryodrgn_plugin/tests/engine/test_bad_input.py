"""Each bad input gives its one sentence: the file, what is wrong and how much of it, and what to do."""

import numpy as np
import pandas as pd
import pytest

from cryodrgn_plugin.engine.config import DataConfig
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.io.mrc import write_stack
from cryodrgn_plugin.engine.io.star import write_star

from .particle_files import optics, rows, small_set, write_set


def noise(count=4, box=32):
    return np.random.default_rng(0).normal(size=(count, box, box))


def refuse(path, message, config=None):
    with pytest.raises(DataError, match=message) as error:
        ParticleDataset.open(path, config)
    text = str(error.value)
    assert str(path.name) in text or str(path.parent) in text
    assert text.endswith(".") and "\n" not in text


def test_an_absent_stack_is_named_with_the_folders_searched(tmp_path):
    path = small_set(tmp_path)
    (tmp_path / "stack.mrcs").unlink()
    refuse(path, r"1 of 1 image stacks are absent, the first is stack.mrcs \(looked in .*Set root")


def test_a_root_that_is_no_folder_is_named(tmp_path):
    with pytest.raises(DataError, match="not a folder"):
        ParticleDataset.open(small_set(tmp_path), root=tmp_path / "none")


def test_a_truncated_stack_is_counted(tmp_path):
    path = small_set(tmp_path, count=12)
    with open(tmp_path / "stack.mrcs", "r+b") as file:
        file.truncate(1024 + 5 * 32 * 32 * 4 + 100)
    refuse(path, "is cut off: its header announces 12 sections but the file holds 5")


def test_an_image_beyond_its_stack_is_named_by_row(tmp_path):
    table = rows(6)
    refuse(write_set(tmp_path, noise(4), table), r"row 5 names image 5 of .*, which holds 4 \(2 such rows\)")


def test_a_malformed_image_name_is_named_by_row(tmp_path):
    table = rows(4)
    table.loc[2, "rlnImageName"] = "x@stack.mrcs"
    refuse(write_set(tmp_path, noise(4), table), "row 3 has rlnImageName 'x@stack.mrcs'")


def test_boxes_mixed_within_an_optics_group_are_named(tmp_path):
    table = pd.concat([rows(3), rows(2, stack="other.mrcs")])
    write_stack(tmp_path / "other.mrcs", noise(2, 36), 4.0)
    refuse(write_set(tmp_path, noise(3), table, [optics()]), "group 1 mixes boxes: 32 pixels in row 1 and 36 in row 4")


def test_pixel_sizes_mixed_within_an_optics_group_are_named(tmp_path):
    table = rows(2).assign(rlnImagePixelSize=[1.0, 2.0])
    group = optics()
    del group["rlnImagePixelSize"]
    write_stack(tmp_path / "stack.mrcs", noise(2), 1.0)
    write_star(tmp_path / "p.star", {"optics": pd.DataFrame([group]), "particles": table})
    refuse(tmp_path / "p.star", "mixes pixel sizes from 1 to 2 Å")


def test_a_star_file_that_states_another_box_is_refused(tmp_path):
    path = write_set(tmp_path, noise(4), rows(4), [optics(box=64)])
    refuse(path, "rlnImageSize of optics group 1 is 64, but.*32 pixels")


def test_images_that_are_not_square_are_refused(tmp_path):
    import mrcfile

    path = write_set(tmp_path, noise(4), rows(4))
    with mrcfile.new(tmp_path / "stack.mrcs", np.zeros((4, 32, 30), np.float32), overwrite=True) as mrc:
        mrc.set_image_stack()
    refuse(path, "30 × 32 pixels; they must be square")


def test_an_odd_box_needs_an_even_one_to_be_cropped_to(tmp_path):
    path = write_set(tmp_path, noise(4, 33), rows(4), [optics(box=33)])
    refuse(path, r"odd \(33 pixels\). Set data.box to an even number of at most 32")
    assert ParticleDataset.open(path, DataConfig(box=32, sign="white")).images(np.arange(4)).shape == (4, 32, 32)


def test_a_box_larger_than_the_images_is_refused(tmp_path):
    refuse(small_set(tmp_path), "data.box is 64, larger than the images", DataConfig(box=64))


def test_an_empty_set_is_refused(tmp_path):
    write_star(tmp_path / "p.star", {"optics": pd.DataFrame([optics()]), "particles": rows(0)})
    refuse(tmp_path / "p.star", "lists no particles")


@pytest.mark.parametrize("name", ["rlnDefocusU", "rlnImageName", "rlnOpticsGroup"])
def test_a_missing_column_is_named(tmp_path, name):
    refuse(write_set(tmp_path, noise(4), rows(4).drop(columns=name)), f"column {name} is missing")


@pytest.mark.parametrize("name", ["rlnVoltage", "rlnAmplitudeContrast", "rlnImagePixelSize", "rlnOpticsGroup"])
def test_a_missing_optics_column_is_named(tmp_path, name):
    group = optics()
    del group[name]
    write_stack(tmp_path / "stack.mrcs", noise(4), 4.0)
    write_star(tmp_path / "p.star", {"optics": pd.DataFrame([group]), "particles": rows(4)})
    refuse(tmp_path / "p.star", f"optics table.*{name}|{name}.*optics table")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_image_that_is_not_finite_is_named_by_row_when_it_is_read(tmp_path, value):
    images = noise(30)
    dataset = ParticleDataset.open(write_set(tmp_path, images, rows(30)))
    images[[17, 22], 3, 4] = value
    write_set(tmp_path, images, rows(30))
    dataset.source.stacks.close()
    with pytest.raises(DataError, match=r"row 18 \(000018@stack.mrcs\) holds NaN.*; so do 2 of the"):
        dataset.batch(np.arange(10, 30))


def test_absent_poses_are_refused_where_they_are_required(tmp_path):
    path = write_set(tmp_path, noise(4), rows(4)[["rlnImageName", "rlnOpticsGroup"]])
    dataset = ParticleDataset.open(path)
    assert dataset.rotations is None and dataset.batch(np.arange(2)).pose is None
    with pytest.raises(DataError, match=r"have no poses .*rlnAngleRot.*Run a 3D refinement first"):
        dataset.require_poses()


@pytest.mark.parametrize(("name", "shown"), [("rlnAngleTilt", "rlnAngleTilt"), ("rlnOriginYAngst", "rlnOriginY")])
def test_missing_poses_are_counted_and_the_first_is_named(tmp_path, name, shown):
    table = rows(4)
    table.loc[[1, 3], name] = np.nan
    dataset = ParticleDataset.open(write_set(tmp_path, noise(4), table))
    with pytest.raises(DataError, match=f"2 of 4 particles have no pose; the first is row 2, where {shown} is not"):
        dataset.require_poses()
    dataset.subset(np.array([0, 2])).require_poses()


def test_text_in_a_numeric_column_is_named_by_row_and_column(tmp_path):
    path = small_set(tmp_path)
    lines = path.read_text().splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("000003@"))
    words = lines[place].split()
    words[6] = "high"
    lines[place] = " ".join(words)
    path.write_text("\n".join(lines))
    refuse(path, "row 3 has 'high' in the numeric column rlnDefocusU")
