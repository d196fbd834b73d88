"""`volumes`: maps at chosen particles or latent coordinates, in the order asked for."""

import argparse
from pathlib import Path

from ..errors import ConfigError, DataError

DESCRIPTION = """\
Make maps from a finished run: vol_000.mrc, vol_001.mrc, … in the order asked for, white density, with the pixel size
of the data (after downsampling, if the run downsampled).

examples
  cryodrgn-plugin volumes run --particles 0,17,42 --out maps      at the latents of these rows of the star file (from 0)
  cryodrgn-plugin volumes run --particles 0-9 --out maps
  cryodrgn-plugin volumes run --z points.txt --out maps           one point per line: coordinates separated by spaces
  cryodrgn-plugin volumes run --z path.npz --out maps --half-maps
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.add_argument("run", metavar="RUN", help="folder of the run")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--particles", metavar="LIST", help="rows of the star file, from 0, as 0,17,42 or 0-9")
    where.add_argument("--z", metavar="FILE", help="latent coordinates: .txt, .npy, or .npz with an array z; (n, Z)")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the maps; made if absent")
    parser.add_argument(
        "--half-maps",
        action="store_true",
        help="also vol_000_half1.mrc and _half2.mrc, for resolution; only for runs that were finished in closed form",
    )


def run(args: argparse.Namespace) -> int:
    from ..analysis.volumes import write_series
    from ..run import Run
    from ..training.restore import load_decoder
    from .progress import shown

    the_run = Run.open(args.run)
    z = at_particles(the_run, args.particles) if args.particles else read_points(args.z, the_run.latents().z.shape[1])
    with shown(the_run):
        files = write_series(load_decoder(the_run), z, Path(args.out), the_run.progress, half_maps=args.half_maps)
        the_run.reporter.line(f"{len(files)} maps in {args.out}")
    return 0


def at_particles(run, words: str):
    """Latents (n, Z) of the star rows listed in `words`, in that order."""
    import numpy as np

    latents = run.latents()
    place = {int(row): k for k, row in enumerate(latents.rows)}
    rows = parse_rows(words)
    absent = [row for row in rows if row not in place]
    if absent:
        raise DataError(
            f"Particle {absent[0]} is not in {run.path}: it holds {len(place):,} particles, "
            f"rows {int(latents.rows.min())} to {int(latents.rows.max())}."
        )
    return latents.z[np.array([place[row] for row in rows])]


def parse_rows(words: str) -> list[int]:
    """`0,17,40-42` as [0, 17, 40, 41, 42]."""
    rows: list[int] = []
    for word in words.split(","):
        first, dash, last = word.strip().partition("-")
        try:
            rows += range(int(first), int(last) + 1) if dash else [int(first)]
        except ValueError:
            raise ConfigError(f"--particles has {word.strip()!r}; give rows as 0,17,42 or 0-9.") from None
    if not rows:
        raise ConfigError(f"--particles {words} names no particle; give rows as 0,17,42 or 0-9.")
    return rows


def read_points(path: str, z_dim: int):
    """Latent coordinates (n, Z) from a text, .npy or .npz file; a single row or, with Z = 1, column is understood.

    Raises DataError when the file cannot be read, holds no finite numbers or points of another dimension.
    """
    import numpy as np

    try:
        if path.endswith(".npz"):
            with np.load(path, allow_pickle=False) as stored:
                z = stored["z"]
        else:
            z = np.load(path, allow_pickle=False) if path.endswith(".npy") else np.loadtxt(path, ndmin=2)
        z = np.asarray(z, np.float32)
    except FileNotFoundError:
        raise DataError(f"There is no file {path}.") from None
    except KeyError:
        raise DataError(f"{path} has no array named z.") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as latent coordinates: {error}.") from None
    if z.ndim == 1:
        z = z[:, None] if z_dim == 1 else z[None]
    if z.ndim != 2 or z.shape[1] != z_dim or len(z) == 0:
        raise DataError(f"{path} holds points of shape {z.shape}; the run's latent space needs (n, {z_dim}).")
    if not np.isfinite(z).all():
        raise DataError(f"{path} holds numbers that are not finite.")
    return z
