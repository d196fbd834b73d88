"""Names and types of what the protocols give, as the host's `_possibleOutputs`."""

from enum import Enum

from pwem.objects import (
    SetOfClasses3D,
    SetOfParticles,
    SetOfParticlesFlex,
    SetOfVolumes,
    SetOfVolumesFlex,
    Volume,
)


class SimulateOutputs(Enum):
    """Outputs of *simulate particles*."""

    outputParticles = SetOfParticles
    outputVolumes = SetOfVolumes


class TrainOutputs(Enum):
    """Outputs of *train heterogeneity*."""

    outputParticles = SetOfParticlesFlex
    outputVolume = Volume


class AnalyzeOutputs(Enum):
    """Outputs of *analyze heterogeneity*."""

    outputVolumes = SetOfVolumes
    outputVolumesFlex = SetOfVolumesFlex
    outputClasses = SetOfClasses3D
    outputParticles = SetOfParticlesFlex
