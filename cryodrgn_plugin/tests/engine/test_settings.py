"""Every bound annotated on a setting is kept, whichever front the value comes from, and said in one sentence."""

import dataclasses
import importlib
import math
import pkgutil
import re

import pytest

import cryodrgn_plugin.engine
from cryodrgn_plugin.engine.config import (
    RunConfig,
    Settings,
    build,
    explained,
    field_help,
    nearest_names,
    recipe_config,
    setting,
    settings_of,
)
from cryodrgn_plugin.engine.config.bounds import (
    AtLeast,
    AtMost,
    Between,
    Even,
    FolderName,
    LessThan,
    Means,
    MoreThan,
    NumberOr,
    OneOf,
    Rising,
)
from cryodrgn_plugin.engine.config.setting_record import own_settings, sections
from cryodrgn_plugin.engine.errors import ConfigError
from cryodrgn_plugin.engine.selection.selection_options import SelectOptions

NEEDED = {SelectOptions: {"clusters": "1"}}
"""What a class cannot be made without: its defaults select nothing."""
TOGETHER = {
    "significance": {"permutations": 10_000_000},
    "permutations": {"significance": 0.5},
    "poses.last_radius": {"first_radius": 1},
    "kind": {"points": "z.txt"},
}
"""What a setting needs beside it to reach the end of its range."""


def settings_modules() -> list:
    """The modules of the engine in which settings stand: config, and …_options."""
    names = [
        module.name for module in pkgutil.walk_packages(cryodrgn_plugin.engine.__path__, "cryodrgn_plugin.engine.")
    ]
    return [importlib.import_module(name) for name in names if ".config" in name or name.endswith("_options")]


def settings_classes() -> list[type]:
    """Every settings class of the engine."""
    settings_modules()
    return sorted(Settings.__subclasses__(), key=lambda cls: cls.__name__)


BOUNDED = [(one, bound) for cls in settings_classes() for one in own_settings(cls) for bound in one.bounds]


def step(one) -> float:
    """How far beyond a limit the next value is."""
    return 1 if one.kind is int else 1e-6


def outside(one, bound) -> list:
    """Values that break a bound, and as little as they can."""
    match bound:
        case AtLeast():
            return [bound.least - step(one)]
        case MoreThan() | LessThan():
            return [bound.limit]
        case AtMost():
            return [bound.most + step(one)]
        case Between():
            return [bound.least - step(one), bound.most + step(one)]
        case Even():
            return [inside(one, bound)[0] + 1]
        case Rising():
            return [(2.0, 1.0)]
        case OneOf():
            return ["nonesuch", *(words.upper() for words in bound.words)]
        case NumberOr():
            return ["many", "-1", "1.5", ""]
        case FolderName():
            return ["a/b", "..", "a b"]
    raise AssertionError(f"this test does not know {bound}")


def inside(one, bound) -> list:
    """Values on a bound."""
    match bound:
        case AtLeast():
            return [bound.least]
        case MoreThan():
            return [bound.limit + step(one)]
        case LessThan():
            return [bound.limit - step(one)]
        case AtMost():
            return [bound.most]
        case Between():
            return [bound.least, bound.most]
        case Even():
            return [next(other.least for other in one.bounds if isinstance(other, AtLeast))]
        case Rising():
            return [(1.0, 1.0), (1.0, 2.0)]
        case OneOf():
            return list(bound.words)
        case NumberOr():
            return ["0", "12", bound.word]
        case FolderName():
            return ["a", "a-b_1"]
    raise AssertionError(f"this test does not know {bound}")


def made_with(one, value):
    """The settings class with one setting at `value`, and what must follow it."""
    changes = {**NEEDED.get(one.owner, {}), **TOGETHER.get(one.name, {}), one.field: value}
    return one.owner(**changes)


def allowed_otherwise(one, value) -> bool:
    return any(item.value == value for item in one.annotations if isinstance(item, Means))


@pytest.mark.parametrize(("one", "bound"), BOUNDED, ids=lambda value: getattr(value, "name", type(value).__name__))
def test_a_value_outside_a_bound_is_refused_and_one_on_it_is_not(one, bound):
    for value in outside(one, bound):
        if allowed_otherwise(one, value):
            continue
        shown = repr(value) if isinstance(value, str) else value
        with pytest.raises(ConfigError, match=re.escape(f"{one.name} is {shown}; ")) as raised:
            made_with(one, value)
        assert bound.verb in str(raised.value) and bound.phrase in str(raised.value)
        assert str(raised.value).endswith(".") and str(raised.value).count("\n") == 0
    for value in inside(one, bound):
        assert getattr(made_with(one, value), one.field) == value


@pytest.mark.parametrize("cls", settings_classes(), ids=lambda cls: cls.__name__)
def test_every_setting_is_explained_and_its_default_is_within_its_bounds(cls):
    assert set(field_help(cls)) >= {one.field for one in own_settings(cls)}
    for one in own_settings(cls):
        one.check(one.default)
        assert len({bound.verb for bound in one.bounds}) <= 1, f"{one.name}: one sentence cannot say these bounds"
        for item in one.annotations:
            if isinstance(item, Means):
                assert getattr(made_with(one, item.value), one.field) == item.value


def test_a_class_with_bounds_checks_them():
    for module in settings_modules():
        for cls in filter(dataclasses.is_dataclass, vars(module).values()):
            if isinstance(cls, type) and any(one.annotations for one in own_settings(cls)):
                assert issubclass(cls, Settings), (
                    f"{cls.__name__} has bounds and is no Settings, so that nothing checks them"
                )


def test_not_a_number_meets_no_bound_on_numbers():
    numbers = [one for one, _ in BOUNDED if one.kind is float]
    for one in numbers:
        with pytest.raises(ConfigError, match=f"{one.name} is nan; it must be"):
            made_with(one, math.nan)


def test_a_section_of_a_run_is_called_as_its_class_says():
    assert {name: cls.section for name, cls in sections(RunConfig).items()} == {
        name: name for name in sections(RunConfig)
    }
    leaves = {f"{name}.{one.name}" for name, cls in sections(RunConfig).items() for one in dataclasses.fields(cls)}
    assert leaves <= set(settings_of(RunConfig))


def test_what_is_registered_is_what_the_settings_offer():
    from cryodrgn_plugin.engine.decoders.decoder_registry import DECODERS
    from cryodrgn_plugin.engine.encoders.encoder_registry import ENCODERS
    from cryodrgn_plugin.engine.poses.strategy_registry import STRATEGIES

    assert setting("decoder.kind").choices == tuple(DECODERS)
    assert setting("encoder.kind").choices == tuple(ENCODERS)
    assert setting("poses.inference").choices == ("given", *STRATEGIES, "amortized")


def test_an_explanation_ends_with_default_recipes_and_range():
    assert explained(setting("training.points")).endswith("(default 1; cryodrgn 0.5; positive and at most 1)")
    assert explained(setting("data.box")).endswith("(default 0; even and at least 16, or 0)")
    assert explained(setting("random", SelectOptions)).endswith("(default 0; 0 or more)")


def test_a_value_of_another_type_is_explained_alike_for_all_settings():
    for values, sentence in (
        ({"junk_cut": "high"}, "junk_cut is 'high'; it must be a number."),
        ({"rounds": "2.5"}, "rounds is '2.5'; it must be a whole number."),
        ({"junk": "perhaps"}, "junk is 'perhaps'; give yes or no."),
    ):
        with pytest.raises(ConfigError) as raised:
            build(SelectOptions, values)
        assert str(raised.value) == sentence


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("data.bx", ["data.box"]),
        ("epochs", ["training.epochs"]),
        ("trainning.epochs", ["training.epochs"]),
        ("layers", ["decoder.layers", "encoder.layers"]),
        ("z_dims", ["z_dim"]),
    ],
)
def test_a_mistyped_name_is_answered_with_the_nearest_few(typed, meant):
    assert nearest_names(typed, settings_of(RunConfig)) == meant
    with pytest.raises(ConfigError, match=re.escape(", ".join(meant))) as raised:
        recipe_config("fast", {typed: 1})
    assert len(str(raised.value)) < 120


def test_a_name_like_no_other_is_not_answered_with_all():
    with pytest.raises(ConfigError, match="There is no setting 'xyzzy'; the nearest") as raised:
        recipe_config("fast", {"xyzzy": 1})
    assert len(str(raised.value)) < 160


def test_hyphens_count_as_underscores_and_a_section_is_no_setting():
    assert recipe_config("fast", {"training.batch-size": "8"}).training.batch_size == 8
    for name in ("data", "recipe.name"):
        with pytest.raises(ConfigError, match="There is no setting"):
            recipe_config("fast", {name: 1})
