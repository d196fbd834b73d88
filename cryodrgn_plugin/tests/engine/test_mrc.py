"""Maps and stacks agree with mrcfile in both directions, in every number type, and a failed write loses nothing."""

import io
import resource
import subprocess
import sys
import threading

import mrcfile
import numpy as np
import pytest

from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.io import stacks
from cryodrgn_plugin.engine.io.header import new_header
from cryodrgn_plugin.engine.io.mrc import StackReader, StackWriter, read_header, read_map, write_map, write_stack


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(size=(7, 16, 16)).astype(np.float32)


def names(count, stack="s.mrcs"):
    return [f"{i}@{stack}" for i in range(1, count + 1)]


def test_mrcfile_reads_a_map_we_write(tmp_path):
    volume = np.random.default_rng(0).normal(size=(8, 8, 8)).astype(np.float32)
    write_map(tmp_path / "v.mrc", volume, 1.25)
    assert mrcfile.validate(tmp_path / "v.mrc", print_file=io.StringIO())
    with mrcfile.open(tmp_path / "v.mrc") as mrc:
        np.testing.assert_array_equal(mrc.data, volume)
        assert mrc.is_volume() and mrc.voxel_size.x == pytest.approx(1.25)
        assert (mrc.header.origin.x, mrc.header.nxstart) == (0, 0)
        assert mrc.header.rms == pytest.approx(volume.std(), rel=1e-5)


def test_mrcfile_reads_a_stack_we_write(tmp_path, images):
    with StackWriter(tmp_path / "s.mrcs", 16, 2.5) as stack:
        stack.append(images[:3])
        stack.append(images[3])
        stack.append(images[4:])
    assert mrcfile.validate(tmp_path / "s.mrcs", print_file=io.StringIO())
    with mrcfile.open(tmp_path / "s.mrcs") as mrc:
        np.testing.assert_array_equal(mrc.data, images)
        assert mrc.is_image_stack() and mrc.voxel_size.x == pytest.approx(2.5)


def test_a_map_reads_back_with_its_pixel_size(tmp_path):
    volume = np.random.default_rng(0).normal(size=(8, 8, 8)).astype(np.float32)
    write_map(tmp_path / "v.mrc", volume, 3.2)
    back, pixel = read_map(tmp_path / "v.mrc")
    np.testing.assert_array_equal(back, volume)
    assert pixel == pytest.approx(3.2)


@pytest.mark.parametrize("axes", [(3, 2, 1), (2, 1, 3), (2, 3, 1)])
def test_a_map_whose_axes_are_stored_in_another_order_is_put_right(tmp_path, axes):
    """`axes` are those that columns, rows and sections run along."""
    volume = np.random.default_rng(3).normal(size=(4, 4, 4)).astype(np.float32)  # z, y, x
    stored = np.empty((4, 4, 4), np.float32)
    for x, y, z in np.ndindex(4, 4, 4):
        column, row, section = ((x, y, z)[axis - 1] for axis in axes)
        stored[section, row, column] = volume[z, y, x]
    with mrcfile.new(tmp_path / "m.mrc", stored) as mrc:
        mrc.header.mapc, mrc.header.mapr, mrc.header.maps = axes
    np.testing.assert_array_equal(read_map(tmp_path / "m.mrc")[0], volume)


def test_a_stack_can_be_written_in_half_precision(tmp_path, images):
    with StackWriter(tmp_path / "s.mrcs", 16, 2.5, float16=True) as stack:
        stack.append(images)
    with mrcfile.open(tmp_path / "s.mrcs") as mrc:
        np.testing.assert_array_equal(mrc.data, images.astype(np.float16))


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.float32, np.uint16, np.float16])
def test_every_number_type_is_read(tmp_path, dtype):
    values = (np.arange(5 * 8 * 8).reshape(5, 8, 8) % 120).astype(dtype)
    with mrcfile.new(tmp_path / "s.mrcs", values) as mrc:
        mrc.set_image_stack()
    read = StackReader(names(5), [tmp_path]).read(np.array([4, 0]))
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, values[[4, 0]].astype(np.float32))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("order", "<>")
def test_unsigned_values_under_the_mode_of_signed_ones_are_told_by_the_header(tmp_path, dtype, order):
    """Bytes of 0 to 255 under mode 0: read as signed, the brightest half would be the darkest."""
    most = np.iinfo(dtype).max
    values = np.linspace(0, most, 5 * 64).reshape(5, 8, 8).astype(dtype)
    header = new_header(values.shape, 1.0, is_stack=True)
    header["mode"] = {np.uint8: 0, np.uint16: 1}[dtype]
    header["maximum"] = most
    written = header.astype(header.dtype.newbyteorder(order)).tobytes()
    (tmp_path / "s.mrcs").write_bytes(written + values.astype(np.dtype(dtype).newbyteorder(order)).tobytes())
    np.testing.assert_array_equal(StackReader(names(5), [tmp_path]).read(np.arange(5)), values.astype(np.float32))


def test_big_endian_files_and_extended_headers_are_read(tmp_path, images):
    write_stack(tmp_path / "t.mrcs", images, 1.0)
    header = np.frombuffer((tmp_path / "t.mrcs").read_bytes()[:1024], "<i4")
    swapped = header.astype(">i4")
    swapped[23] = 64
    (tmp_path / "s.mrcs").write_bytes(swapped.tobytes() + bytes(64) + images.astype(">f4").tobytes())
    np.testing.assert_array_equal(StackReader(names(7), [tmp_path]).read(np.arange(7)), images)


def test_images_come_in_the_order_asked_for_from_many_stacks(tmp_path, images, monkeypatch):
    monkeypatch.setattr(stacks, "MAX_OPEN_FILES", 3)
    for i, image in enumerate(images):
        write_stack(tmp_path / f"{i}.mrcs", np.stack([image, -image]), 1.0)
    wanted = [f"{j}@{i}.mrcs" for i in range(7) for j in (1, 2)]
    reader = StackReader(wanted, [tmp_path])
    index = np.random.default_rng(1).permutation(14)
    expected = np.stack([images[i // 2] * (1 - 2 * (i % 2)) for i in index])
    np.testing.assert_array_equal(reader.read(index), expected)
    assert len(reader._open) <= 3


def test_several_threads_read_at_once(tmp_path, images):
    write_stack(tmp_path / "s.mrcs", images, 1.0)
    reader = StackReader(names(7), [tmp_path])
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(50):
            index = rng.integers(0, 7, 5)
            if not np.array_equal(reader.read(index), images[index]):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_paths_are_tried_in_folder_order(tmp_path, images):
    for folder, factor in (("a", 1), ("b", 2)):
        (tmp_path / folder).mkdir()
        write_stack(tmp_path / folder / "s.mrcs", images * factor, 1.0)
    read = StackReader(names(7), [tmp_path / "none", tmp_path / "b", tmp_path / "a"]).read(np.array([0]))
    np.testing.assert_array_equal(read[0], 2 * images[0])


def test_a_stack_cut_off_while_open_is_an_error_and_not_a_crash(tmp_path, images):
    write_stack(tmp_path / "s.mrcs", images, 1.0)
    reader = StackReader(names(7), [tmp_path])
    with open(tmp_path / "s.mrcs", "r+b") as file:
        file.truncate(1024 + 3 * 16 * 16 * 4)
    with pytest.raises(DataError, match="cut off while it was being read"):
        reader.read(np.arange(7))


def test_files_that_are_not_mrc_are_one_sentence(tmp_path):
    (tmp_path / "a.mrc").write_bytes(b"no")
    (tmp_path / "b.mrc").write_bytes(b"text, not an image; " * 100)
    (tmp_path / "c.mrc").write_bytes(np.array([8, 8, 8, 4], "<i4").tobytes() + bytes(9000))
    messages = {"a": "only 2 bytes", "b": "is not an MRC file", "c": "MRC mode 4", "d": "cannot be read"}
    for name, message in messages.items():
        with pytest.raises(DataError, match=message):
            read_header(tmp_path / f"{name}.mrc")


def test_a_failed_block_leaves_no_file(tmp_path, images):
    with pytest.raises(KeyError), StackWriter(tmp_path / "s.mrcs", 16, 1.0) as stack:
        stack.append(images)
        raise KeyError
    assert list(tmp_path.iterdir()) == []


FULL_DISK = """
import resource, sys
import numpy as np, pandas as pd
from pathlib import Path
from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.io.mrc import StackWriter, write_map
from cryodrgn_plugin.engine.io.star import write_star
from cryodrgn_plugin.engine.io.writing import write_array

folder = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
def stack():
    with StackWriter(folder / "old.mrcs", 64, 1.0) as writer:
        for _ in range(10):
            writer.append(np.zeros((1, 64, 64)))
table = pd.DataFrame({"x": np.arange(10_000)})
writers = {
    "old.mrcs": stack,
    "old.mrc": lambda: write_map(folder / "old.mrc", np.zeros((64, 64, 64)), 1.0),
    "old.star": lambda: write_star(folder / "old.star", {"particles": table}),
    "old.cs": lambda: write_array(folder / "old.cs", np.zeros(5_000, [("uid", "u8"), ("pose", "f4", 3)])),
}
for name, write in writers.items():
    try:
        write()
    except DataError as error:
        assert "no space" in str(error) and str(folder / name) in str(error), error
        print("explained")
"""


def test_a_full_disk_is_explained_and_loses_nothing(tmp_path):
    for name in ("old.mrcs", "old.mrc", "old.star", "old.cs"):
        (tmp_path / name).write_text("kept")
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["explained"] * 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.cs", "old.mrc", "old.mrcs", "old.star"]
    assert all(path.read_text() == "kept" for path in tmp_path.iterdir())


def test_a_closed_folder_is_explained(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        write_map(tmp_path / "file" / "v.mrc", np.zeros((4, 4, 4)), 1.0)


def test_reading_a_large_stack_takes_the_memory_of_the_images_asked_for(tmp_path):
    with StackWriter(tmp_path / "s.mrcs", 128, 1.0) as stack:
        for _ in range(40):
            stack.append(np.zeros((50, 128, 128)))
    reader = StackReader(names(2000), [tmp_path])
    reader.read(np.arange(10))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for start in range(0, 2000, 10):
        reader.read(np.arange(start, start + 10))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB, of 131 MB read
