"""Names and types of what the protocols give, as the host's `_possibleOutputs`."""

from pwem.objects import (
    SetOfAtomStructs,
    SetOfClasses3D,
    SetOfParticles,
    SetOfParticlesFlex,
    SetOfVolumes,
    SetOfVolumesFlex,
    Volume,
)

PARTICLES = "outputParticles"
VOLUME = "outputVolume"
VOLUMES = "outputVolumes"
FLEX_VOLUMES = "outputVolumesFlex"
TRAJECTORY = "outputTrajectory"
CLASSES = "outputClasses"
STATES = "outputStates"
SHARPENED = "outputSharpened"
REGRESSION = "outputRegression"
REJECTED = "outputRejected"
ORIGINAL = "outputOriginal"
ATOM_STRUCTS = "outputAtomStructs"
CORRECTED = "outputCorrected"

SIMULATE_OUTPUTS = {PARTICLES: SetOfParticles, VOLUMES: SetOfVolumes}
TRAIN_OUTPUTS = {PARTICLES: SetOfParticlesFlex, VOLUME: Volume}
AB_INITIO_OUTPUTS = {PARTICLES: SetOfParticles, VOLUME: Volume, VOLUMES: SetOfVolumes, CLASSES: SetOfClasses3D}
AGREEMENT_OUTPUTS = {PARTICLES: SetOfParticles, VOLUMES: SetOfVolumes, CLASSES: SetOfClasses3D}
REFINE_OUTPUTS = {PARTICLES: SetOfParticles, VOLUME: Volume}
ANALYZE_OUTPUTS = {
    VOLUMES: SetOfVolumes,
    FLEX_VOLUMES: SetOfVolumesFlex,
    TRAJECTORY: SetOfVolumesFlex,
    CLASSES: SetOfClasses3D,
    PARTICLES: SetOfParticlesFlex,
}
LANDSCAPE_OUTPUTS = {
    PARTICLES: SetOfParticlesFlex,
    CLASSES: SetOfClasses3D,
    VOLUMES: SetOfVolumes,
    FLEX_VOLUMES: SetOfVolumesFlex,
    STATES: SetOfVolumes,
}
TRAJECTORY_OUTPUTS = {VOLUMES: SetOfVolumes, FLEX_VOLUMES: SetOfVolumesFlex}
PREFLIGHT_OUTPUTS = {VOLUME: Volume}
STATES_OUTPUTS = {
    VOLUMES: SetOfVolumes,
    FLEX_VOLUMES: SetOfVolumesFlex,
    SHARPENED: SetOfVolumes,
    REGRESSION: SetOfVolumes,
}
ATOMS_OUTPUTS = {
    PARTICLES: SetOfParticlesFlex,
    ATOM_STRUCTS: SetOfAtomStructs,
    VOLUMES: SetOfVolumes,
    FLEX_VOLUMES: SetOfVolumesFlex,
    CORRECTED: Volume,
}
SELECT_OUTPUTS = {PARTICLES: SetOfParticlesFlex, REJECTED: SetOfParticlesFlex, ORIGINAL: SetOfParticles}
SUBTRACT_OUTPUTS = {PARTICLES: SetOfParticles}
IMPORT_OUTPUTS = {PARTICLES: SetOfParticlesFlex}
VALIDATE_OUTPUTS = {PARTICLES: SetOfParticlesFlex}
