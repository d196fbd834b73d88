"""What a user runs to see that the plugin works in their Scipion:

scipion3 test cryodrgn_plugin.tests.hosts.test_scipion_installation.TestHetInstallation
"""

import os

import pytest

pytest.importorskip("pwem")

from pyworkflow.tests import BaseTest, setupTestProject

from cryodrgn_plugin.protocols import ProtHetSimulate, ProtHetTrain

pytestmark = pytest.mark.usefixtures("scipion")


class TestHetInstallation(BaseTest):
    """Particles are simulated and a motion is found in them, in a minute."""

    @classmethod
    def setUpClass(cls):
        cls.folder = os.getcwd()
        setupTestProject(cls)

    @classmethod
    def tearDownClass(cls):
        os.chdir(cls.folder)

    def test_simulated_particles_get_latent_coordinates(self):
        simulated = self.newProtocol(ProtHetSimulate, nParticles=100, box=16, states=4, pixelSize=8.0, snr=1.0)
        self.launchProtocol(simulated)
        self.assertEqual(simulated.outputParticles.getSize(), 100)
        trained = self.newProtocol(ProtHetTrain, zDim=1, iterations=2, nComponents=2)
        trained.inputParticles.set(simulated)
        trained.inputParticles.setExtended("outputParticles")
        self.launchProtocol(trained)
        self.assertEqual(trained.outputParticles.getSize(), 100)
        self.assertEqual(len(trained.outputParticles.getFirstItem().getZFlex()), 1)
