"""STAR tables survive reading and writing, whatever RELION puts into them."""

import numpy as np
import pandas as pd
import pytest
import starfile

from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.io.star import read_star, write_star

OLD = """
data_

loop_
_rlnImageName #1
_rlnDefocusU #2
_rlnGroupName #3
1@a.mrcs 15301.1 g1
2@a.mrcs 15303.0 g2
"""

NEW = """# version 50001

data_general

_rlnTomoSubTomosAre2DStacks   1

# version 50001

data_optics

loop_
_rlnOpticsGroup #1
_rlnOpticsGroupName #2
_rlnVoltage #3
  1  001  300.000


# version 50001

data_particles

loop_
_rlnImageName #1
_rlnOpticsGroup #2
_custom #3
_rlnComment #4
000001@a.mrcs 1 nan "two words"
000002@a.mrcs 1 1e-9 one
"""


def write(path, text):
    path.write_text(text)
    return path


def test_blocks_columns_and_rows_keep_their_names_and_order(tmp_path):
    tables = read_star(write(tmp_path / "a.star", NEW))
    assert list(tables) == ["general", "optics", "particles"]
    assert list(tables["particles"]) == ["rlnImageName", "rlnOpticsGroup", "custom", "rlnComment"]
    assert tables["particles"]["rlnImageName"].tolist() == ["000001@a.mrcs", "000002@a.mrcs"]


def test_a_name_made_of_digits_stays_a_name(tmp_path):
    assert read_star(write(tmp_path / "a.star", NEW))["optics"]["rlnOpticsGroupName"].tolist() == ["001"]


def test_missing_and_tiny_numbers_are_numbers(tmp_path):
    values = read_star(write(tmp_path / "a.star", NEW))["particles"]["custom"].to_numpy()
    assert np.isnan(values[0]) and values[1] == 1e-9


def test_quoted_text_is_one_value_in_the_old_unnamed_block(tmp_path):
    path = write(tmp_path / "a.star", OLD.replace(" g1", ' "group one"').replace(" g2", ' "g2"'))
    assert read_star(path)[""]["rlnGroupName"].tolist() == ["group one", "g2"]


@pytest.mark.parametrize("quote", ["'", '"'])
def test_quoted_text_of_either_kind_is_read(tmp_path, quote):
    path = write(tmp_path / "a.star", NEW.replace('"', quote))
    assert read_star(path)["particles"]["rlnComment"].tolist() == ["two words", "one"]


def test_a_pair_list_is_one_row_and_is_written_as_pairs_again(tmp_path):
    tables = read_star(write(tmp_path / "a.star", NEW))
    assert tables["general"]["rlnTomoSubTomosAre2DStacks"].tolist() == [1]
    write_star(tmp_path / "b.star", tables)
    assert "_rlnTomoSubTomosAre2DStacks 1\n" in (tmp_path / "b.star").read_text()


def test_what_is_written_reads_back_equal(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "rlnImageName": [f"{i}@st ack.mrcs" for i in range(50)],
            "rlnDefocusU": rng.uniform(1e4, 2e4, 50).round(5),
            "small": rng.normal(size=50) * 1e-9,
            "rlnClassNumber": rng.integers(0, 9, 50),
            "rlnComment": [""] + ["x"] * 49,
        }
    )
    write_star(tmp_path / "a.star", {"particles": table})
    back = read_star(tmp_path / "a.star")["particles"]
    pd.testing.assert_frame_equal(back, table, rtol=1e-9)
    assert back["rlnClassNumber"].dtype == np.int64


def test_another_reader_reads_what_is_written(tmp_path):
    table = pd.DataFrame({"rlnImageName": ["1@a.mrcs", "2@a.mrcs"], "rlnDefocusU": [1.5, 2.5e-9]})
    write_star(tmp_path / "a.star", {"optics": pd.DataFrame({"rlnOpticsGroup": [1]}), "particles": table})
    theirs = starfile.read(tmp_path / "a.star")
    pd.testing.assert_frame_equal(theirs["particles"], table)
    assert "# version 30001" in (tmp_path / "a.star").read_text()


def test_windows_line_ends_are_read(tmp_path):
    path = tmp_path / "a.star"
    path.write_bytes(OLD.replace("\n", "\r\n").encode())
    table = read_star(path)[""]
    assert list(table) == ["rlnImageName", "rlnDefocusU", "rlnGroupName"]
    assert table["rlnGroupName"].tolist() == ["g1", "g2"]


def test_a_table_without_rows_has_its_columns(tmp_path):
    table = read_star(write(tmp_path / "a.star", OLD.split("1@")[0]))[""]
    assert len(table) == 0 and list(table) == ["rlnImageName", "rlnDefocusU", "rlnGroupName"]


# As RELION 3.1.3 reads them (tests/hosts/test_relion_star.py asks it), but for whole lines of comment among the rows,
# which it refuses although STAR allows them.
@pytest.mark.parametrize(
    ("between", "names"),
    [
        ("1@a.mrcs 15301.1 g1\n\n2@a.mrcs 15303.0 g2\n", ["1@a.mrcs"]),
        ("1@a.mrcs 15301.1 g1\n \t \r\n2@a.mrcs 15303.0 g2\n", ["1@a.mrcs"]),
        ("# first\n\n1@a.mrcs 15301.1 g1\n2@a.mrcs 15303.0 g2\n", ["1@a.mrcs", "2@a.mrcs"]),
        ("1@a.mrcs 15301.1 g1 # good\n2@a.mrcs 15303.0 g2 #bad one\n", ["1@a.mrcs", "2@a.mrcs"]),
        ("1@a#b.mrcs 15301.1 g1\n2@a.mrcs 15303.0 g2\n", ["1@a#b.mrcs", "2@a.mrcs"]),
        ("1@a.mrcs 15301.1 g1\n# left out by hand\n2@a.mrcs 15303.0 g2\n", ["1@a.mrcs", "2@a.mrcs"]),
        ("1@a.mrcs 15301.1 g1\r\n#2@a.mrcs 15303.0 g2\r\n3@a.mrcs 1.0 g2\r\n# end", ["1@a.mrcs", "3@a.mrcs"]),
    ],
)
def test_comments_are_no_rows_and_a_blank_line_ends_the_table(tmp_path, between, names):
    path = tmp_path / "a.star"
    path.write_bytes((OLD.split("1@")[0] + between).encode())
    table = read_star(path)[""]
    assert table["rlnImageName"].tolist() == names
    assert table["rlnDefocusU"].dtype == np.float64


def test_a_comment_sign_within_quotes_is_part_of_the_value(tmp_path):
    path = write(tmp_path / "a.star", OLD.replace(" g1", " 'g # 1' # ice"))
    assert read_star(path)[""]["rlnGroupName"].tolist() == ["g # 1", "g2"]


def test_a_table_after_a_blank_line_does_not_hide_the_next_block(tmp_path):
    text = NEW.replace("000002@", "\n000002@") + "\ndata_more\n\nloop_\n_rlnOpticsGroup #1\n# none\n7\n"
    tables = read_star(write(tmp_path / "a.star", text))
    assert len(tables["particles"]) == 1
    assert tables["more"]["rlnOpticsGroup"].tolist() == [7]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("hello\nworld\n", "not a STAR file"),
        (OLD.replace("_rlnDefocusU", "_rlnImageName"), "_rlnImageName occurs twice"),
        (OLD.replace("2@a.mrcs 15303.0 g2", "2@a.mrcs 15303.0"), "row 2 of data_ has 2 values for 3 columns"),
        (OLD.replace("1@a.mrcs 15301.1 g1", "1@a.mrcs"), "row 1 of data_ has 1 values for 3 columns"),
        (OLD.replace("15303.0 g2", "15303.0 g2 7"), "does not have 3 values"),
        (OLD.replace("\n2@", "\n# g1\n2@").replace("15303.0 g2", "15303.0"), "row 2 of data_ has 2 values for 3"),
        (OLD.replace("15301.1 g1", "15301.1 #g1"), "row 1 of data_ has 2 values for 3 columns"),
        (OLD + OLD, "data_ occurs twice"),
    ],
)
def test_a_damaged_file_is_one_sentence(tmp_path, text, message):
    path = write(tmp_path / "a.star", text)
    with pytest.raises(DataError, match=message) as error:
        read_star(path)
    assert str(path) in str(error.value)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_star(tmp_path / "absent.star")
