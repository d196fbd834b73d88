"""Every setting of a run, as frozen dataclasses that travel as JSON. Imports neither torch nor any host.

A field's explanation is the string below it, its bounds are annotated on it (`bounds`), and all that a front needs to
know of it is a `Setting`; command line, Scipion forms and RELION's labels are made from these and cannot drift apart. A
recipe is a set of defaults (`RECIPES`); every setting can be given on top of it.
"""

from .atom_settings import AtomsConfig
from .building import build, converted
from .checks import Settings, require
from .data import DataConfig
from .explanations import field_help
from .fitting import ClosedFormConfig, TrainingConfig
from .machine_memory import machine_memory_mb
from .memory_estimate import MemoryNeeds, memory_needs
from .nearest import nearest_names, same_name
from .networks import DecoderConfig, EncoderConfig
from .pose_settings import AbInitioConfig, AmortizedConfig, PoseConfig
from .recipe_defaults import RECIPES, finds_poses
from .run_config import (
    RunConfig,
    differing_settings,
    explained,
    flat_settings,
    recipe_config,
    recipe_values,
    setting,
    setting_names,
    with_settings,
)
from .setting_record import Setting, settings_of, word

__all__ = [
    "RECIPES",
    "AbInitioConfig",
    "AmortizedConfig",
    "AtomsConfig",
    "ClosedFormConfig",
    "DataConfig",
    "DecoderConfig",
    "EncoderConfig",
    "MemoryNeeds",
    "PoseConfig",
    "RunConfig",
    "Setting",
    "Settings",
    "TrainingConfig",
    "build",
    "converted",
    "differing_settings",
    "explained",
    "field_help",
    "finds_poses",
    "flat_settings",
    "machine_memory_mb",
    "memory_needs",
    "nearest_names",
    "recipe_config",
    "recipe_values",
    "require",
    "same_name",
    "setting",
    "setting_names",
    "settings_of",
    "with_settings",
    "word",
]
