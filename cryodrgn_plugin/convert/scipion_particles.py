"""Scipion sets to RELION star files and back.

Scipion keeps the inverse of RELION's transform: with A = Rz(psi) Ry(tilt) Rz(rot) and the origin o in pixels, a
particle has the matrix inv([A | −o]). Every row carries the object id in `cdrgObjId`, by which results come back.
"""

import io
import os
from collections.abc import Iterator

import numpy as np
import pandas as pd
from emtable import Table
from pwem.constants import ALIGN_PROJ, NO_INDEX
from pwem.objects import CTFModel, Particle, SetOfParticles, SetOfParticlesFlex, Transform

from ..constants import ID_COLUMN
from ..engine.analysis.lists import latent_column
from ..engine.errors import DataError
from ..engine.files import CLASS, euler_from_matrices, matrices_from_euler, read_star, write_star

MRC_ENDINGS = (".mrc", ".mrcs", ".st")
DEFAULT_OPTICS_NAME = "opticsGroup1"
FLEX_ATTRIBUTES = ["_flexInfo", "_zFlex", "_zRed"]
"""What a particle with latents has more than another."""


# -------------------------- Scipion to star ---------------------------------
def write_particles_star(particles: SetOfParticles, path: str, stack: str | None = None) -> int:
    """Write `particles` as a RELION 3.1 star file with poses, CTF, optics groups and object ids.

    Parameters
    ----------
    particles : with projection alignment and CTF; image paths are written as the set has them, relative to the project.
    path : of the star file.
    stack : where to copy the images as MRC when the set keeps them in another format; None forbids that.

    Returns
    -------
    Number of particles written.

    Raises
    ------
    DataError : the set is empty, or its images need converting and no `stack` was given.
    """
    columns = ParticleColumns(particles)
    for particle in particles:
        columns.add(particle)
    table = columns.table()
    if not columns.readable_by_engine:
        table["rlnImageName"] = convert_images(particles, stack)
    write_star(path, {"optics": optics_table(particles), "particles": table})
    return len(table)


class ParticleColumns:
    """Collects one pass over a set into star columns: lists while reading, arrays at the end."""

    def __init__(self, particles: SetOfParticles):
        first = particles.getFirstItem()
        if first is None:
            raise DataError("The set of particles is empty; choose one that has particles.")
        self._pixel_size_ang = particles.getSamplingRate()
        self._has_poses = particles.getAlignment() == ALIGN_PROJ
        self._has_ctf = first.hasCTF()
        self._has_coordinate = first.hasCoordinate()
        names = (name for name, _ in first.getAttributes())
        self._extra = [name for name in names if name.startswith("_rln") and name != "_rlnOpticsGroup"]
        self._rows: list[dict] = []
        self._matrices: list[np.ndarray] = []
        self.readable_by_engine = True

    def add(self, particle: Particle) -> None:
        """Take one particle."""
        index, name = particle.getLocation()
        self.readable_by_engine &= name.lower().endswith(MRC_ENDINGS)
        row = {ID_COLUMN: particle.getObjId(), "rlnImageName": image_name(index, name)}
        if self._has_coordinate:
            row |= coordinate_columns(particle)
        if self._has_ctf:
            row |= ctf_columns(particle.getCTF())
        if self._has_poses:
            self._matrices.append(particle.getTransform().getMatrix())
        row |= {name[1:]: particle.getAttributeValue(name) for name in self._extra}
        row["rlnOpticsGroup"] = int(particle.getAttributeValue("_rlnOpticsGroup", 1))
        self._rows.append(row)

    def table(self) -> pd.DataFrame:
        """All columns, rows in the order they were added."""
        table = pd.DataFrame(self._rows)
        if self._has_poses:
            angles_deg, origins_px = relion_alignment(np.stack(self._matrices))
            table[["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]] = angles_deg
            table[["rlnOriginXAngst", "rlnOriginYAngst"]] = origins_px[:, :2] * self._pixel_size_ang
        return table


def image_name(index: int, name: str) -> str:
    """RELION's name of an image: 000017@stack.mrcs, or the file alone."""
    return name if index == NO_INDEX else f"{index:06d}@{name}"


def ctf_columns(ctf: CTFModel) -> dict[str, float]:
    """Defocus in Å and degrees; the phase shift only where there is one, in degrees."""
    defocus_u, defocus_v, angle = ctf.getDefocus()
    columns = {"rlnDefocusU": defocus_u, "rlnDefocusV": defocus_v, "rlnDefocusAngle": angle}
    if ctf.hasPhaseShift():
        columns["rlnPhaseShift"] = ctf.getPhaseShift()
    return columns


def coordinate_columns(particle: Particle) -> dict[str, object]:
    """Position on the micrograph in pixels, and the micrograph."""
    coordinate = particle.getCoordinate()
    x, y = coordinate.getPosition()
    micrograph = coordinate.getMicName() or str(coordinate.getMicId() or "unknown")
    return {"rlnCoordinateX": x, "rlnCoordinateY": y, "rlnMicrographName": micrograph.replace(" ", "")}


def optics_table(particles: SetOfParticles) -> pd.DataFrame:
    """One row per optics group: those the set was imported with, or one made from its acquisition."""
    acquisition = particles.getAcquisition()
    text = acquisition.opticsGroupInfo.get()
    single = {"rlnOpticsGroup": [1], "rlnOpticsGroupName": [DEFAULT_OPTICS_NAME]}
    table = _parse_optics(text) if text else pd.DataFrame(single)
    table["rlnImageSize"] = particles.getXDim()
    table["rlnImageDimensionality"] = 2
    table["rlnCtfDataArePhaseFlipped"] = int(particles.isPhaseFlipped())
    table["rlnImagePixelSize"] = particles.getSamplingRate()
    microscope = {
        "rlnVoltage": acquisition.getVoltage(),
        "rlnSphericalAberration": acquisition.getSphericalAberration(),
        "rlnAmplitudeContrast": acquisition.getAmplitudeContrast(),
    }
    for name, value in microscope.items():
        if name not in table:
            table[name] = value
    return table


def _parse_optics(text: str) -> pd.DataFrame:
    table = Table()
    table.readStar(io.StringIO(text), tableName="optics")
    return pd.DataFrame([row._asdict() for row in table])


def convert_images(particles: SetOfParticles, stack: str | None) -> list[str]:
    """Copy the set's images to one MRC stack, in the set's order, and return their new names."""
    if stack is None:
        raise DataError("The particle images are not MRC stacks; the engine reads only those.")
    particles.writeStack(stack)
    return [image_name(number, stack) for number in range(1, particles.getSize() + 1)]


# -------------------------- alignment ---------------------------------------
def relion_alignment(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scipion's matrices (N, 4, 4) as RELION's angles (N, 3) in degrees and origins (N, 3) in pixels."""
    inverse = np.linalg.inv(np.asarray(matrices, dtype=np.float64))
    return euler_from_matrices(inverse[:, :3, :3]), -inverse[:, :3, 3]


def scipion_matrices(angles_deg: np.ndarray, origins_px: np.ndarray) -> np.ndarray:
    """RELION's angles (N, 3) in degrees and origins (N, 2) in pixels as Scipion's matrices (N, 4, 4)."""
    forward = np.tile(np.eye(4), (len(angles_deg), 1, 1))
    forward[:, :3, :3] = matrices_from_euler(angles_deg)
    forward[:, :2, 3] = -np.asarray(origins_px, dtype=np.float64)
    return np.linalg.inv(forward)


# -------------------------- star to Scipion ---------------------------------
def read_particles_star(path: str, particles: SetOfParticles) -> None:
    """Fill `particles` (empty) from a RELION 3.1 star file of one optics group: images, poses, CTF, acquisition.

    Image names are taken relative to the star file's folder when they are not found from the working folder.
    """
    blocks = read_star(path)
    optics, table = blocks["optics"].iloc[0], blocks["particles"]
    pixel_size_ang = float(optics["rlnImagePixelSize"])
    acquisition = particles.getAcquisition()
    acquisition.setVoltage(float(optics["rlnVoltage"]))
    acquisition.setSphericalAberration(float(optics["rlnSphericalAberration"]))
    acquisition.setAmplitudeContrast(float(optics["rlnAmplitudeContrast"]))
    particles.setSamplingRate(pixel_size_ang)
    particles.setHasCTF(True)
    particles.setAlignmentProj()
    angles_deg = table[["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]].to_numpy(float)
    origins_px = table[["rlnOriginXAngst", "rlnOriginYAngst"]].to_numpy(float) / pixel_size_ang
    matrices = scipion_matrices(angles_deg, origins_px)
    defocus = table[["rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle"]].to_numpy(float)
    phases_deg = table["rlnPhaseShift"].to_numpy(float) if "rlnPhaseShift" in table else np.zeros(len(table))
    names = locations(table["rlnImageName"], os.path.dirname(path))
    has_phases = phases_deg.any()  # a set has one list of columns, that of its first particle
    for location, matrix, values, phase_deg in zip(names, matrices, defocus, phases_deg, strict=True):
        particle = _particle(location, matrix, values, pixel_size_ang)
        if has_phases:
            particle.getCTF().setPhaseShift(float(phase_deg))
        particles.append(particle)


def _particle(location: tuple[int, str], matrix: np.ndarray, defocus: np.ndarray, pixel_size_ang: float) -> Particle:
    particle = Particle()
    particle.setLocation(*location)
    particle.setSamplingRate(pixel_size_ang)
    particle.setTransform(Transform(matrix))
    ctf = CTFModel()
    ctf.setStandardDefocus(*map(float, defocus))
    particle.setCTF(ctf)
    return particle


def locations(names: pd.Series, folder: str) -> Iterator[tuple[int, str]]:
    """(index, path) of each image name of a star file that lies in `folder`."""
    resolved: dict[str, str] = {}
    for name in names:
        index, _, file = name.rpartition("@")
        if file not in resolved:
            resolved[file] = file if os.path.exists(file) else os.path.join(folder, file)
        yield int(index or NO_INDEX), resolved[file]


def with_images_of(particles: SetOfParticles, path: str) -> Iterator[Particle]:
    """The particles that a star file lists, as they are but with its images in place of theirs; matched by object id.

    Parameters
    ----------
    particles : a set; latents that its particles may have are left out, for they are of the old images.
    path : of a star file that the engine made of one of `write_particles_star`.
    """
    table = read_star(path)["particles"]
    images = locations(table["rlnImageName"], os.path.dirname(path))
    places = dict(zip(table[ID_COLUMN].astype(int), images, strict=True))
    for particle in particles.iterItems():
        if particle.getObjId() not in places:
            continue
        changed = Particle()
        changed.copy(particle, ignoreAttrs=FLEX_ATTRIBUTES)
        changed.setLocation(*places[particle.getObjId()])
        yield changed


def object_ids(path: str | os.PathLike) -> np.ndarray:
    """Object ids (N,) int64 of the rows of a star file written by `write_particles_star`; of any other they count from
    1, as `read_particles_star` numbers them."""
    table = read_star(path)["particles"]
    return table[ID_COLUMN].to_numpy(np.int64) if ID_COLUMN in table else np.arange(1, len(table) + 1)


def write_latents_star(particles: SetOfParticlesFlex, path: str, stack: str | None = None) -> int:
    """`write_particles_star` with a column for each latent coordinate after the others, and the class where there is
    one. RELION keeps columns that it does not know."""
    count = write_particles_star(particles, path, stack)
    tables = read_star(path)
    z = np.array([particle.getZFlex() for particle in particles.iterItems()], np.float32)
    columns = {latent_column(k + 1): z[:, k] for k in range(z.shape[1])}
    classes = [particle.getClassId() for particle in particles.iterItems()]
    if all(classes):
        columns[CLASS] = classes
    write_star(path, {**tables, "particles": tables["particles"].assign(**columns)})
    return count
