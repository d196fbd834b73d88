"""All settings of a run, and how they are asked for by name."""

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from ..errors import ConfigError
from .atom_settings import AtomsConfig
from .bounds import AtLeast, Means, OneOf
from .building import build, no_such_setting
from .checks import Settings
from .data import DataConfig
from .fitting import ClosedFormConfig, TrainingConfig
from .kinds import BACKENDS
from .nearest import same_name
from .networks import DecoderConfig, EncoderConfig
from .pose_settings import AbInitioConfig, AmortizedConfig, PoseConfig
from .recipe_defaults import RECIPES
from .setting_record import Setting, settings_of, word


@dataclass(frozen=True, kw_only=True)
class RunConfig(Settings):
    particles: str = ""
    """The particles: a RELION star file with poses and CTF."""
    root: str = ""
    """Folder that image paths in the star file are relative to; empty tries the working folder, then the star file's
    folder and its parents."""
    recipe: Annotated[str, OneOf(*RECIPES)] = "fast"
    """fast: closed forms throughout, minutes on a workstation without a GPU. paper: sparse Fourier backpropagation end
    to end. cryodrgn: the coordinate MLP. homogeneous: one map. cryofold: an atomic model that moves, trained as in the
    thesis; atoms: the same in larger steps, from low resolution up; refined_atoms: from a motion that the command atoms
    has found (atoms.start_from), in small ones. These take the poses given;
    abinitio finds them in closed form, cryodrgn2 and bnb search for them while a network trains, ace trains a network
    that reads them off images."""
    z_dim: Annotated[int, AtLeast(0), Means(0, "is one map")] = 8
    """Latent dimensions. 8 suits most data; 1 or 2 when one motion is expected."""
    seed: Annotated[int, AtLeast(0)] = 0
    """Seed of every random choice; the same seed on the same machine gives the same result."""
    device: str = "auto"
    """auto, cpu, or cuda with an index (cuda:0). auto trains networks on a GPU where there is one; closed forms and
    searches for poses then work on the CPU."""
    backend: Annotated[str, OneOf("auto", *BACKENDS)] = "auto"
    """What computes slices in closed forms and searches for poses. auto: numba on the CPU; where device names a GPU
    triton, or torch if Triton cannot work there. torch works anywhere and is slow: a check of the others."""
    data: DataConfig = field(default_factory=DataConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    closed_form: ClosedFormConfig = field(default_factory=ClosedFormConfig)
    poses: PoseConfig = field(default_factory=PoseConfig)
    ab_initio: AbInitioConfig = field(default_factory=AbInitioConfig)
    amortized: AmortizedConfig = field(default_factory=AmortizedConfig)
    atoms: AtomsConfig = field(default_factory=AtomsConfig)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> "RunConfig":
        """Raises ConfigError for whatever is no set of settings."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"These are no settings: {error}.") from None
        return build(cls, values)


def recipe_config(recipe: str, overrides: dict[str, Any] | None = None) -> RunConfig:
    """The configuration of a recipe with `overrides`: dotted names to values, strings converted to the field's type.

    Raises ConfigError for an unknown recipe, name or value.
    """
    setting("recipe").check(recipe)
    given = {same_name(name): value for name, value in (overrides or {}).items()}
    nested: dict[str, Any] = {"recipe": recipe}
    for name, value in {**RECIPES[recipe], **given}.items():
        section, _, leaf = setting(name).name.rpartition(".")
        target = nested.setdefault(section, {}) if section else nested
        target[leaf] = value
    return build(RunConfig, nested)


def setting_names() -> list[str]:
    """Dotted names of all settings, in order."""
    return list(settings_of(RunConfig))


def setting(name: str, source: type = RunConfig) -> Setting:
    """The setting of a dotted name, or of a field of the options `source`.

    Raises ConfigError for an unknown name, with those nearest to it.
    """
    known = settings_of(source)
    if name not in known:
        raise no_such_setting(name, known)
    return known[name]


def explained(item: Setting) -> str:
    """Explanation, default and range, and what recipes make of a setting of a run, as "… (default 32; paper 128)"."""
    if settings_of(RunConfig).get(item.name) != item:
        return item.explained()
    values = recipe_values(item)
    return item.explained(*(f"{recipe} {word(value)}" for recipe, value in values.items() if value != item.default))


def recipe_values(item: Setting, recipes: Iterable[str] = tuple(RECIPES)) -> dict[str, Any]:
    """What each recipe makes of a setting of a run, unless it is given."""
    return {recipe: RECIPES[recipe].get(item.name, item.default) for recipe in recipes}


def with_settings(config: RunConfig, **sections: Any) -> RunConfig:
    """A copy with whole fields replaced; nested fields as `training={"epochs": 3}`."""
    changes = {
        name: replace(getattr(config, name), **value) if isinstance(value, dict) else value
        for name, value in sections.items()
    }
    return replace(config, **changes)


def differing_settings(base: RunConfig, config: RunConfig) -> dict[str, Any]:
    """The settings of `config` that are not as in `base`, dotted names to values."""
    before = flat_settings(base)
    return {name: value for name, value in flat_settings(config).items() if value != before[name]}


def flat_settings(config: RunConfig) -> dict[str, Any]:
    """Dotted setting names to values."""
    flat: dict[str, Any] = {}
    for name, value in dataclasses.asdict(config).items():
        flat.update({f"{name}.{leaf}": v for leaf, v in value.items()} if isinstance(value, dict) else {name: value})
    return flat
