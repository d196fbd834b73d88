"""Wizards of a real project on a virtual screen: what they show is true, and what is chosen arrives in the form."""

import numpy as np
import pytest

pytest.importorskip("pwem")

from pyworkflow.gui.dialog import RESULT_YES

from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.wizards import HetClassesWizard, HetRuleWizard, HetSpectrumWizard, HetWindowWizard
from cryodrgn_plugin.wizards.average_image import average_image
from cryodrgn_plugin.wizards.class_counts import class_counts
from cryodrgn_plugin.wizards.wizard_rule import columns_of

from .patience import Patience
from .scipion_project import forget_pictures, new_protocol

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Form:
    """As much of the host's form as a wizard uses."""

    def __init__(self, root, protocol):
        self.root, self.protocol, self.values = root, protocol, {}

    def setVar(self, name, value):
        self.values[name] = value


@pytest.fixture(scope="module")
def root(screen):
    import tkinter as tk

    before = tk._default_root  # of a window of another test, whose icons are drawn for it
    if before is None:
        forget_pictures()
    made = tk.Toplevel()
    yield made
    made.destroy()
    if before is None:
        tk._default_root.destroy()
        forget_pictures()


@pytest.fixture
def flow(workflow):
    with workflow.inside():
        yield workflow


def form_of(flow, root, name, source):
    inputs = {"inputParticles": (source, "outputParticles")}
    return Form(root, new_protocol(flow.project, name, inputs))


def shown(wizard, form, act, until=lambda dialog: True):
    """Show a wizard, let `act` work in its dialog once it is there and `until` is true of it, and press Select."""
    patience = Patience(60)

    def look():
        there = form.root.winfo_children()
        dialogs = [each for each in there if hasattr(each, "_handleResult") and each.winfo_viewable()]
        if (not dialogs or not until(dialogs[-1])) and not patience.is_over():
            form.root.after(100, look)
            return
        act(dialogs[-1])
        dialogs[-1].update()
        dialogs[-1]._handleResult(RESULT_YES)

    form.root.after(100, look)
    wizard().show(form)
    return form.values


def test_the_number_of_classes_is_chosen_from_a_table(flow, root):
    form = form_of(flow, root, "ProtHetAnalyze", flow.trained)
    assert shown(HetClassesWizard, form, lambda dialog: dialog.select(2)) == {"clusters": 4}


def test_three_groups_are_told_by_what_three_classes_explain():
    rng = np.random.default_rng(0)
    z = np.concatenate([rng.normal(centre, 0.05, (200, 2)) for centre in ((0, 0), (3, 0), (0, 3))])
    explained = {item.count: item.explained for item in class_counts(z)}
    assert explained[3] > 0.99 > 0.9 > explained[2] and explained[4] - explained[3] < 0.01
    assert {item.count: item.smallest for item in class_counts(z)}[3] == pytest.approx(1 / 3)


def test_a_column_is_added_to_the_rule(flow, root):
    form = form_of(flow, root, "ProtHetSelect", flow.analyzed)
    columns = columns_of(Run.open(flow.analyzed.getRunFolder()))
    assert {"z1", "pc1", "cluster", "rlnDefocusU"} <= set(columns)
    form.protocol.rule.set("cluster == 1")
    place = list(columns).index("z1")
    values = shown(HetRuleWizard, form, lambda dialog: dialog.select(place))
    assert values == {"rule": f"cluster == 1 and z1 > {np.median(columns['z1']):.4g}"}


def test_the_window_is_drawn_on_the_average_of_the_images(flow, root):
    image = average_image(flow.simulated.outputParticles)
    size = len(image)
    y, x = np.mgrid[:size, :size] - size // 2
    inside = np.hypot(x, y) < size / 4
    assert image[inside].mean() > image[~inside].mean() + 3 * image[~inside].std()
    form = form_of(flow, root, "ProtHetTrain", flow.simulated)
    assert shown(HetWindowWizard, form, lambda dialog: dialog.radius.set(0.6)) == {"window": 0.6}


def test_the_latent_dimensions_follow_from_the_directions_above_noise(flow, root):
    form = form_of(flow, root, "ProtHetTrain", flow.simulated)
    seen = []
    values = shown(HetSpectrumWizard, form, lambda d: seen.append(d.spectrum), lambda d: d.spectrum is not None)
    (spectrum,) = seen
    assert spectrum.images == flow.N and spectrum.information[0] > spectrum.of_noise
    assert values == {"zDim": max(spectrum.count + 1, 2)}
