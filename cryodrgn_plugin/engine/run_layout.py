"""Names of the files in a run folder, in one place. docs/run_folder.md says what is in each."""

import shutil
from pathlib import Path

CONTENTS = (
    *("config.json", "run.json", "run.log", "metrics.csv", "latents.npz", "poses.star"),
    *("model.pt", "half1.pt", "half2.pt", "checkpoints", "volumes", "analysis", "figures"),
    *("landscape", "trajectories", "states", "validation", "validating", "selections", "outliers.npz"),
)
"""Everything a run may contain; overwriting removes these and nothing else."""


class RunLayout:
    """Where each file of the run folder `path` is."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def config_file(self) -> Path:
        return self.path / "config.json"

    @property
    def info_file(self) -> Path:
        return self.path / "run.json"

    @property
    def log_file(self) -> Path:
        return self.path / "run.log"

    @property
    def metrics_file(self) -> Path:
        return self.path / "metrics.csv"

    @property
    def latents_file(self) -> Path:
        return self.path / "latents.npz"

    @property
    def poses_file(self) -> Path:
        return self.path / "poses.star"

    @property
    def model_file(self) -> Path:
        return self.path / "model.pt"

    def half_file(self, half: int) -> Path:
        """The closed-form bases of half-set 1 or 2."""
        return self.path / f"half{half}.pt"

    @property
    def checkpoints_dir(self) -> Path:
        return self.path / "checkpoints"

    def checkpoint_file(self, epoch: int) -> Path:
        return self.checkpoints_dir / f"epoch_{epoch:03d}.pt"

    @property
    def pose_checkpoint_file(self) -> Path:
        """Where a search for poses stands; trainings that follow it keep theirs beside it."""
        return self.checkpoints_dir / "poses.pt"

    def latest_checkpoint(self) -> Path | None:
        """The checkpoint of the highest epoch, or None."""
        found = [file for file in self.checkpoints_dir.glob("epoch_*.pt") if file.stem[6:].isdigit()]
        return max(found, key=lambda file: int(file.stem[6:]), default=None)

    @property
    def volumes_dir(self) -> Path:
        return self.path / "volumes"

    def found_map_file(self, species: int, which: str = "") -> Path:
        """A map of species 1, 2, … whose poses the run has found; `which`: half1, half2, other_hand."""
        return self.volumes_dir / "ab_initio" / f"map_{species:03d}{'_' * bool(which)}{which}.mrc"

    @property
    def analysis_dir(self) -> Path:
        return self.path / "analysis"

    @property
    def landscape_dir(self) -> Path:
        return self.path / "landscape"

    def trajectory_dir(self, name: str) -> Path:
        """The maps along one path through the latent space."""
        return self.path / "trajectories" / name

    @property
    def states_dir(self) -> Path:
        return self.path / "states"

    @property
    def validation_dir(self) -> Path:
        return self.path / "validation"

    @property
    def validating_dir(self) -> Path:
        """Trainings on halves of the particles, of a validation that has not finished."""
        return self.path / "validating"

    def selection_dir(self, name: str) -> Path:
        """One choice of particles, with why each was chosen."""
        return self.path / "selections" / name

    @property
    def outliers_file(self) -> Path:
        """What the images say of each particle, kept for later selections."""
        return self.path / "outliers.npz"

    @property
    def figures_dir(self) -> Path:
        return self.path / "figures"

    def remove_contents(self) -> None:
        """Remove whatever a run has put into the folder; other files stay."""
        for name in CONTENTS:
            target = self.path / name
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)
