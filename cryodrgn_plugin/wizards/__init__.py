"""Wizards beside form parameters."""

from .wizard_box import HetBoxWizard
from .wizard_centres import HetCentresWizard
from .wizard_lasso import HetLassoWizard

__all__ = ["HetBoxWizard", "HetCentresWizard", "HetLassoWizard"]
