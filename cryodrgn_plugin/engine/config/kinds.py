"""What can be chosen by name in a setting, and where it is: the one list that settings, forms and registries share.

A place is module and class in the folder of the family. Nothing is imported here, so that offering a choice loads none
of them. Scipion stores a choice by its place in the list, so new names go to the end.
"""

from importlib import import_module

DECODER_KINDS = {"basis": "basis.BasisDecoder", "mlp": "coordinate_mlp.MlpDecoder", "atoms": "atoms.AtomsDecoder"}
"""In decoders/."""

ENCODER_KINDS = {"mlp": "image_mlp.MlpEncoder", "table": "table.LatentTable", "tilt_pair": "tilt_pair.TiltPairEncoder"}
"""In encoders/."""

POSE_SEARCHES = {
    "hierarchical": "hierarchical.HierarchicalSearch",
    "branch_and_bound": "branch_and_bound.BranchAndBound",
}
"""In poses/."""

BACKENDS = {
    "numba": "numba_backend.NumbaBackend",
    "torch": "torch_backend.TorchBackend",
    "triton": "triton_backend.TritonBackend",
}
"""In slicing/."""


def class_at(place: str, package: str) -> type:
    """The class at a place of a family's package."""
    module, name = place.split(".")
    return getattr(import_module(f".{module}", package), name)


def members(places: dict[str, str], package: str) -> dict[str, type]:
    """Name to class of a family."""
    return {kind: class_at(place, package) for kind, place in places.items()}
