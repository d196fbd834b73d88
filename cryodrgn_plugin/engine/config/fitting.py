"""How a model is fitted to particles with poses: by gradient descent, or in closed form."""

from dataclasses import dataclass

from .checks import require


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    epochs: int = 20
    """Passes over the particles. Look at the training curves: more helps while the loss still falls."""
    batch_size: int = 32
    """Particles per step. Larger is faster per epoch and learns less per epoch."""
    learning_rate: float = 1e-3
    """Step size of Adam for the networks. Lower it when the loss jumps."""
    schedule: str = "cosine"
    """Learning rate over the epochs: constant, cosine (falls to a hundredth) or step (a tenth after two thirds)."""
    beta: float = 0.0
    """Weight of the prior on z (KL term); 0 means 1 / z dimensions, cryoDRGN's choice. Raise it when z encodes noise,
    lower it when z collapses."""
    warmup_epochs: int = 2
    """Epochs over which the weight of the prior rises from zero."""
    precision: str = "auto"
    """float32, bf16, or auto: bf16 where the processor or GPU computes it natively."""
    points: float = 1.0
    """Share of the Fourier points of each image used per step, drawn in proportion to their expected information; 0.25
    is several times faster for the coordinate MLP."""
    sparse: bool = False
    """Sparse gradients and SparseAdam for basis volumes: less work per step for small batches of large boxes."""
    early_stop: int = 0
    """Stop after this many epochs without a lower held-out loss; 0 never stops early."""
    checkpoint_every: int = 1
    """Epochs between checkpoints. One is also written when the run is told to stop."""

    def __post_init__(self) -> None:
        require(self.epochs >= 1, f"training.epochs is {self.epochs}; it must be at least 1.")
        require(self.batch_size >= 1, f"training.batch_size is {self.batch_size}; it must be at least 1.")
        require(self.learning_rate > 0, f"training.learning_rate is {self.learning_rate}; it must be positive.")
        require(
            self.schedule in ("constant", "cosine", "step"),
            f"training.schedule is {self.schedule!r}; choose constant, cosine or step.",
        )
        require(self.beta >= 0, f"training.beta is {self.beta}; it must be 0 or more.")
        require(
            self.precision in ("auto", "float32", "bf16"),
            f"training.precision is {self.precision!r}; choose auto, float32 or bf16.",
        )
        require(0 < self.points <= 1, f"training.points is {self.points}; it must lie in (0, 1].")


@dataclass(frozen=True, kw_only=True)
class ClosedFormConfig:
    n_components: int = 8
    """Directions of motion solved for in closed form (fast recipe). Raise it for large motions or many states, with
    more particles."""
    iterations: int = 12
    """EM iterations from random directions; they march from low to full resolution."""
    first_radius: int = 14
    """Fourier shell at which the march starts. Lower it when noise drowns the motion, raise it when small motions are
    missed."""
    nodes: int = 40
    """Nodes that map out the latent space, whatever its shape. Raise it when many separate states are expected."""
    free_poses: bool = False
    """At the end, find each particle's pose anew together with its latent coordinates, within 15° and 6 % of the box.
    For poses that were found while nobody knew of the motion, by a consensus refinement say; poses that are right
    already end as far off as the images leave open. Takes about three times as long."""

    def __post_init__(self) -> None:
        require(self.n_components >= 1, f"closed_form.n_components is {self.n_components}; it must be at least 1.")
        require(self.iterations >= 1, f"closed_form.iterations is {self.iterations}; it must be at least 1.")
        require(self.nodes >= 4, f"closed_form.nodes is {self.nodes}; it must be at least 4.")
