"""An atomic model as tensors, so that what is made of it can be stored without the file that it was read from."""

import numpy as np
import torch
from torch import Tensor

from .atomic_model import AtomicModel

LEAST_WIDTH = 8
"""Bytes of the name of a chain, an atom or a residue; more where a name is longer."""
PREFIX = "model_"


def packed(model: AtomicModel) -> dict[str, Tensor]:
    """Tensors by name: coordinates (n, 3) float64, weights (n,), residue numbers (n,) and texts (n, 3, W) bytes."""
    residues = np.full(len(model), "") if model.residue_names is None else model.residue_names
    columns = (model.chains, model.names, residues)
    texts = np.stack([np.char.encode(column, "utf-8") for column in columns], axis=1)
    width = max(LEAST_WIDTH, texts.dtype.itemsize)
    letters = np.ascontiguousarray(texts.astype(f"S{width}")).view(np.uint8).reshape(len(model), 3, width)
    return {
        f"{PREFIX}coords_ang": torch.from_numpy(np.array(model.coords_ang, dtype=np.float64)),
        f"{PREFIX}weights": torch.from_numpy(np.array(model.weights, dtype=np.float32)),
        f"{PREFIX}residues": torch.from_numpy(np.array(model.residues, dtype=np.int64)),
        f"{PREFIX}texts": torch.from_numpy(letters.copy()),
    }


def unpacked(tensors: dict[str, Tensor]) -> AtomicModel:
    """The model of `packed` tensors, which may be among others."""
    coords, weights, residues, letters = (
        tensors[f"{PREFIX}{name}"].cpu().numpy() for name in ("coords_ang", "weights", "residues", "texts")
    )
    texts = np.ascontiguousarray(letters).view(f"S{letters.shape[-1]}")[..., 0]
    chains, names, residue_names = (np.char.decode(column, "utf-8") for column in texts.T)
    known = residue_names if np.any(residue_names != "") else None
    return AtomicModel(coords.astype(np.float64), weights, chains, residues, names, known)
