"""Wizards beside form parameters."""

from .wizard_box import HetBoxWizard
from .wizard_centres import HetCentresWizard
from .wizard_classes import HetClassesWizard
from .wizard_lasso import HetLassoWizard
from .wizard_rule import HetRuleWizard
from .wizard_spectrum import HetSpectrumWizard
from .wizard_window import HetWindowWizard

__all__ = [
    "HetBoxWizard",
    "HetCentresWizard",
    "HetClassesWizard",
    "HetLassoWizard",
    "HetRuleWizard",
    "HetSpectrumWizard",
    "HetWindowWizard",
]
