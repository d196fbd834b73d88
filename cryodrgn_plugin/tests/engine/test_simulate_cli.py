"""The command `cryodrgn-plugin simulate`."""

import numpy as np
import pytest

from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.io.mrc import read_header, read_map, write_map
from cryodrgn_plugin.engine.io.particles import read_particles
from cryodrgn_plugin.engine.simulate import tiny_ensemble
from cryodrgn_plugin.engine.simulate.projectors import AtomProjector

SMALL = ["--particles", "40", "--box", "32"]


def simulate(*arguments) -> int:
    return main(["simulate", *map(str, arguments)])


def test_the_default_is_adenylate_kinase(tmp_path, capsys):
    assert simulate("--out", tmp_path / "sim", *SMALL, "--states", 3) == 0
    table = read_particles(tmp_path / "sim" / "particles.star")
    assert len(table.frame) == 40
    assert table.pixel_size_ang[0] == pytest.approx(3.6)
    assert len(list((tmp_path / "sim" / "maps").iterdir())) == 3
    assert "fills 62% of the box" in capsys.readouterr().out


def test_settings_reach_the_files(tmp_path):
    arguments = ["--snr", "inf", "--shift-px", 0, "--optics", "200,1.4,0.07", "--float16", "--b-factor-ang2", 30]
    assert simulate("--out", tmp_path, *SMALL, "--states", 2, "--defocus-ang", 9000, 9000, *arguments) == 0
    table = read_particles(tmp_path / "particles.star")
    ctf = table.ctf()
    assert (table.origins_ang == 0).all()
    assert ctf.voltage_kv[0] == 200 and ctf.b_factor_ang2[0] == 30
    np.testing.assert_allclose((ctf.defocus_u_ang + ctf.defocus_v_ang) / 2, 9000)
    assert read_header(tmp_path / "particles.mrcs").dtype == np.float16


def test_a_part_of_a_map_turns_under_its_mask(tmp_path):
    state = tiny_ensemble(1).states[0]
    write_map(tmp_path / "map.mrc", AtomProjector(state, 32, 3.5, 8.0, state.centre_ang()).volume(), 3.5)
    arm = AtomProjector(state[80:], 32, 3.5, 12.0, state.centre_ang()).volume()
    write_map(tmp_path / "mask.mrc", (arm > 0.1 * arm.max()).astype(np.float32), 3.5)
    molecule = ["--map", tmp_path / "map.mrc", "--domain-mask", tmp_path / "mask.mrc", "--hinge-deg", 50, "--states", 3]
    assert simulate("--out", tmp_path / "sim", *SMALL, *molecule) == 0
    first, last = (read_map(tmp_path / "sim" / "maps" / f"state_00{i}.mrc")[0] for i in (0, 2))
    assert 0.3 < np.corrcoef(first.ravel(), last.ravel())[0, 1] < 0.99


def test_a_set_is_not_replaced_unless_asked(tmp_path, capsys):
    arguments = ["--out", tmp_path, *SMALL, "--states", 2]
    assert simulate(*arguments) == 0
    assert simulate(*arguments) == 2
    assert "already holds a simulated set" in capsys.readouterr().err
    assert simulate(*arguments, "--overwrite") == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--preset", "nonesuch"], "There is no preset 'nonesuch'; the presets are adk"),
        (["--preset", "adk", "--map", "a.mrc"], "Give one of --preset, --model and --map."),
        (["--model", "gone.pdb"], "There is no model gone.pdb"),
        (["--snr", "-1"], "snr is -1.0; it must be positive"),
        (["--pixel-size", "1"], "The molecule is 71 Å across and the box 32 Å"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(tmp_path, capsys, arguments, sentence):
    assert simulate("--out", tmp_path, *SMALL, "--states", 2, *arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert "Traceback" not in error
