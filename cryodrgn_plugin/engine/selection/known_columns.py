"""What training and whoever looked at it have found out about each particle, as named columns. Loads nothing heavy."""

import numpy as np

from ..analysis.embed import principal_components
from ..latents import Latents
from ..run import Run


def known_columns(run: Run, latents: Latents) -> dict[str, np.ndarray]:
    """Name to (N,) values, in the order of the latents: `row`, `z1` …, and what else `columns` says."""
    columns = {"row": latents.rows, **_numbered("z", latents.z)}
    for name in ("coordinate", "uncertainty"):
        if getattr(latents, name) is not None:
            columns[name] = getattr(latents, name)
    return columns | _of_analysis(run, latents) | _of_landscape(run, latents) | _of_validation(run, latents)


def _of_analysis(run: Run, latents: Latents) -> dict[str, np.ndarray]:
    stored = run.per_particle("analysis", latents.rows)
    if not stored:
        return _numbered("pc", principal_components(latents.z).scores) if latents.z.shape[1] else {}
    columns = {"cluster": stored["labels"] + 1, **_numbered("pc", stored["pca"])}
    if "class_probability" in stored:
        columns["cluster_probability"] = stored["class_probability"]
    return columns | (_numbered("umap", stored["umap"]) if "umap" in stored else {})


def _of_landscape(run: Run, latents: Latents) -> dict[str, np.ndarray]:
    stored = run.per_particle("landscape", latents.rows)
    if not stored:
        return {}
    columns = {"volume_cluster": stored["labels"] + 1, **_numbered("vpc", stored["pca"])}
    return columns | ({"state": stored["state"] + 1} if "state" in stored else {})


def _of_validation(run: Run, latents: Latents) -> dict[str, np.ndarray]:
    stored = run.per_particle("validation", latents.rows)
    return {"confidence": stored["confidence"]} if stored else {}


def _numbered(prefix: str, values: np.ndarray) -> dict[str, np.ndarray]:
    return {f"{prefix}{k}": column for k, column in enumerate(values.T, start=1)}
