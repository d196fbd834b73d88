"""Pictures of a density's surface from any side, drawn off screen, so that a plain Tk label can show them.

pyvista (VTK) draws a frame in tens of milliseconds, with or without a display; without it scikit-image and matplotlib
draw the same surface more slowly. Angles are those of a globe, in degrees: `azimuth` turns it, `elevation` tips it.
"""

import importlib.util
from typing import Protocol

import numpy as np

BACKGROUND = "#ffffff"
BOX = 100.0
"""Edge of every map in the units of its surface, so that one sampled more finely has the same size."""


class SurfaceRenderer(Protocol):
    """Draws one surface at a time."""

    def show(self, volume: np.ndarray, level: float, colour: str, colour_below: str = "") -> None:
        """Take the surface of `volume` (z, y, x) at `level`, and with a `colour_below` that at minus the level."""

    def frame(self, azimuth: float, elevation: float, size: tuple[int, int], zoom: float = 1.0) -> np.ndarray:
        """Picture (height, width, 3) uint8 seen from a direction; `size` is (width, height) in pixels."""


def prepare() -> None:
    """Import what draws surfaces, which takes a second or two."""
    if importlib.util.find_spec("pyvista"):
        importlib.import_module("pyvista")


def make_renderer() -> SurfaceRenderer:
    """The best renderer that is installed."""
    return PyvistaRenderer() if importlib.util.find_spec("pyvista") else MatplotlibRenderer()


def suggested_level(volume: np.ndarray) -> float:
    """A density that encloses the molecule: Otsu's threshold of the positive densities."""
    values = volume[volume > 0]
    if values.size < 8:
        return float(volume.max())
    histogram, edges = np.histogram(values, 256)
    weight = np.cumsum(histogram)
    total = np.cumsum(histogram * (edges[:-1] + edges[1:]) / 2)
    # Variance between the classes below and above each edge, up to a factor.
    with np.errstate(invalid="ignore", divide="ignore"):
        between = (total[-1] * weight / weight[-1] - total) ** 2 / (weight * (weight[-1] - weight))
    return float(edges[1 + int(np.nanargmax(between[:-1]))])


def finer(volume: np.ndarray, voxels: int = 112) -> np.ndarray:
    """`volume` (D, D, D) sampled two or three times as finely where it is small, so that its surface is smooth.

    The samples between come from the Fourier transform, so nothing is added or lost.
    """
    box = volume.shape[0]
    factor = min(round(voxels / box), 3)
    if factor < 2:
        return volume
    spectrum = np.fft.fftshift(np.fft.fftn(volume))
    before = (factor * box) // 2 - box // 2
    padded = np.pad(spectrum, [(before, (factor - 1) * box - before)] * 3)
    return np.fft.ifftn(np.fft.ifftshift(padded)).real.astype(np.float32) * factor**3


def _surfaces(level: float, colour: str, colour_below: str) -> list[tuple[float, str]]:
    return [(level, colour), *([(-level, colour_below)] if colour_below else [])]


class PyvistaRenderer:
    """Surfaces by VTK's flying edges, with soft light."""

    def __init__(self):
        import pyvista

        self._pyvista = pyvista
        self._plotter = pyvista.Plotter(off_screen=True, lighting="light kit")
        self._plotter.set_background(BACKGROUND)
        self._plotter.enable_anti_aliasing("ssaa")
        self._radius = 1.0

    def show(self, volume: np.ndarray, level: float, colour: str, colour_below: str = "") -> None:
        grid = self._pyvista.ImageData(dimensions=volume.shape[::-1])
        step = BOX / volume.shape[0]
        grid.spacing = (step,) * 3
        grid.origin = tuple(-(n // 2) * step for n in volume.shape[::-1])
        grid["density"] = np.ascontiguousarray(volume, np.float32).ravel()
        self._plotter.clear_actors()
        for height, paint in _surfaces(level, colour, colour_below):
            mesh = grid.contour([height], scalars="density", method="flying_edges")
            if mesh.n_points:
                self._plotter.add_mesh(
                    mesh, color=paint, smooth_shading=True, specular=0.3, specular_power=15, ambient=0.28,
                    diffuse=0.95, show_scalar_bar=False, reset_camera=False,
                )  # fmt: skip
                # The widest surface so far fills the picture, so that a walk through states does not jump in size.
                self._radius = max(self._radius, 1.08 * float(np.linalg.norm(mesh.points, axis=1).max()))

    def frame(self, azimuth: float, elevation: float, size: tuple[int, int], zoom: float = 1.0) -> np.ndarray:
        if tuple(self._plotter.window_size) != size:
            self._plotter.window_size = size
        camera = self._plotter.camera
        camera.focal_point = (0, 0, 0)
        camera.position = tuple(12 * self._radius * direction(azimuth, elevation))
        camera.up = tuple(direction(azimuth, elevation + 90))
        camera.parallel_projection = True
        camera.parallel_scale = self._radius / zoom
        camera.clipping_range = (0.1, 40 * self._radius)
        self._plotter.render()
        return self._plotter.screenshot(return_img=True)[..., :3]


class MatplotlibRenderer:
    """Surfaces by marching cubes, drawn by matplotlib: slower and plainer, with the host's own dependencies only."""

    def __init__(self):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self._figure = Figure(dpi=100, facecolor=BACKGROUND)
        self._canvas = FigureCanvasAgg(self._figure)
        self._meshes: list[tuple[np.ndarray, np.ndarray, str]] = []
        self._half = 1.0

    def show(self, volume: np.ndarray, level: float, colour: str, colour_below: str = "") -> None:
        from skimage.measure import marching_cubes

        step = max(1, max(volume.shape) // 64)
        self._meshes = []
        for height, paint in _surfaces(level, colour, colour_below):
            if volume.min() < height < volume.max():
                points, faces, _, _ = marching_cubes(volume, height, step_size=step)
                points = (points[:, ::-1] - np.array(volume.shape[::-1]) // 2) * BOX / volume.shape[0]
                self._meshes.append((points, faces, paint))
                self._half = max(self._half, 0.9 * float(np.linalg.norm(points, axis=1).max()))

    def frame(self, azimuth: float, elevation: float, size: tuple[int, int], zoom: float = 1.0) -> np.ndarray:
        self._figure.set_size_inches(size[0] / 100, size[1] / 100)
        self._figure.clear()
        axes = self._figure.add_axes([0, 0, 1, 1], projection="3d")
        axes.set_axis_off()
        half = self._half / zoom
        axes.set(xlim=(-half, half), ylim=(-half, half), zlim=(-half, half))
        axes.set_box_aspect((1, 1, 1), zoom=1.5)
        axes.view_init(elev=elevation, azim=azimuth)
        for points, faces, paint in self._meshes:
            axes.plot_trisurf(*points.T, triangles=faces, color=paint, linewidth=0, antialiased=False, shade=True)
        self._canvas.draw()
        return np.asarray(self._canvas.buffer_rgba())[..., :3].copy()


def direction(azimuth: float, elevation: float) -> np.ndarray:
    """Unit vector (x, y, z) towards a viewer at these angles, in degrees."""
    a, e = np.deg2rad([azimuth, elevation])
    return np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
