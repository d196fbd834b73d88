"""Names of the files in a run folder, in one place. docs/run_folder.md says what is in each."""

from pathlib import Path

from .io.writing import former_of, remove
from .result_kinds import KINDS

POSED = ("posed_particles.star", "posed_particles_optimisation_set.star")
"""Particles of tilt series, with the set that RELION 5 reads them by."""
TRAINED = (
    "config.json", "metrics.csv", "latents.npz", "copies.npz", "poses.star", *POSED, "model.pt", "half1.pt", "half2.pt"
)  # fmt: skip
"""What training leaves."""
IMPORTED = ("imported.star",)
"""What importing leaves beside that."""
LEARNT = ("outliers.npz", *(kind.folder for kind in KINDS.values() if kind.folder))
"""What has been found out from that since."""
CONTENTS = (
    *TRAINED, *IMPORTED, *LEARNT, "run.json", "run.log", "checkpoints", "volumes", "figures", "validating", "regions",
    "image_store", "stop_request", "progress.json",
)  # fmt: skip
"""Everything a run may contain; overwriting removes these and nothing else."""
_FIRST, _LAST = ("checkpoints",), ("config.json", "run.json")
"""Of these: whatever interrupts a removal, no checkpoint is left without the file that says of what run it is."""


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
    def stop_file(self) -> Path:
        """A request that the training end, until it has seen it."""
        return self.path / "stop_request"

    @property
    def progress_file(self) -> Path:
        """How far the training is, while it goes on."""
        return self.path / "progress.json"

    @property
    def metrics_file(self) -> Path:
        return self.path / "metrics.csv"

    @property
    def latents_file(self) -> Path:
        return self.path / "latents.npz"

    @property
    def copies_file(self) -> Path:
        """Which particles are copies of others; only where some are."""
        return self.path / "copies.npz"

    @property
    def poses_file(self) -> Path:
        return self.path / "poses.star"

    @property
    def posed_particles_file(self) -> Path:
        """The particles of tilt series where the run has found them to be; poses.star lists their images."""
        return self.path / POSED[0]

    @property
    def imported_file(self) -> Path:
        """The particles of a run that was imported, where no file of theirs says all of them."""
        return self.imported_in(self.path)

    @staticmethod
    def imported_in(path: Path) -> Path:
        """The same, of the run that is to be in the folder `path`."""
        return path / IMPORTED[0]

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

    def has_progress(self) -> bool:
        """Whether there is something to go on from: a checkpoint or a finished model."""
        return self.model_file.exists() or any(self.checkpoints_dir.glob("*.pt"))

    def latest_checkpoint(self) -> Path | None:
        """The checkpoint of the highest epoch, or None."""
        checkpoints = [file for file in self.checkpoints_dir.glob("epoch_*.pt") if file.stem[6:].isdecimal()]
        return max(checkpoints, key=lambda file: int(file.stem[6:]), default=None)

    @property
    def volumes_dir(self) -> Path:
        return self.path / "volumes"

    def found_map_file(self, species: int, which: str = "") -> Path:
        """A map of species 1, 2, … whose poses the run has found; `which`: half1, half2, other_hand."""
        return self.volumes_dir / "ab_initio" / f"map_{species:03d}{'_' * bool(which)}{which}.mrc"

    def results_dir(self, kind: str, name: str = "") -> Path:
        """The folder of the results of a kind, of those called `name` where a run may hold several."""
        about = KINDS[kind]
        assert about.folder and about.named == bool(name), f"{kind} with the name {name!r}"
        return self.path / about.folder / name

    @property
    def validating_dir(self) -> Path:
        """Trainings on halves of the particles, of a validation that has not finished."""
        return self.path / "validating"

    def half_training_dir(self, number: int) -> Path:
        """The training on half 1 or 2 of the particles; the list of those lies beside it."""
        return self.validating_dir / f"half{number}"

    @property
    def image_store_dir(self) -> Path:
        """Prepared images, of a training that has not finished and is to read them from here."""
        return self.path / "image_store"

    @property
    def outliers_file(self) -> Path:
        """What the images say of each particle, kept for later selections."""
        return self.path / "outliers.npz"

    @property
    def training_figure_file(self) -> Path:
        """The training curves, drawn for who looks at the run."""
        return self.path / "figures" / "training.png"

    def region_dir(self, name: str) -> Path:
        """The run of one of several regions of a focus."""
        return self.path / "regions" / name

    @property
    def region_dirs(self) -> list[Path]:
        """Those that are there, by name."""
        return sorted(each.parent for each in self.path.glob("regions/*/run.json"))

    def remove_contents(self) -> None:
        """Remove whatever a run has put into the folder, checkpoints first and run.json last; other files stay."""
        between = [name for name in CONTENTS if name not in (*_FIRST, *_LAST)]
        for name in (*_FIRST, *between, *_LAST):
            for path in (*former_of(self.path / name), self.path / name):
                remove(path)
