"""The explorer in Scipion's project window on a virtual screen, driven by mouse events: what it shows, the map that
follows, zoom, selections that become sets of the project, pins and sliders.
"""

import itertools
import threading
import tkinter as tk

import numpy as np
import pytest

pytest.importorskip("pwem")

from PIL import Image, ImageGrab, ImageTk
from pwem import Domain

from cryodrgn_plugin.engine.decoders.restore import load_decoder
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.viewers import explorer as explorer_window

from .patience import pump
from .scipion_project import logs

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def explorer(window, workflow):
    viewer = Domain.findViewers(workflow.analyzed, "tkinter")[0]
    may_read, prepared = threading.Event(), explorer_window._prepared
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explorer_window, "_prepared", lambda *args: may_read.wait(60) and prepared(*args))
        made = viewer(project=window.project, protocol=workflow.analyzed, parent=window).open_window(workflow.analyzed)
        assert not made.is_filled  # it opens before anything is read
        may_read.set()
    made.root.geometry("1300x800+20+20")
    made.root.deiconify()
    made.root.update()
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


def test_the_wheel_enlarges_at_the_mouse_and_the_right_button_moves(explorer):
    canvas = explorer.latents.canvas
    whole, (index,) = canvas.view, _lonely(explorer, 1)
    place = explorer._content.projections[0].points[index]
    x, y = canvas.pixel_of(place)
    for _ in range(6):
        _event(explorer, "<Button-4>", x, y)
    pump(explorer, 0.2)
    assert canvas.view.scale[0] == pytest.approx(1.25**6 * whole.scale[0])
    assert canvas.pixel_of(place) == pytest.approx((x, y), abs=2)
    _event(explorer, "<ButtonPress-3>", x, y)
    _event(explorer, "<B3-Motion>", x + 31, y - 22)
    pump(explorer, 0.2)
    assert canvas.pixel_of(place) == pytest.approx((x + 31, y - 22), abs=2)
    _event(explorer, "<Motion>", x + 31, y - 22)
    pump(explorer, 1, until=lambda: canvas.find_withtag("told"))
    told = [canvas.itemcget(item, "text") for item in canvas.find_withtag("told") if canvas.type(item) == "text"]
    assert told and told[0].startswith(f"particle {explorer._content.object_ids[index]}\nclass ")
    explorer.latents._fit()
    pump(explorer, 0.2)
    assert canvas.view == whole


def test_any_column_of_the_particles_colours_them(explorer):
    explorer.latents.select(colouring="rlnDefocusU")
    pump(explorer, 0.2)
    texts = [explorer.latents.canvas.itemcget(item, "text") for item in explorer.latents.canvas.find_withtag("frame")
             if explorer.latents.canvas.type(item) == "text"]  # fmt: skip
    assert "rlnDefocusU" in texts
    explorer.latents.select(colouring="class")


def _draw(explorer, tool: str, places: list[tuple[float, float]]) -> None:
    """Draw with the mouse through places of the plane."""
    canvas = explorer.latents.canvas
    explorer.latents.use(tool)
    points = [canvas.pixel_of(place) for place in places]
    _event(explorer, "<ButtonPress-1>", *points[0])
    for point in points[1:]:
        _event(explorer, "<B1-Motion>", *point)
    _event(explorer, "<ButtonRelease-1>", *points[-1])
    explorer.latents.use("point")


def test_what_is_drawn_clicked_and_typed_becomes_a_set_of_the_project(explorer, window, workflow, monkeypatch):
    """A line around the right half, less a class of the legend, with a rule: a named selection, whose particles are
    those of a new set, by id, once the form that opens is executed."""
    from cryodrgn_plugin.viewers import handover

    canvas, bar = explorer.latents.canvas, explorer.bench.selection
    points, view = explorer._content.projections[0].points, canvas.view
    middle = float(np.median(points[:, 0]))
    (low, high), right = view.y, view.x[1] - (view.x[1] - view.x[0]) / 400
    low, high = low + (high - low) / 400, high - (high - low) / 400
    _draw(explorer, "lasso", [(middle, low), (right, low), (right, high), (middle, high)])
    expected = points[:, 0] > canvas.view.to_plane(canvas.view.to_pixels(np.array([middle, low])).round())[0]
    assert np.mean(bar.selections.chosen != expected) < 0.02 and 0 < bar.selections.count < workflow.N
    bar.use_way("subtract")
    (square,) = (item for item in canvas.find_withtag("class-1") if canvas.type(item) == "rectangle")
    x, y, *_ = (round(number) for number in canvas.coords(square))
    _event(explorer, "<ButtonPress-1>", x + 4, y + 4)
    bar.use_way("within")
    bar.follow("rlnDefocusU > 0 and z1 < 1e6")
    classes = next(item for item in explorer._content.colourings if item.name == "class")
    chosen = bar.selections.chosen
    assert 0 < chosen.sum() and not (classes.values[chosen] == 1).any()
    bar.keep("right side")
    bar.use_way("new")
    forms, open_form = [], handover.open_form
    monkeypatch.setattr(handover, "open_form", lambda view, protocol: forms.append(open_form(view, protocol)))
    bar.create()
    (form,) = forms
    protocol = form.protocol
    form.execute()
    project = window.project
    pump(window, 120, until=lambda: project.getProtocol(protocol.getObjId()).isActive() is False)
    ended = project.getProtocol(protocol.getObjId())
    assert ended.isFinished(), logs(ended)
    assert "right side" in ended.getObjLabel()
    assert {item.getObjId() for item in ended.outputParticles} == set(explorer._content.object_ids[chosen].tolist())


def test_two_pins_have_a_difference_and_a_walk(explorer, workflow):
    one, other = _lonely(explorer, 2)
    pins, decoder = explorer.bench.pins, load_decoder(Run.open(workflow.analyzed.getRunFolder()))
    for name, index in (("A", one), ("B", other)):
        _mouse(explorer, "<ButtonPress-1>", index)
        _mouse(explorer, "<ButtonRelease-1>", index)
        _await_map_of(explorer, index)
        pins.pin(name)
    z = explorer._content.z[[one, other]]
    pins.difference()
    pump(explorer, 30, until=lambda: explorer.maps._heading.get() == "map of B − A")
    difference = decoder.volume(z[1]) - decoder.volume(z[0])
    np.testing.assert_allclose(explorer.maps._entry.volume, difference, atol=1e-5 * np.abs(difference).max())
    pins.walk_to(0.25)
    pump(explorer, 30, until=lambda: explorer.maps._heading.get() == "map of the free point")
    np.testing.assert_allclose(
        explorer.maps._entry.volume, decoder.volume((0.75 * z[0] + 0.25 * z[1]).astype(np.float32)), atol=1e-4
    )
    pins.play()
    pump(explorer, 5, until=lambda: pins._share.get() > 0.3)
    pins.play()
    assert pins._share.get() > 0.3


def test_sections_move_with_the_wheel_and_give_way_to_projections(explorer):
    explorer.maps.show_in_series("along the curve", 0)
    volume, pictures = explorer.maps._volume, explorer.maps.sections._pictures

    def likeness(plane):
        shown = np.asarray(ImageTk.getimage(pictures[0].image).convert("L"), float)
        wanted = Image.fromarray(plane.astype(np.float32)).resize(shown.shape[::-1])
        return -np.corrcoef(shown.ravel(), np.asarray(wanted).ravel())[0, 1]

    for _ in range(5):
        pictures[0].event_generate("<Button-4>", x=5, y=5)
    pump(explorer, 0.2)
    moved = volume[round(0.6 * (len(volume) - 1))]
    assert likeness(moved) > 0.95 > likeness(volume[len(volume) // 2])
    explorer.maps.sections.use("Projections")
    assert likeness(volume.sum(axis=0)) > 0.95
    explorer.maps.sections.use("Sections")


def test_a_slider_gives_the_map_of_a_point_that_is_no_particle(explorer, workflow):
    sliders = explorer.bench.sliders
    sliders.middle()
    sliders._moved(0, 0.125)
    wanted = explorer._content.z.mean(axis=0)
    wanted[0] = 0.125
    volume = load_decoder(Run.open(workflow.analyzed.getRunFolder())).volume(wanted)
    pump(explorer, 30, until=lambda: np.allclose(explorer.maps._entry.volume, volume, atol=1e-5))
    np.testing.assert_allclose(explorer.maps._entry.volume, volume, atol=1e-5)


def test_images_of_the_nearest_particles_stand_beside_their_mean(explorer):
    (index,) = _lonely(explorer, 1)
    explorer.bench.tray.select(explorer.bench.images)
    _mouse(explorer, "<ButtonPress-1>", index)
    _mouse(explorer, "<ButtonRelease-1>", index)
    words = [words for _, words in explorer.bench.images._cells]
    pump(explorer, 60, until=lambda: words[2].get() == str(explorer._content.object_ids[index]))
    assert [item.get() for item in words[:3]] == ["mean", "map", str(explorer._content.object_ids[index])]
    explorer.bench.tray.select(explorer.bench.selection)


@pytest.mark.parametrize("size", [(1297, 729), (1160, 660)], ids=str)
def test_nothing_is_cut_off_on_a_small_screen(explorer, size):
    """At the size that a screen of 1366 × 768 leaves, and at the smallest."""
    explorer.root.geometry(f"{size[0]}x{size[1]}+0+0")
    for page in explorer.bench.tray.tabs():
        explorer.bench.tray.select(page)
        pump(explorer, 0.3)
        for widget in _all_within(explorer.root):
            if widget.winfo_viewable() and widget.winfo_class() in ("TButton", "TLabel", "TCombobox", "TRadiobutton"):
                assert widget.winfo_width() >= widget.winfo_reqwidth() - 1, (widget, widget.winfo_class())
                assert widget.winfo_rooty() + widget.winfo_height() <= explorer.root.winfo_rooty() + size[1]
    explorer.bench.tray.select(explorer.bench.selection)
    explorer.root.geometry("1300x800+20+20")


def _all_within(widget: tk.Misc) -> list[tk.Misc]:
    return [widget, *(inner for child in widget.winfo_children() for inner in _all_within(child))]


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
