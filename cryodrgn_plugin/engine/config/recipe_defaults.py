"""Recipes: sets of defaults. A recipe names only what differs from the fields' own defaults."""

from typing import Any

RECIPES: dict[str, dict[str, Any]] = {
    "fast": {},
    "paper": {
        "decoder.padding": 1.0,
        "training.epochs": 50,
        "training.batch_size": 128,
        "training.sparse": False,
    },
    "cryodrgn": {
        "decoder.kind": "mlp",
        "decoder.output": "complex",
        "training.batch_size": 16,
        "training.learning_rate": 3e-4,
        "training.points": 0.5,
        "training.schedule": "constant",
        "training.warmup_epochs": 0,
    },
    "homogeneous": {"z_dim": 0, "decoder.n_bases": 0},
    "cryodrgn2": {
        "decoder.kind": "mlp",
        "decoder.output": "complex",
        "training.batch_size": 16,
        "training.learning_rate": 3e-4,
        "training.schedule": "constant",
        "training.warmup_epochs": 0,
        "poses.inference": "hierarchical",
    },
    "bnb": {
        "decoder.kind": "mlp",
        "decoder.output": "complex",
        "training.batch_size": 16,
        "training.learning_rate": 3e-4,
        "training.schedule": "constant",
        "training.warmup_epochs": 0,
        "poses.inference": "branch_and_bound",
        "poses.spacing_deg": 30.0,
        "poses.levels": 5,
        "poses.kept": 24,
        "poses.shift_steps": 8,
        "poses.search_every": 1,
        "poses.schedule": "search:5, reset, fixed:15",
    },
    "abinitio": {"poses.inference": "hierarchical", "poses.shift_extent": 0.1, "closed_form.free_poses": True},
    "ace": {
        "poses.inference": "amortized",
        "decoder.kind": "mlp",
        "decoder.output": "complex",
        "training.epochs": 30,
        "training.batch_size": 512,
        "training.learning_rate": 1e-4,
        "training.schedule": "constant",
    },
    "cryofold": {
        "z_dim": 1,
        "decoder.kind": "atoms",
        "training.epochs": 10,
        "training.batch_size": 8,
        "training.learning_rate": 1e-4,
        "training.schedule": "constant",
        "training.warmup_epochs": 0,
        "training.precision": "float32",
    },
    "atoms": {
        "z_dim": 1,
        "decoder.kind": "atoms",
        "training.epochs": 20,
        "training.batch_size": 16,
        "training.learning_rate": 3e-3,
        "training.precision": "float32",
        "atoms.first_ang": 20.0,
    },
    "refined_atoms": {
        "decoder.kind": "atoms",
        "encoder.kind": "table",
        "training.epochs": 8,
        "training.batch_size": 16,
        "training.learning_rate": 5e-4,
        "training.precision": "float32",
        "atoms.warmup_epochs": 0,
        "atoms.sigma_ang": 2.0,
        "atoms.elastic": 1.0,
    },
}


def finds_poses(recipe: str) -> bool:
    """Whether a recipe looks for poses itself; the others take those of the star file."""
    return RECIPES[recipe].get("poses.inference", "given") != "given"
