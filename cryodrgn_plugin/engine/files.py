"""The files that hosts and the engine exchange: particles as star files and tables, maps, arrays; one door for hosts.

Everything is written atomically. Angles are RELION's, in degrees (docs/conventions.md).
"""

from .geometry.rotations import euler_from_matrices, matrices_from_euler
from .io.arrays import read_arrays
from .io.found_poses import AGREEMENT, CLASS, DEFOCUS, ORIGINS, PROBABILITY, SCORE, tables_with
from .io.mrc import read_map, write_map
from .io.optimisation_set import set_file, write_set_of
from .io.particle_lists import write_particles
from .io.particles import EULER, ParticleTable, read_particles
from .io.star import read_star, write_star
from .io.writing import replacing, replacing_folder, write_text

__all__ = [
    "AGREEMENT",
    "CLASS",
    "DEFOCUS",
    "EULER",
    "ORIGINS",
    "PROBABILITY",
    "SCORE",
    "ParticleTable",
    "euler_from_matrices",
    "matrices_from_euler",
    "read_arrays",
    "read_map",
    "read_particles",
    "read_star",
    "replacing",
    "replacing_folder",
    "set_file",
    "tables_with",
    "write_map",
    "write_particles",
    "write_set_of",
    "write_star",
    "write_text",
]
