"""What the explorer costs at few and at many particles: window, content, columns, redraws, colours, lasso, maps.

    xvfb-run -s "-screen 0 1366x768x24" python benchmarks/explorer.py --out benchmarks/results/explorer.json

Runs are planted: 8 latents, PCA, UMAP and 12 classes of so many particles, whose star file has 16 columns; models have
random parameters, for maps cost the same whatever they show. Everything is asked of the real window, as its mouse and
menus do; seconds are processor time, of the window's own thread for what it waits for and of all threads for what is
read in the background. Each number is the worst of several.
"""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
import tkinter as tk
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from hardware import hardware
from many_rows import written

from cryodrgn_plugin import scipion_home

CLASSES, Z_DIM, CORNERS = 12, 8, 300
TIMES = 5
NOTCHES, MAPS = 12, 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--particles", type=int, nargs="*", default=[5_000, 1_000_000])
    parser.add_argument("--boxes", type=int, nargs="*", default=[64, 128], help="of the maps")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scipion_home.use(folder)
        measured: dict[str, Any] = {"hardware": hardware(), "corners_of_the_lasso": CORNERS, "seconds": {}, "maps": {}}
        for n in args.particles:
            path = planted(Path(folder) / str(n), n)
            # In a process of its own, so that each window is the first.
            with multiprocessing.get_context("spawn").Pool(1) as apart:
                measured["seconds"][str(n)] = apart.apply(of_window, (path,))
        for box in args.boxes:
            measured["maps"][f"{box}^3"] = of_maps(with_model(planted(Path(folder) / f"box{box}", 100), box))
    text = json.dumps(measured, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


def planted(folder: Path, n: int) -> Path:
    """A run of n particles along a bent line, with an analysis."""
    from cryodrgn_plugin.engine.analysis.analysis_options import AnalysisOptions
    from cryodrgn_plugin.engine.analysis.embed import principal_components
    from cryodrgn_plugin.engine.config import RunConfig
    from cryodrgn_plugin.engine.run import Run

    folder.mkdir()
    written(folder / "particles.star", n)
    rng = np.random.default_rng(0)
    along = rng.uniform(-1, 1, n)
    z = 0.1 * rng.standard_normal((n, Z_DIM))
    z[:, 0], z[:, 1] = z[:, 0] + 2 * along, z[:, 1] + along**2
    run = Run.create(folder / "run", RunConfig(particles=str(folder / "particles.star"), z_dim=Z_DIM), command="test")
    with run.working():
        run.save_latents(z.astype(np.float32), coordinate=along.astype(np.float32))
    found = principal_components(z)
    with run.report("analysis", AnalysisOptions()) as out:
        out.index |= {"series": [], "clusters": [], "pca": {"explained": found.explained.tolist()}}
        labels = np.minimum((along + 1) / 2 * CLASSES, CLASSES - 1).astype(int)
        out.arrays(rows=np.arange(n), labels=labels, pca=found.scores, umap=np.c_[along, z[:, 2]].astype(np.float32))
    return run.path


def with_model(path: Path, box: int) -> Path:
    """The run with a model of random parameters, of as many bases as `fast` keeps."""
    import torch

    from cryodrgn_plugin.engine.config import recipe_config
    from cryodrgn_plugin.engine.decoders.decoder_registry import make_decoder
    from cryodrgn_plugin.engine.decoders.model_file import save_model
    from cryodrgn_plugin.engine.run import Run

    config = recipe_config("fast", {"z_dim": Z_DIM})
    torch.manual_seed(0)
    decoder = make_decoder(config, box)
    with torch.no_grad():
        decoder.coefs.normal_()
    save_model(Run.open(path).model_file, config, decoder, None, 1.31)
    return path


def of_window(path: Path) -> dict[str, float]:
    """Processor seconds of everything that a user waits for in the explorer's window over a run."""
    import pwem.protocols  # noqa: F401
    import pyworkflow.gui.project  # noqa: F401 - as Scipion has them by then

    from cryodrgn_plugin.engine.run import Run

    run = Run.open(path)
    seconds: dict[str, float] = {}
    began = time.thread_time()
    window = opened(run)
    window.root.update()
    seconds["window"] = time.thread_time() - began
    began = time.process_time()
    until(window, lambda: window.is_filled and window.latents.canvas.view is not None)
    seconds["content"] = time.process_time() - began
    until(window, lambda: window.bench.columns is not None)
    seconds["content_and_all_columns"] = time.process_time() - began
    seconds |= of_canvas(window)
    window.root.destroy()
    return {name: round(value, 4) for name, value in seconds.items()}


def opened(run):
    """The explorer's window over a run, without a model or a project."""
    from cryodrgn_plugin.viewers.explorer import ExplorerWindow

    def load(tell):
        from cryodrgn_plugin.viewers.load import content_of

        return content_of(run, "benchmark", first="analysis", tell=tell)

    window = ExplorerWindow("benchmark", load)
    window.root.deiconify()
    return window


def of_canvas(window) -> dict[str, float]:
    """Redraws at every zoom, colours, lasso, rules and the mouse."""
    canvas, latents = window.latents.canvas, window.latents
    middle = (canvas.winfo_width() // 2, canvas.winfo_height() // 2)
    seconds = {}
    for colouring in ("class", "position on the curve", "number of particles"):
        latents.select(colouring=colouring)
        window.root.update()
        worst = [worst_of(window, lambda: wheel(canvas, "<Button-4>", middle)) for _ in range(NOTCHES)]
        worst += [worst_of(window, lambda: drag(canvas, middle), 2)]
        worst += [worst_of(window, lambda: wheel(canvas, "<Button-5>", middle)) for _ in range(NOTCHES)]
        seconds[f"zoom_or_move, {colouring}"] = max(worst)
    columns = ("class", "rlnDefocusU", "rlnMicrographName", "rlnRandomSubset", "number of particles")
    for colouring in columns:
        choose = partial(latents.select, colouring=colouring)
        seconds[f"colour_by {colouring}, first time"] = timed(window, choose)
        seconds[f"colour_by {colouring}"] = worst_of(window, choose)
    latents.select(colouring="class")
    window.root.update()
    seconds["lasso"] = worst_of(window, lambda: lasso(canvas, latents))
    seconds["rule"] = worst_of(window, lambda: window.bench.selection.follow("z1 > 0 and rlnDefocusU < 20000"))
    seconds["zoom_or_move, with a selection"] = worst_of(window, lambda: wheel(canvas, "<Button-4>", middle), NOTCHES)
    seconds["particle_under_the_mouse"] = worst_of(window, lambda: canvas.particle_at((100, 100)))
    return seconds


def wheel(canvas, notch: str, place: tuple[int, int]) -> None:
    canvas.event_generate(notch, x=place[0], y=place[1])


def drag(canvas, place: tuple[int, int]) -> None:
    canvas.event_generate("<ButtonPress-3>", x=place[0], y=place[1])
    canvas.event_generate("<B3-Motion>", x=place[0] + 9, y=place[1] + 5)


def lasso(canvas, latents) -> None:
    """A wavy line of many corners around half of the plane, drawn with the mouse."""
    latents.use("lasso")
    angles = np.linspace(0, 2 * np.pi, CORNERS)
    size = 0.3 * min(canvas.winfo_width(), canvas.winfo_height()) * (1 + 0.2 * np.sin(20 * angles))
    places = np.c_[250 + size * np.cos(angles), 200 + size * np.sin(angles)].astype(int)
    canvas.event_generate("<ButtonPress-1>", x=places[0, 0], y=places[0, 1])
    for x, y in places:
        canvas.event_generate("<B1-Motion>", x=x, y=y)
    canvas.event_generate("<ButtonRelease-1>", x=x, y=y)
    latents.use("point")


def timed(window, do: Callable[[], object]) -> float:
    """Processor seconds of the window's thread until what was asked is on the screen."""
    began = time.thread_time()
    do()
    window.root.update()
    return time.thread_time() - began


def worst_of(window, do: Callable[[], object], times: int = TIMES) -> float:
    """The longest of several."""
    return max(timed(window, do) for _ in range(times))


def until(window, is_so: Callable[[], bool]) -> None:
    """Let the window work."""
    while not is_so():
        window.root.update()
        time.sleep(0.005)


def of_maps(path: Path) -> dict[str, float]:
    """Processor seconds of the engine per map at points of a run, and of the window that shows its sections."""
    from resident_decoder import ask, cpu_seconds

    from cryodrgn_plugin.engine.run import Run
    from cryodrgn_plugin.viewers.resident_decoder import ResidentDecoder

    z = Run.open(path).latents().z
    decoder = ResidentDecoder([sys.executable, "-m", "cryodrgn_plugin.engine.cli", "serve", os.path.abspath(path)])
    decoder.start()
    ask(decoder, 0, z[0])
    began = cpu_seconds(decoder)
    for index in range(1, MAPS + 1):
        answer = ask(decoder, index, z[index])
    made = (cpu_seconds(decoder) - began) / MAPS
    decoder.close()
    return {"made": round(made, 4), "shown": round(shown(answer.volume), 4)}


def shown(volume: np.ndarray) -> float:
    """Processor seconds until the sections of a map that follows the mouse are on the screen."""
    from cryodrgn_plugin.viewers.content import Content, MapEntry
    from cryodrgn_plugin.viewers.map_panel import MapPanel

    root = tk.Tk()
    panel = MapPanel(root, Content("maps"), lambda words: None)
    panel.pack()
    root.update()
    entry = MapEntry("", "map", "", "#7fa8d1", volume=volume, pixel_size_ang=1.0)
    began = time.thread_time()
    for _ in range(10):
        panel._take(entry, volume)
        root.update()
    seconds = (time.thread_time() - began) / 10
    root.destroy()
    return seconds


if __name__ == "__main__":
    main()
