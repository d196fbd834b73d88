"""The host finds the plugin, its forms say what the engine says, and a wrong form is refused in a sentence."""

import dataclasses
import json
from configparser import ConfigParser
from pathlib import Path

import pytest

pytest.importorskip("pwem")

from pwem import Domain

import cryodrgn_plugin
from cryodrgn_plugin.engine import config
from cryodrgn_plugin.engine.agreement.agreement_options import AgreementOptions
from cryodrgn_plugin.engine.analysis.analysis_options import AnalysisOptions
from cryodrgn_plugin.engine.atomic_motion.atoms_options import AtomsOptions
from cryodrgn_plugin.engine.errors import ConfigError
from cryodrgn_plugin.engine.importing.import_options import ImportOptions
from cryodrgn_plugin.engine.landscape.landscape_options import LandscapeOptions, TrajectoryOptions
from cryodrgn_plugin.engine.preflight.preflight_options import PreflightOptions
from cryodrgn_plugin.engine.selection.export_options import ExportOptions
from cryodrgn_plugin.engine.selection.selection_options import SelectOptions
from cryodrgn_plugin.engine.selection.subtract_options import SubtractOptions
from cryodrgn_plugin.engine.simulate.config import SimulationConfig
from cryodrgn_plugin.engine.states.state_options import StatesOptions
from cryodrgn_plugin.engine.validation.validation_options import ValidateOptions
from cryodrgn_plugin.protocols import (
    protocol_ab_initio,
    protocol_agreement,
    protocol_analyze,
    protocol_atoms,
    protocol_export,
    protocol_import,
    protocol_landscape,
    protocol_preflight,
    protocol_refine_poses,
    protocol_select,
    protocol_simulate,
    protocol_states,
    protocol_subtract,
    protocol_train,
    protocol_trajectory,
    protocol_validate,
)
from cryodrgn_plugin.protocols.form_settings import RECIPE_CHOICE, typed
from cryodrgn_plugin.protocols.gpus import gpus

from .scipion_project import new_protocol, project_named

DEMO = ("ProtHetSimulate", "ProtHetTrain", "ProtHetAnalyze")
NAMES = (
    *(*DEMO, "ProtHetAbInitio", "ProtHetAgreement", "ProtHetRefinePoses", "ProtHetPreflight"),
    *("ProtHetLandscape", "ProtHetTrajectory", "ProtHetStates", "ProtHetAtoms"),
    *("ProtHetValidate", "ProtHetSelect", "ProtHetSubtract", "ProtHetImport", "ProtHetExport"),
)


DEVICE = "auto" if gpus() else "cpu"
"""What a form says of it that nobody has changed."""


@pytest.fixture(scope="module")
def project(scipion):
    with project_named("forms") as made:
        yield made


@pytest.mark.parametrize("name", NAMES)
def test_the_host_finds_each_protocol_under_the_plugins_name(name, scipion):
    protocol = Domain.getProtocols()[name]
    assert protocol.getPlugin().getName() == "cryodrgn_plugin"
    assert protocol.getClassLabel().startswith("HetEM - ")
    assert Path(protocol.getPluginLogoPath()).exists()
    assert protocol.isInstalled()


def test_the_host_finds_the_viewer_and_the_wizard(scipion):
    viewers = {
        "HetAgreementViewer",
        "HetExplorerViewer",
        "HetPreflightViewer",
        "HetSubtractionViewer",
        "HetValidationViewer",
    }
    assert viewers <= set(Domain.getViewers())
    wizards = {f"Het{name}Wizard" for name in ("Box", "Centres", "Classes", "Lasso", "Rule", "Spectrum", "Window")}
    assert wizards <= set(Domain.getWizards())


def test_every_protocol_has_its_place_in_both_trees():
    parser = ConfigParser()
    parser.optionxform = str
    parser.read(Path(cryodrgn_plugin.__file__).with_name("protocols.conf"))
    trees = {name: json.loads(parser.get("PROTOCOLS", name)) for name in parser.options("PROTOCOLS")}
    assert set(trees) == {"Protocols SPA", "Flexibility Hub"}
    for tree in trees.values():
        assert set(_protocols(tree)) == set(NAMES)


def _protocols(nodes):
    for node in nodes:
        if node["tag"] == "protocol":
            yield node["value"]
        yield from _protocols(node.get("children", []))


ENGINE_SETTINGS = [
    (name, item)
    for name, module in (("ProtHetTrain", protocol_train), ("ProtHetAbInitio", protocol_ab_initio))
    for item in module.SETTINGS
]


@pytest.mark.parametrize("name, item", ENGINE_SETTINGS, ids=lambda value: getattr(value, "param", value))
def test_a_parameter_has_the_engines_default_and_help(name, item, project):
    parameter = new_protocol(project, name).getDefinition().getParam(item.param)
    setting = config.setting(item.setting)
    assert parameter.help.get().lower().startswith(setting.help.lower())
    if item.by_recipe:
        assert all(recipe in parameter.help.get() for recipe in item.recipes)
    else:
        assert item.value(new_protocol(project, name)) == setting.default


OPTIONS = [
    (name, item)
    for name, options in (
        ("ProtHetSimulate", protocol_simulate.IMAGES + protocol_simulate.REALITY),
        ("ProtHetRefinePoses", protocol_refine_poses.REFINEMENT),
        ("ProtHetAgreement", protocol_agreement.OPTIONS),
        ("ProtHetAnalyze", protocol_analyze.OPTIONS),
        ("ProtHetPreflight", protocol_preflight.OPTIONS),
        ("ProtHetLandscape", protocol_landscape.OPTIONS),
        ("ProtHetTrajectory", protocol_trajectory.OPTIONS),
        ("ProtHetStates", protocol_states.OPTIONS),
        ("ProtHetAtoms", protocol_atoms.OPTIONS),
        ("ProtHetValidate", protocol_validate.OPTIONS),
        ("ProtHetSelect", protocol_select.OPTIONS),
        ("ProtHetSubtract", protocol_subtract.OPTIONS),
        ("ProtHetImport", protocol_import.OPTIONS),
        ("ProtHetExport", protocol_export.OPTIONS),
    )
    for item in options
]


@pytest.mark.parametrize("name, item", OPTIONS, ids=lambda value: getattr(value, "param", value))
def test_an_option_has_the_engines_default_and_help(name, item, project):
    protocol = new_protocol(project, name)
    assert item.value(protocol) == getattr(item.source, item.setting)
    shown = protocol.getDefinition().getParam(item.param).help.get()
    assert shown.lower().startswith(config.field_help(item.source)[item.setting].lower())


@pytest.mark.parametrize("name, item", ENGINE_SETTINGS + OPTIONS, ids=lambda value: getattr(value, "param", value))
def test_a_parameter_offers_what_its_setting_allows(name, item, project):
    setting = config.setting(item.setting, item.source)
    parameter = new_protocol(project, name).getDefinition().getParam(item.param)
    if setting.choices:
        assert [word for word in parameter.choices if word != RECIPE_CHOICE] == list(setting.choices)
    elif setting.range:
        assert f"\nAllowed: {setting.range}." in parameter.help.get()


LEFT_TO_THE_FORM = {
    SimulationConfig: {
        "pixel_size_ang",
        "resolution_ang",
        "ctf",
        "ctf_rows",
        "defocus_ang",
        "phase_shift_deg",
        "optics",
    }
    | {"tilt_deg", "particles_per_micrograph", "float16", "keep_clean", "image_prefix"},
    AgreementOptions: set(),
    AnalysisOptions: set(),
    PreflightOptions: {"root", "passthrough"},
    LandscapeOptions: {"mask", "match"},
    TrajectoryOptions: {"anchors", "points", "name", "volumes"},
    StatesOptions: {"particles", "points", "mask"},
    AtomsOptions: {"model"},
    ValidateOptions: set(),
    SelectOptions: {"name", "lasso", "listed", "original", "same_order", "annotate"},
    SubtractOptions: set(),
    ImportOptions: {"latents", "root", "passthrough", "pixel_size_ang"},
    ExportOptions: {"program", "only"},
}
"""Options that a form sets by other means, or that mean nothing in Scipion."""


@pytest.mark.parametrize("source", LEFT_TO_THE_FORM, ids=lambda source: source.__name__)
def test_every_option_of_the_engine_is_in_a_form(source):
    shown = {item.setting for _, item in OPTIONS if item.source is source}
    assert shown | LEFT_TO_THE_FORM[source] == {field.name for field in dataclasses.fields(source)}


@pytest.mark.parametrize(
    ("target", "z_dim", "species"),
    [(protocol_ab_initio.RIGID, 0, 1), (protocol_ab_initio.MOVING, 8, 1), (protocol_ab_initio.MIXTURE, 0, 0)],
)
def test_what_is_looked_for_decides_latent_space_and_species(target, z_dim, species, project):
    made = new_protocol(project, "ProtHetAbInitio", target=target)._config()
    expected = config.recipe_config("abinitio", {"z_dim": z_dim, "ab_initio.species": species, "device": DEVICE})
    assert made == expected


def test_a_number_of_species_and_a_search_reach_the_engine(project):
    values = {"target": protocol_ab_initio.MIXTURE, "species": "5", "rounds": 12, "kept": 3, "box": 48}
    made = new_protocol(project, "ProtHetAbInitio", **values)._config()
    assert (made.ab_initio.species, made.ab_initio.rounds, made.poses.kept, made.data.box) == (5, 12, 3, 48)


@pytest.mark.parametrize("recipe", range(4))
def test_an_untouched_form_is_the_recipe_itself(recipe, project):
    protocol = new_protocol(project, "ProtHetTrain", recipe=recipe)
    assert protocol._config() == config.recipe_config(protocol_train.RECIPES[recipe], {"device": DEVICE})


def test_what_is_typed_as_other_settings_beats_the_form(project):
    typed_words = "training.epochs=9 decoder.layers=2"
    protocol = new_protocol(project, "ProtHetTrain", recipe=1, epochs=7, otherSettings=typed_words)
    assert protocol._config().training.epochs == 9
    assert protocol._config().decoder.layers == 2


def test_a_mask_beats_a_sphere_as_the_focus(project):
    from pwem.objects import VolumeMask

    protocol = new_protocol(project, "ProtHetTrain", focus="0,0,40,20")
    assert protocol._config().closed_form.focus == "0,0,40,20"
    mask = VolumeMask()
    mask.setFileName("part.mrc")
    protocol.focusMask.set(mask)
    assert protocol._config().closed_form.focus == "part.mrc"


def test_several_masks_are_several_regions_and_those_of_one_name_are_numbered(project):
    from pwem.objects import VolumeMask
    from pyworkflow.object import Pointer

    def pointer(file):
        mask = VolumeMask()
        mask.setFileName(file)
        return Pointer(mask)

    protocol = new_protocol(project, "ProtHetTrain")
    protocol.focusMask.set(pointer("Runs/1/arm.mrc").get())
    protocol.moreMasks.append(pointer("Runs/2/foot.mrc"))
    assert protocol._config().closed_form.focus == "Runs/1/arm.mrc;Runs/2/foot.mrc"
    protocol.moreMasks.append(pointer("Runs/3/arm.mrc"))
    expected = "part_1=Runs/1/arm.mrc;part_2=Runs/2/foot.mrc;part_3=Runs/3/arm.mrc"
    assert protocol._config().closed_form.focus == expected


def test_a_word_without_an_equals_sign_is_refused():
    with pytest.raises(ConfigError, match=r"section\.name=value"):
        typed("training.epochs 5")


def test_training_blocks_end_at_the_last_epoch_and_the_fast_recipe_has_one(project):
    ends = new_protocol(project, "ProtHetTrain", recipe=2, epochs=7)._blockEnds()
    assert ends[-1] == 7 and ends == sorted(set(ends)) and len(ends) == protocol_train.MAX_BLOCKS
    assert new_protocol(project, "ProtHetTrain", recipe=0)._blockEnds() == [None]


def test_two_models_are_needed_to_simulate_ones_own(project):
    protocol = new_protocol(project, "ProtHetSimulate", source=protocol_simulate.MODELS)
    assert protocol._validate() == ["Choose two models, or simulate a ready-made molecule."]


def test_a_form_that_was_not_changed_leaves_the_images_to_the_molecule(project):
    protocol = new_protocol(project, "ProtHetSimulate", preset=protocol_simulate.PRESET_NAMES.index("real_ribosome"))
    assert protocol._arguments() == ["--preset", "real_ribosome", "--states", "50", "--seed", "0"]
    assert protocol._snr() == 0.05


def test_what_is_changed_in_the_form_reaches_the_engine(project):
    values = {"views": 2, "poseError": 1.5, "noiseSpectrum": "ice", "junk": 0.2, "oneState": True, "snr": 0.3}
    protocol = new_protocol(project, "ProtHetSimulate", **values)
    words = " ".join(protocol._arguments())
    for option in ("--views top", "--pose-error-deg 1.5", "--noise-spectrum ice", "--junk-share 0.2", "--one-state"):
        assert option in words
    assert protocol._snr() == 0.3


def test_the_engines_complaint_about_a_setting_reaches_the_form(project):
    errors = new_protocol(project, "ProtHetSimulate", snr=-1.0)._validate()
    assert errors == ["snr is -1.0; it must be positive (inf adds no noise)."]


def test_the_template_makes_the_whole_workflow(scipion):
    (template,) = Domain.getPluginModule("cryodrgn_plugin")._pluginInstance.getTemplates()
    assert template.description.startswith("Adenylate kinase")
    template.replaceEnvVariables()
    template.parseContent()
    template.setParamValue("particles", "123")
    with project_named("template") as made:
        made.loadProtocols(template.createTemplateFile())
        runs = {protocol.getClassName(): protocol for protocol in made.getRuns()}
    assert set(runs) == set(DEMO)
    assert runs["ProtHetSimulate"].nParticles.get() == 123
    assert runs["ProtHetTrain"].inputParticles.getUniqueId().endswith("outputParticles")
    assert runs["ProtHetAnalyze"].inputParticles.getObjValue().getObjId() == runs["ProtHetTrain"].getObjId()


def test_the_workflow_that_import_workflow_reads_is_the_template_as_it_is_offered(scipion):
    """Scipion's menu reads plain JSON, in which a template's fields are no values."""
    templates = Path(cryodrgn_plugin.__file__).with_name("templates")
    text = (templates / "heterogeneity_demo.json.template").read_text().partition("\n")[2]
    offered = "".join(part.split("|")[1] if k % 2 else part for k, part in enumerate(text.split("~")))
    workflow = templates / "heterogeneity_demo.json"
    assert json.loads(workflow.read_text()) == json.loads(offered)
    with project_named("workflow_menu") as made:
        made.loadProtocols(str(workflow))
        runs = {protocol.getClassName(): protocol for protocol in made.getRuns()}
    assert set(runs) == set(DEMO) and runs["ProtHetAnalyze"].inputParticles.getObjValue() is not None


@pytest.mark.parametrize("name", NAMES)
def test_citations_resolve(name, project):
    protocol = new_protocol(project, name)
    assert all("[[" in text for text in protocol.getCitations().values())
    assert any("Kimanius" in line for line in protocol.citations())
