"""Every setting of a run, as frozen dataclasses that travel as JSON. Imports neither torch nor any host.

A field's explanation is the string below it; the command line, the Scipion forms and RELION's help are made from it
(`field_help`), and form defaults are these defaults, so the fronts cannot drift apart. A recipe is a set of defaults
(`RECIPES`); every setting can be given on top of it.
"""

from .data import DataConfig
from .explanations import field_help
from .fitting import ClosedFormConfig, TrainingConfig
from .networks import DecoderConfig, EncoderConfig
from .pose_settings import AbInitioConfig, AmortizedConfig, PoseConfig
from .recipe_defaults import RECIPES, finds_poses
from .run_config import (
    RunConfig,
    differing_settings,
    flat_settings,
    recipe_config,
    setting,
    setting_names,
    with_settings,
)

__all__ = [
    "RECIPES",
    "AbInitioConfig",
    "AmortizedConfig",
    "ClosedFormConfig",
    "DataConfig",
    "DecoderConfig",
    "EncoderConfig",
    "PoseConfig",
    "RunConfig",
    "TrainingConfig",
    "differing_settings",
    "field_help",
    "finds_poses",
    "flat_settings",
    "recipe_config",
    "setting",
    "setting_names",
    "with_settings",
]
