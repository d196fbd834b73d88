"""How a model is fitted to particles with poses: by gradient descent, or in closed form."""

from dataclasses import dataclass
from typing import Annotated

from .bounds import AtLeast, AtMost, MoreThan, OneOf
from .checks import Settings, require


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(Settings, section="training"):
    epochs: Annotated[int, AtLeast(1)] = 20
    """Passes over the particles. Look at the training curves: more helps while the loss still falls."""
    batch_size: Annotated[int, AtLeast(1)] = 32
    """Particles per step. Larger is faster per epoch and learns less per epoch."""
    learning_rate: Annotated[float, MoreThan(0)] = 1e-3
    """Step size of Adam for the networks. Lower it when the loss jumps."""
    schedule: Annotated[str, OneOf("constant", "cosine", "step")] = "cosine"
    """Learning rate over the epochs: constant, cosine (falls to a hundredth) or step (a tenth after two thirds)."""
    beta: Annotated[float, AtLeast(0)] = 0.0
    """Weight of the prior on z (KL term); 0 means 1 / z dimensions, cryoDRGN's choice. Raise it when z encodes noise,
    lower it when z collapses."""
    warmup_epochs: Annotated[int, AtLeast(0)] = 2
    """Epochs over which the weight of the prior rises from zero."""
    precision: Annotated[str, OneOf("auto", "float32", "bf16")] = "auto"
    """float32, bf16, or auto: bf16 where the processor or GPU computes it natively."""
    points: Annotated[float, MoreThan(0), AtMost(1)] = 1.0
    """Share of the Fourier points of each image used per step, drawn in proportion to their expected information; 0.25
    is several times faster for the coordinate MLP."""
    sparse: bool = False
    """Sparse gradients and SparseAdam for basis volumes: less work per step for small batches of large boxes."""
    early_stop: Annotated[int, AtLeast(0)] = 0
    """Stop after this many epochs without a lower held-out loss; 0 never stops early."""
    checkpoint_every: Annotated[int, AtLeast(1)] = 1
    """Epochs between checkpoints. One is also written when the run is told to stop."""


@dataclass(frozen=True, kw_only=True)
class ClosedFormConfig(Settings, section="closed_form"):
    n_components: Annotated[int, AtLeast(1)] = 8
    """Directions of motion solved for in closed form (fast recipe). Raise it for large motions or many states, with
    more particles."""
    iterations: Annotated[int, AtLeast(1)] = 12
    """EM iterations at low frequency, where directions of motion are found. Raise it when more directions were found
    than stand out from noise, or states are weak."""
    first_radius: Annotated[int, AtLeast(1)] = 14
    """Fourier shell up to which directions of motion are looked for. Lower it when noise drowns the motion, raise it
    when small motions are missed."""
    first_particles: Annotated[int, AtLeast(100)] = 20_000
    """Particles in the first iteration. Each of those that follow takes twice as many, up to all of them from two
    thirds on. Raise it when weak motions of a large set are missed."""
    pose_errors: bool = True
    """Allow for small errors of the given poses, of a size that is learned, and correct them. Switch it off for poses
    that are known exactly."""
    defocus_errors: bool = True
    """Allow for errors of the given defocus as well, where `pose_errors` are allowed for and pixels are fine enough to
    show them (about 4 Å). Switch it off for a defocus that was refined particle by particle."""
    nodes: Annotated[int, AtLeast(4)] = 40
    """Nodes that map out the latent space, whatever its shape. Raise it when many separate states are expected."""
    free_poses: bool = False
    """At the end, find each particle's pose anew together with its latent coordinates, within 15° and 6 % of the box.
    For poses that were found while nobody knew of the motion, by a consensus refinement say; poses that are right
    already end as far off as the images leave open. Takes about three times as long."""
    focus: str = ""
    """Look at one part of the molecule only, and take whatever else moves for a nuisance: an MRC mask in the box and
    pixel size of the images, or a sphere as x,y,z,radius in Å from the middle of the box. Empty looks everywhere. Give
    one when a small part comes and goes, or moves, beside larger motions elsewhere that would come first. Several parts
    get a latent space each, and it is told whether they move together: name them as arm=arm.mrc;foot=0,0,40,20, or give
    a mask that numbers its parts 1, 2, …"""
    equations_mb: Annotated[int, AtLeast(0)] = 0
    """Memory for the equations of the maps, in MB; where they take more they are solved in blocks of shells, with the
    same result. 0 takes as much as for the maps themselves, 512 at least, or what is free where that is less; on a GPU
    what is free. Raise it for large boxes when there is memory to spare: it saves a little time."""
    outside: Annotated[int, AtLeast(0)] = 4
    """Directions of motion outside of the focus, found beside those inside and integrated out. Raise it when large
    motions there show up inside."""

    def check_together(self) -> None:
        require(
            not (self.focus and self.free_poses),
            "closed_form.free_poses finds poses by the whole molecule, and closed_form.focus looks at a part of it; "
            "use one of them.",
        )
