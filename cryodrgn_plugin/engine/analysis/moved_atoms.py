"""What the atoms of a run do: a trajectory of models along the latents, and how far each residue moves."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..atoms.beads import Beads
from ..atoms.model_writing import moved_atoms, write_models
from ..decoders.atoms import AtomsDecoder
from ..io.star import write_star
from ..report_writer import Report
from .analysis_parts import LatentView
from .figure_style import DISTINCT, figure
from .series import Series

SAMPLE = 1000
"""Particles that the mobility is measured over."""
CHAINS_A_ROW = 2
MOST_CHAINS = 12
"""Chains drawn; the table has all."""


def describe_atoms(decoder: AtomsDecoder, view: LatentView | None, series: Sequence[Series], out: Report) -> None:
    """Write the models along the last series of maps (that of the widest axis, where there is a latent space) and the
    mobility of every residue: root mean square distance from its mean place, over the particles."""
    beads = decoder.beads
    z = np.zeros((1, 0)) if view is None else path_of(series)
    spread = np.zeros(len(beads)) if view is None else _spread_ang(decoder, view.latents.z)
    model = decoder.model
    file = out.file("trajectory", "trajectory.cif")
    write_models(file, model, moved_atoms(model, beads, decoder.places_ang(z)), spread[beads.bead_of_atom])
    out.index["atoms"] = {
        "beads": beads.described(),
        "models": len(z),
        "z": z.tolist(),
        "sigma_ang": round(float(decoder.sigma_ang.detach()), 3),
    }
    if view is None:
        return
    table = mobility_table(beads, spread)
    write_star(out.file("mobility", "mobility.star"), {"mobility": table})
    out.index["atoms"]["mobility_ang"] = {
        "median": round(float(np.median(table["hetMobility"])), 3),
        "largest": round(float(table["hetMobility"].max()), 3),
    }
    draw_mobility(out, table)
    most = table.loc[table["hetMobility"].idxmax()]
    out.say(
        f"Residues move by {np.median(table['hetMobility']):.1f} Å (median), the most mobile, "
        f"{most['hetResidue']} of chain {most['hetChain']}, by {most['hetMobility']:.1f} Å, root mean square over the "
        f"particles; trajectory.cif has {len(z)} models along the latents."
    )


def path_of(series: Sequence[Series]) -> np.ndarray:
    """(S, Z) latents along which the models go: those of the maps along the first principal component, where there are
    any, else those of the first series."""
    along = [one for one in series if one.name == "pc1"]
    return np.asarray((along or list(series))[0].z)


def mobility_table(beads: Beads, spread_ang: np.ndarray) -> pd.DataFrame:
    """Chain, number and mobility in Å of each residue: of its bead of the chain where it has one."""
    order = np.argsort(~np.isin(np.arange(len(beads)), beads.trace()), kind="stable")
    _, first = np.unique(beads.residue[order], return_index=True)
    chosen = order[first]
    return pd.DataFrame(
        {
            "hetChain": np.where(beads.chains[chosen] == "", "-", beads.chains[chosen]),
            "hetResidue": beads.numbers[chosen],
            "hetKind": beads.kinds[chosen],
            "hetMobility": np.round(spread_ang[chosen], 3),
        }
    )


def draw_mobility(out: Report, table: pd.DataFrame) -> None:
    """A curve along each chain."""
    chains = [name for name, part in table.groupby("hetChain", sort=False) if len(part) > 1][:MOST_CHAINS]
    if not chains:
        return
    columns = min(CHAINS_A_ROW, len(chains))
    rows = -(-len(chains) // columns)
    highest = 1.08 * max(table["hetMobility"].max(), 0.1)
    with figure(out.figure("mobility"), 4.2 * columns + 0.4, 1.9 * rows + 0.5) as page:
        axes = page.subplots(rows, columns, squeeze=False, sharey=True)
        for ax in axes.flat[len(chains) :]:
            ax.set_visible(False)
        for ax, chain in zip(axes.flat, chains, strict=False):
            part = table[table["hetChain"] == chain].sort_values("hetResidue")
            breaks = np.flatnonzero(np.diff(part["hetResidue"]) > 1) + 1
            for piece in np.split(np.arange(len(part)), breaks):
                some = part.iloc[piece]
                ax.plot(some["hetResidue"], some["hetMobility"], color=DISTINCT[0], lw=1.2)
            ax.set_ylim(0, highest)
            ax.set_title(f"chain {chain}")
            ax.set_xlabel("residue")
        for ax in axes[:, 0]:
            ax.set_ylabel("mobility (Å rms)")


def _spread_ang(decoder: AtomsDecoder, z: np.ndarray) -> np.ndarray:
    """(n,) root mean square distance of each bead from its mean place, over a sample of the particles."""
    rows = np.random.default_rng(0).permutation(len(z))[:SAMPLE]
    total, squares = np.zeros((len(decoder.beads), 3)), np.zeros(len(decoder.beads))
    for start in range(0, len(rows), 100):
        places = decoder.places_ang(z[rows[start : start + 100]]) - decoder.beads.centres_ang
        total += places.sum(0)
        squares += (places**2).sum((0, 2))
    return np.sqrt(np.maximum(squares / len(rows) - ((total / len(rows)) ** 2).sum(-1), 0))
