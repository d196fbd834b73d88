"""`export` says once which aberrations of the particles the files it writes leave out, and of no others."""

import numpy as np
import pytest

from cryodrgn_plugin.engine.config import RunConfig
from cryodrgn_plugin.engine.io.cs import read_records
from cryodrgn_plugin.engine.io.cs_out import write_cs
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.selection.export_options import ExportOptions
from cryodrgn_plugin.engine.selection.exported import PROGRAMS, export

from .particle_files import optics, rows, write_set

N, BOX = 20, 16
TILTED = {"rlnBeamTiltX": 0.3, "rlnBeamTiltY": 0.0, "rlnMagMat00": 1.02, "rlnMagMat01": 0.0, "rlnMagMat10": 0.0}
PERFECT = {"rlnBeamTiltX": 0.0, "rlnBeamTiltY": 0.0, "rlnMagMat00": 1.0, "rlnMagMat01": 0.0, "rlnMagMat10": 0.0}


def star_of(folder):
    """Particles of two optics groups in turns, of which the second has a beam tilt and magnifies unevenly."""
    groups = [{**optics(k, box=BOX), **lens, "rlnMagMat11": 1.0} for k, lens in ((1, PERFECT), (2, TILTED))]
    table = rows(N).assign(rlnOpticsGroup=1 + np.arange(N) % 2)
    return write_set(folder, np.random.default_rng(0).normal(size=(N, BOX, BOX)).astype(np.float32), table, groups)


def told(folder, source, program: str, used: np.ndarray) -> list[str]:
    """What index and log of an export of the particles `used` say is left out, but for other particles."""
    run = Run.create(folder, RunConfig(particles=str(source), z_dim=1))
    with run.working():
        run.save_latents(np.arange(len(used), dtype=np.float32)[:, None], rows=used)
        export(run, ExportOptions(program=program))
    sentences = run.results("export", program).index["left_out"]
    log = run.log_file.read_text()
    assert all(log.count(sentence) == 1 for sentence in sentences)
    return [sentence for sentence in sentences if "are not in the run" not in sentence]


@pytest.mark.parametrize("program", PROGRAMS)
def test_aberrations_that_particles_have_are_named_once(tmp_path, program):
    star = star_of(tmp_path)
    (said,) = told(tmp_path / "all", star, program, np.arange(5, N))
    what = "beam tilt, magnification matrix of optics group 2 (8 particles)"
    assert f"The files for {PROGRAMS[program]} leave out {what}: " in said and said.endswith(".")
    assert told(tmp_path / "perfect", star, program, np.arange(0, N, 2)) == []


def test_those_of_cryosparc_go_back_to_it_and_not_to_others(tmp_path):
    run = Run.create(tmp_path / "run", RunConfig(particles=str(star_of(tmp_path)), z_dim=1))
    with run.working():
        run.save_latents(np.zeros((N, 1), np.float32))
        plain = read_records(export(run, ExportOptions()).parent / "particles.cs")
    tilt = np.zeros((N, 2), np.float32)
    tilt[4:9] = 250.0, -30.0
    write_cs(tmp_path / "job.cs", {**{name: plain[name] for name in plain.dtype.names}, "ctf/tilt_A": tilt})
    assert told(tmp_path / "back", tmp_path / "job.cs", "cryosparc", np.arange(3, N)) == []
    back = read_records(tmp_path / "back/exports/cryosparc/particles.cs")
    np.testing.assert_array_equal(back["ctf/tilt_A"], tilt[3:])
    (said,) = told(tmp_path / "on", tmp_path / "job.cs", "cryodrgn", np.arange(3, N))
    assert "ctf/tilt_A of 5 particles is not applied" in said
