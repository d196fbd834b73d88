"""The names of what can be chosen by a setting and is made elsewhere; a registry of that name makes each.

They stand here, where nothing heavy is imported, and are the keys of their registries, which say so when they differ.
Scipion stores a choice by its place, so new names go to the end.
"""

DECODER_KINDS = ("basis", "mlp")
"""Made by decoders/decoder_registry.py."""

ENCODER_KINDS = ("mlp", "table", "tilt_pair")
"""Made by encoders/encoder_registry.py."""

POSE_SEARCHES = ("hierarchical", "branch_and_bound")
"""Made by poses/strategy_registry.py."""

BACKENDS = ("numba", "torch")
"""Made by slicing/compute.py."""
