"""What members of the decoder family need beside the settings of all."""

import tempfile
from functools import cache
from pathlib import Path

from cryodrgn_plugin.engine.atoms.model_writing import write_models
from cryodrgn_plugin.engine.simulate.tiny import tiny_ensemble
from cryodrgn_plugin.tests.contracts.planted_motion import STATES


@cache
def settings_of(name: str) -> dict[str, object]:
    """The decoder of atoms has a model, a chain that opens."""
    if name != "atoms":
        return {}
    file = Path(tempfile.mkdtemp()) / "chain.cif"
    chain = tiny_ensemble(STATES).states[0]
    write_models(file, chain, chain.coords_ang[None])
    return {"atoms.model": str(file), "atoms.place": "mass"}
