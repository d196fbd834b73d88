"""How many directions of variation stand out from noise in some images of a set, asked of the engine. No window."""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pwem.objects import SetOfParticles

from ..convert import write_particles_star
from ..engine.errors import EngineError
from ..engine.run import Run
from ..plugin import Plugin

IMAGES, BOX, DIRECTIONS = 2000, 48, 10


@dataclass(frozen=True)
class Spectrum:
    """Of each direction, the largest first, what an image tells of it; and what it would tell of noise."""

    information: tuple[float, ...]
    of_noise: float
    count: int
    """Directions that stand out from noise, by the engine's word."""
    images: int


class QuickSpectrum:
    """A training that is over once its directions have been held against noise; `close` ends it and removes it."""

    def __init__(self, particles: SetOfParticles, project: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="cryodrgn-spectrum-"))
        star = self._folder / "some.star"
        self.images = _some(particles, star)
        box = min(BOX, particles.getXDim() // 2 * 2)
        command = [Plugin.getEnginePython(), "-m", "cryodrgn_plugin.engine.cli", "train", str(star), "--out"]
        command += [str(self._run_folder), "--data.box", str(box), "--device", "cpu", "--root", project]
        command += ["--closed_form.n_components", str(min(DIRECTIONS, self.images // 4))]
        self._said = (self._folder / "said").open("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            command, cwd=project, env=Plugin.getEnviron(), stdout=subprocess.DEVNULL, stderr=self._said
        )

    @property
    def _run_folder(self) -> Path:
        return self._folder / "run"

    @property
    def failure(self) -> str:
        """Why it ended without a spectrum; empty while it goes on."""
        if self._process.poll() is None or self.found() is not None:
            return ""
        self._said.seek(0)
        lines = self._said.read().strip().splitlines()
        return lines[-1].removeprefix("cryodrgn-plugin: ") if lines else "The engine ended without a word."

    @property
    def how_far(self) -> str:
        """Words on where it is."""
        try:
            far = Run.open(self._run_folder).how_far
        except EngineError:
            far = None
        return f"step {far.done}" if far else "the engine starts"

    def found(self) -> Spectrum | None:
        """The spectrum, once it is there."""
        try:
            notes = Run.open(self._run_folder).info.get("notes", {})
        except EngineError:
            return None
        if "information_of_noise" not in notes:
            return None
        return Spectrum(tuple(notes["information"]), notes["information_of_noise"], notes["directions"], self.images)

    def close(self) -> None:
        """End the process and remove its files."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._said.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _some(particles: SetOfParticles, star: Path) -> int:
    """Write particles spread over the set as a star file; how many they are."""
    step = -(-particles.getSize() // IMAGES)
    some = SetOfParticles(filename=str(star.with_suffix(".sqlite")))
    some.copyInfo(particles)
    some.setHasCTF(particles.hasCTF())
    for place, particle in enumerate(particles.iterItems()):
        if place % step == 0:
            some.append(particle.clone())
    some.write()
    count = write_particles_star(some, str(star), stack=str(star.with_suffix(".mrcs")))
    some.close()
    return count
