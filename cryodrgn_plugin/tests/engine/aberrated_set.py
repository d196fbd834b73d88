"""One moving molecule seen through a perfect lens and through one with aberrations, told in the star file or not."""

from pathlib import Path

from cryodrgn_plugin.engine.io.optics_terms import BEAM_TILT, EVEN, MAGNIFICATION, ODD
from cryodrgn_plugin.engine.io.star import read_star, write_star
from cryodrgn_plugin.engine.simulate.config import OpticsGroup, SimulationConfig
from cryodrgn_plugin.engine.simulate.tiny import tiny_set

PERFECT, TOLD, IGNORED = "perfect lens", "aberrations told", "aberrations ignored"


def aberrated_sets(folder: Path, count: int, box: int, seed: int = 2) -> dict[str, Path]:
    """The star file of each of three sets of `count` images of a hinge motion; that of the last has no aberrations.

    Pixels are coarse, so terms are large: phases turn by some radians at the highest frequency, and the lens
    magnifies one way by a fourth more than the other.
    """
    pixel_ang = 3.5 * 32 / box
    unit = (2 * pixel_ang) ** 3
    lens = OpticsGroup(
        beam_tilt_mrad=(0.06 * unit, -0.04 * unit),
        odd_zernike=(0, 0, 2.0 * unit, 0, 0, 1.5 * unit),
        even_zernike=(0, 0, 0, 0, 2.0 * unit * 2 * pixel_ang),
        magnification=(1.12, 0.03, -0.03, 0.9),
    )
    stars = {}
    for name, optics in ((PERFECT, OpticsGroup()), (TOLD, lens)):
        config = SimulationConfig(snr=0.5, shift_px=1.0, pixel_size_ang=pixel_ang, optics=(optics,))
        stars[name] = tiny_set(folder / name.replace(" ", "_"), n=count, box=box, seed=seed, config=config)
    blocks = read_star(stars[TOLD])
    columns = [name for name in (*BEAM_TILT, ODD, EVEN, *MAGNIFICATION) if name in blocks["optics"]]
    stars[IGNORED] = stars[TOLD].with_name("ignored.star")
    write_star(stars[IGNORED], {**blocks, "optics": blocks["optics"].drop(columns=columns)})
    return stars
