"""What the real_ presets share: settings that make images as a real refinement has them. Imports nothing heavy."""

from collections.abc import Mapping
from typing import Any

REALITY: Mapping[str, Any] = {
    "snr": 0.05,
    "noise_spectrum": "ice",
    "views": "preferred",
    "views_concentration": 5.0,
    "defocus_ang": (8_000.0, 26_000.0),
    "b_factor_ang2": 60.0,
    "contrast_sd": 0.15,
    "pose_error_deg": 1.5,
    "shift_error_px": 0.5,
}
"""Names and values of `SimulationConfig`; what a user gives wins."""
