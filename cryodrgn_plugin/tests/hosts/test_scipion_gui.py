"""The plugin in Scipion's own windows on a virtual screen: a form with its wizard, a launch, and the explorer."""

import itertools
import json
import time
import tkinter as tk
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pwem")

from PIL import ImageGrab
from pwem import Domain
from pyworkflow.gui.dialog import RESULT_YES

from cryodrgn_plugin.engine.decoders.restore import load_decoder
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.wizards.centres import class_centres
from cryodrgn_plugin.wizards.lasso_dialog import pictures_of

from .patience import Patience
from .scipion_project import logs, new_protocol

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def window(workflow, screen):
    from pyworkflow.gui.project import ProjectWindow

    with workflow.inside():
        made = ProjectWindow(workflow.project.path)
        made.root.deiconify()
        yield made
        made.root.destroy()


def pump(window, seconds: float, until=lambda: False) -> None:
    """Let a window work for some seconds of an idle machine, or until something is true."""
    patience = Patience(seconds)
    while not patience.is_over() and not until():
        window.root.update()
        time.sleep(0.02)


def form_of(window, protocol):
    from pyworkflow.gui.form import FormWindow

    view = window.viewWidget
    form = FormWindow(
        "form", protocol, view._executeSaveProtocol, window, updateProtocolCallback=view._updateProtocol,
        disableRunMode=True,
    )  # fmt: skip
    form.adjustSize()
    form.root.deiconify()
    pump(form, 0.5)
    return form


def test_a_filled_form_with_the_wizards_box_runs_to_the_end(window, workflow):
    project = window.project
    protocol = new_protocol(project, "ProtHetTrain", {"inputParticles": (workflow.simulated, "outputParticles")})
    form = form_of(window, protocol)
    for name, value in (("zDim", 3), ("iterations", 2), ("nComponents", 4)):
        form.setVar(name, value)
    form.root.after(500, _choose_box, form, workflow.BOX)
    form.widgetDict["box"]._showWizard()
    assert int(form.widgetDict["box"].get()) == workflow.BOX
    form.root.after(500, _press_yes, form)  # to the warning that these particles are few
    form.execute()
    pump(window, 120, until=lambda: project.getProtocol(protocol.getObjId()).isActive() is False)
    ended = project.getProtocol(protocol.getObjId())
    assert ended.isFinished(), logs(ended)
    assert len(ended.outputParticles.getFirstItem().getZFlex()) == 3


def _choose_box(form, box):
    """Choose a row in the wizard's dialog and press Select, as a person would."""
    dialog = _open_dialog(form, "BoxDialog")
    assert [int(row) for row in dialog.tree.get_children()] == [32]
    dialog.select(box)
    dialog._handleResult(RESULT_YES)


def _press_yes(form):
    _open_dialog(form, "YesNoDialog")._handleResult(RESULT_YES)


def test_the_centres_of_classes_can_be_taken_for_a_path(window, workflow):
    inputs = {"inputParticles": (workflow.analyzed, "outputParticles")}
    form = form_of(window, new_protocol(window.project, "ProtHetTrajectory", inputs))
    centres = class_centres(Run.open(workflow.analyzed.getRunFolder()))
    assert len(centres) == workflow.CLASSES

    def choose_the_ends():
        dialog = _open_dialog(form, "ListDialog")
        rows = dialog.tree.get_children()
        dialog.tree.selection_set((rows[0], rows[-1]))
        dialog._handleResult(RESULT_YES)

    form.setVar("kind", 1)
    form.root.after(500, choose_the_ends)
    form.widgetDict["anchors"]._showWizard()
    assert form.widgetDict["anchors"].get() == f"{centres[0].object_id}, {centres[-1].object_id}"
    form.close()


def test_a_line_drawn_around_particles_selects_those_inside(window, workflow):
    inputs = {"inputParticles": (workflow.analyzed, "outputParticles")}
    protocol = new_protocol(window.project, "ProtHetSelect", inputs)
    form = form_of(window, protocol)
    points = pictures_of(Run.open(workflow.analyzed.getRunFolder()))["pca"]
    middle = float(np.median(points[:, 0]))
    corners = [(middle, -1e3), (1e3, -1e3), (1e3, 1e3), (middle, 1e3)]

    def draw():
        dialog = _open_dialog(form, "LassoDialog")
        dialog.drawn(corners)
        assert f"{(points[:, 0] > middle).sum()} of {len(points)} particles" in dialog._told.get()
        dialog._handleResult(RESULT_YES)

    form.root.after(800, draw)
    form.widgetDict["lasso"]._showWizard()
    written = json.loads(Path(form.widgetDict["lasso"].get()).read_text())
    assert written == {"space": "pca", "polygon": [list(corner) for corner in corners]}
    form.close()


def test_figures_can_be_chosen_and_fit_their_place(explorer):
    explorer.tabs.select(3)
    pump(explorer, 0.7)
    panel = explorer.bench.panel("Figures")
    names = list(panel._files)
    assert {"pca", "populations"} <= set(names)
    panel.select("populations")
    pump(explorer, 0.3)
    assert panel._on_screen.width() <= panel._paper.winfo_width()
    assert panel._on_screen.width() > 200
    explorer.tabs.select(0)


def _open_dialog(form, name):
    return next(item for item in form.root.winfo_children() if type(item).__name__ == name)


@pytest.fixture(scope="module")
def explorer(window, workflow):
    viewer = Domain.findViewers(workflow.analyzed, "tkinter")[0]
    made = viewer(project=window.project, protocol=workflow.analyzed, parent=window).open_window(workflow.analyzed)
    made.root.geometry("1300x800+20+20")
    made.root.deiconify()
    made.root.update()
    assert not made.is_filled  # it opens before anything is read
    pump(made, 60, until=lambda: made.is_filled and len(made._content.object_ids) > 0)
    pump(made, 1.0)
    yield made
    made.close()


def _surface(explorer) -> np.ndarray:
    """The picture of the map as it stands on the screen."""
    label = explorer.maps._surface
    x, y = label.winfo_rootx(), label.winfo_rooty()
    return np.asarray(ImageGrab.grab((x, y, x + label.winfo_width(), y + label.winfo_height())).convert("RGB"), float)


def test_the_explorer_shows_latents_maps_resolution_and_training(explorer):
    names = [explorer.tabs.tab(tab, "text") for tab in explorer.tabs.tabs()]
    assert names == ["Latent space", "Resolution", "Training", "Figures"]
    assert _surface(explorer).std() > 10


def test_the_map_turns_under_the_mouse(explorer):
    before = _surface(explorer)
    explorer.maps._surface.event_generate("<ButtonPress-1>", x=100, y=100)
    explorer.maps._surface.event_generate("<B1-Motion>", x=190, y=130)
    pump(explorer, 1.0)
    assert np.abs(_surface(explorer) - before).mean() > 1


def _mouse(explorer, kind: str, index: int) -> None:
    """A mouse event on the plane, where particle `index` is drawn."""
    x, y = explorer.latents.canvas.pixel_of(explorer._content.projections[0].points[index])
    _event(explorer, kind, x, y)


def _event(explorer, kind: str, x: int, y: int) -> None:
    explorer.latents.canvas.event_generate(kind, x=x, y=y)
    explorer.latents.canvas.update()


def _lonely(explorer, count: int) -> list[int]:
    """The particles that lie farthest from all others in the plane, so that the mouse finds them."""
    points = explorer.latents.canvas.view.to_pixels(explorer._content.projections[0].points)
    distances = np.linalg.norm(points[:, None] - points[None], axis=2) + 1e9 * np.eye(len(points))
    return np.argsort(-distances.min(axis=1))[:count].tolist()


def _await_map_of(explorer, index: int) -> None:
    name = f"particle {explorer._content.object_ids[index]}"
    pump(explorer, 60, until=lambda: explorer.maps._heading.get() == f"map of {name}")
    assert explorer.maps._heading.get() == f"map of {name}"
    assert explorer._status.get().startswith(name) and explorer._status.get().endswith("its own map")


def test_a_click_shows_the_map_of_the_particle_that_the_engine_makes_for_it(explorer, workflow):
    (index,) = _lonely(explorer, 1)
    before = _surface(explorer)
    _mouse(explorer, "<ButtonPress-1>", index)
    _mouse(explorer, "<ButtonRelease-1>", index)
    assert explorer._status.get().startswith(f"particle {explorer._content.object_ids[index]} ")
    _await_map_of(explorer, index)
    run = Run.open(workflow.analyzed.getRunFolder())
    entry = explorer.maps._entry
    np.testing.assert_array_equal(entry.volume, load_decoder(run).volume(explorer._content.z[index]))
    assert entry.pixel_size_ang == pytest.approx(workflow.analyzed.outputVolumes.getSamplingRate())
    pump(explorer, 1.0)
    assert np.abs(_surface(explorer) - before).mean() > 1


def test_the_map_follows_the_mouse_with_no_new_process(explorer):
    first, *others = _lonely(explorer, 6)
    process_id = explorer._content.decoder.process_id
    shown = []
    _mouse(explorer, "<ButtonPress-1>", first)
    for index in others:
        _mouse(explorer, "<B1-Motion>", index)
        _await_map_of(explorer, index)
        shown.append(explorer.maps._entry.volume)
        assert explorer.latents.canvas.place_of("chosen") == pytest.approx(
            explorer._content.projections[0].points[index]
        )
    _mouse(explorer, "<ButtonRelease-1>", others[-1])
    assert all(np.abs(one - other).max() > 0 for one, other in itertools.pairwise(shown))
    # With the button up the mouse moves nothing.
    _mouse(explorer, "<Motion>", first)
    pump(explorer, 0.5)
    _await_map_of(explorer, others[-1])
    assert explorer._content.decoder.process_id == process_id is not None


def test_after_a_drag_in_one_go_the_map_is_that_of_the_last_particle(explorer):
    places = _lonely(explorer, 30)
    _mouse(explorer, "<ButtonPress-1>", places[0])
    for index in places[1:]:
        _mouse(explorer, "<B1-Motion>", index)
    _mouse(explorer, "<ButtonRelease-1>", places[-1])
    _await_map_of(explorer, places[-1])
    assert not explorer._content.decoder.is_busy
    # At rest it is drawn as finely as the maps of files.
    pump(explorer, 2.0, until=lambda: explorer.maps._volume.shape[0] > explorer.maps._entry.volume.shape[0])
    assert explorer.maps._volume.shape[0] > explorer.maps._entry.volume.shape[0]


def test_playing_walks_along_the_series(explorer):
    explorer.maps.show_in_series("along the curve", 0)
    explorer.maps._toggle_play()
    pump(explorer, 5, until=lambda: explorer.maps._place.get() > 0)
    explorer.maps._toggle_play()
    assert explorer.maps._place.get() > 0


@pytest.mark.parametrize("tab", [1, 2], ids=["Resolution", "Training"])
def test_the_curves_are_drawn(explorer, tab):
    explorer.tabs.select(tab)
    pump(explorer, 0.5)
    figure = explorer.bench.panel(explorer.tabs.tab(tab, "text"))._figure
    assert sum(len(axes.lines) for axes in figure.axes) >= 3


def test_a_training_without_analysis_shows_its_consensus(window, workflow):
    viewer = Domain.findViewers(workflow.trained, "tkinter")[0]
    made = viewer(project=window.project, protocol=workflow.trained, parent=window).open_window(workflow.trained)
    made.root.deiconify()
    pump(made, 60, until=lambda: made.is_filled)
    assert made.maps._heading.get().startswith("consensus")
    assert isinstance(made.root, tk.Toplevel)
    pump(made, 60, until=lambda: made._content.decoder.process_id is not None)
    process = made._content.decoder._process
    made.close()  # whether the engine is ready by then or not
    assert process.wait(timeout=60) is not None
