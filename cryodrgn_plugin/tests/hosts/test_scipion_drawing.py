"""A region drawn in the explorer, in Scipion's own windows on a virtual screen, is a mask of the project."""

import numpy as np
import pytest

pytest.importorskip("pwem")

from pyworkflow.gui.dialog import RESULT_YES

from cryodrgn_plugin.engine.files import read_map, write_map

from .patience import pump
from .scipion_project import logs, project_named

BOX, PIXEL_ANG = 32, 4.0


@pytest.fixture(scope="module")
def project(scipion):
    with project_named("drawing") as made:
        yield made


@pytest.fixture
def explorer(project, screen):
    """The explorer over one map, two balls along x."""
    from functools import partial

    from cryodrgn_plugin.viewers.content import Content, MapEntry
    from cryodrgn_plugin.viewers.drawn_mask import keep_mask
    from cryodrgn_plugin.viewers.explorer import ExplorerWindow

    z, y, x = np.mgrid[:BOX, :BOX, :BOX] - BOX // 2
    balls = np.exp(-((x - 7) ** 2 + y**2 + (z - 4) ** 2) / 18) + np.exp(-((x + 7) ** 2 + y**2 + z**2) / 18)
    write_map("balls.mrc", balls.astype(np.float32), PIXEL_ANG)
    maps = [MapEntry("maps", "balls", "balls.mrc", "#7fa8d1")]
    content = Content("drawing", maps=maps, keep_mask=partial(keep_mask, project))
    made = ExplorerWindow("drawing", lambda tell: content)
    made.root.geometry("1300x800+20+20")
    made.root.deiconify()
    pump(made, 30.0, until=lambda: made.is_filled)
    pump(made, 0.5)
    yield made
    made.root.destroy()


def test_a_region_drawn_on_projections_becomes_a_mask_of_the_project(explorer, project):
    """A line drawn with the mouse around the right half of the projection along z, and one around the upper half along
    y: the mask is the quarter of the box that lies inside of both, and a finished import made it."""

    def draw():
        there = [each for each in explorer.root.winfo_children() if type(each).__name__ == "RegionDialog"]
        if not there or not there[0].winfo_viewable():
            explorer.root.after(500, draw)
            return
        (dialog,) = there
        pump(explorer, 0.5)
        drag(dialog, 0, [(0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0)])
        pump(explorer, 0.3)
        assert set(dialog._drawn[-1]) == {"z"}
        dialog.drawn("y", [(-1, 16), (40, 16), (40, 40), (-1, 40)])
        assert "Region 1 holds" in dialog._told.get()
        pump(explorer, 0.3)
        dialog._handleResult(RESULT_YES)

    explorer.root.after(500, draw)
    explorer.maps.draw_region()
    (made,) = project.getRuns(refresh=True)
    assert made.isFinished(), logs(made)
    assert made.getRunName() in explorer._status.get()
    mask, pixel_size_ang = read_map(made.outputMask.getFileName())
    assert pixel_size_ang == pytest.approx(PIXEL_ANG) == made.outputMask.getSamplingRate()
    z, _, x = np.indices(mask.shape)
    assert np.corrcoef(mask.ravel(), ((x >= 16) & (z >= 16)).ravel())[0, 1] > 0.9


def drag(dialog, panel: int, places: list[tuple[float, float]]) -> None:
    """Draw a line with the mouse on a projection, at places that are shares of its width and height."""
    frame, height = dialog._figure.axes[panel].get_window_extent(), dialog._figure.bbox.height
    points = [
        (int(frame.x0 + 2 + x * (frame.width - 4)), int(height - frame.y0 - 2 - y * (frame.height - 4)))
        for x, y in places
    ]
    paper = dialog._canvas.get_tk_widget()
    kinds = ["<ButtonPress-1>", *["<B1-Motion>"] * len(points), "<ButtonRelease-1>"]
    for kind, (x, y) in zip(kinds, [points[0], *points, points[-1]], strict=True):
        paper.event_generate(kind, x=x, y=y)
        paper.update()
