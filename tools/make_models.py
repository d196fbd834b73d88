"""Make the models in cryodrgn_plugin/engine/resources from deposited structures (PDB, CC0).

    python tools/make_models.py --data DATA

DATA holds adk/adk_open.pdb and adk/adk_closed.pdb (4AKE and 1AKE), models/4V5A_70S.mmtf and models/6vyb.pdb.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from cryodrgn_plugin.engine.atoms.atomic_model import AtomicModel, coarse
from cryodrgn_plugin.engine.atoms.model_reading import read_model
from cryodrgn_plugin.engine.simulate.embedded import save_compact

RESOURCES = Path(__file__).parents[1] / "cryodrgn_plugin" / "engine" / "resources"


def subunits(model: AtomicModel) -> AtomicModel:
    """The first 70S of 4V5A as pseudo-atoms whose chain is 30S or 50S, without tRNAs, mRNA, factor and ions."""
    small = np.char.startswith(model.chains, "A") & ~np.isin(model.chains, ["AV", "AW", "AX", "AY"])
    large = np.char.startswith(model.chains, "B")
    polymer = ~np.isin(model.names, ["MG", "ZN"])
    points = coarse(model[(small | large) & polymer])
    return replace(points, chains=np.where(np.char.startswith(points.chains, "A"), "30S", "50S"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with adk/ and models/")
    data = parser.parse_args().data
    spike = read_model(data / "models" / "6vyb.pdb")
    models = {
        "adk_open": read_model(data / "adk" / "adk_open.pdb"),
        "adk_closed": read_model(data / "adk" / "adk_closed.pdb"),
        "ribosome": subunits(read_model(data / "models" / "4V5A_70S.mmtf")),
        "spike": coarse(spike[np.isin(spike.chains, ["A", "B", "C"])]),
    }
    for name, model in models.items():
        path = RESOURCES / f"{name}.npz"
        save_compact(path, model)
        print(f"{path.name}: {len(model)} atoms, {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
