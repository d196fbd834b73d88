"""Every setting of a run, as frozen dataclasses that travel as JSON. Imports neither torch nor any host.

A field's explanation is the string below it; the command line, the Scipion forms and RELION's help are made from it
(`field_help`), and form defaults are these defaults, so the fronts cannot drift apart. A recipe is a set of defaults
(`RECIPES`); every setting can be given on top of it.
"""

import ast
import dataclasses
import inspect
import json
import textwrap
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cache
from typing import Any, get_type_hints

from .errors import ConfigError


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    box: int = 0
    """Box after downsampling, in pixels (even); 0 keeps the box, up to 128. Smaller is faster and blurrier: detail
    stops at two of the new pixels."""
    window: float = 0.85
    """Radius of the circular window as a fraction of half the box; a soft edge runs from here to the box edge. Lower it
    when neighbours intrude, 1 switches it off."""
    sign: str = "auto"
    """Contrast of the particles: white (RELION's default), black (they are inverted on reading) or auto (measured)."""
    max_particles: int = 0
    """Use only this many particles, drawn at random with the seed; 0 uses all. For a quick first look."""
    cache_mb: int = 512
    """Prepared images kept in memory, in MB; above it they stream from disk each pass. Raise it when there is memory to
    spare."""

    def __post_init__(self) -> None:
        _require(
            self.box == 0 or (self.box >= 16 and self.box % 2 == 0),
            f"data.box is {self.box}; it must be even and at least 16 (0 keeps the box).",
        )
        _require(0.2 <= self.window <= 1.0, f"data.window is {self.window}; it must lie between 0.2 and 1.")
        _require(self.sign in ("auto", "white", "black"), f"data.sign is {self.sign!r}; choose auto, white or black.")
        _require(self.max_particles >= 0, f"data.max_particles is {self.max_particles}; it must be 0 or more.")


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    kind: str = "basis"
    """basis: a mean volume plus a weighted sum of bases on a Fourier grid. mlp: cryoDRGN's coordinate network."""
    n_bases: int = 16
    """Basis volumes beside the mean (basis only). More can follow larger or more numerous motions and cost time and
    memory in proportion."""
    padding: float = 1.5
    """Oversampling of the Fourier grid (basis only). 1 is the sparse-backpropagation paper's; 2 is RELION's; more is
    more exact and takes padding³ memory."""
    layers: int = 3
    """Residual hidden layers of the network (the coordinate MLP, or the one that turns z into basis weights)."""
    width: int = 256
    """Units per hidden layer. 1024 is cryoDRGN's large setting: finer maps, many times slower."""
    encoding: str = "gaussian"
    """Positional encoding (mlp only): gaussian random Fourier features, or the geometric series of wavelengths."""
    output: str = "hartley"
    """What the coordinate network gives per coefficient (mlp only): one hartley value, or a complex one."""

    def __post_init__(self) -> None:
        _require(self.kind in ("basis", "mlp"), f"decoder.kind is {self.kind!r}; choose basis or mlp.")
        _require(self.n_bases >= 0, f"decoder.n_bases is {self.n_bases}; it must be 0 or more.")
        _require(1.0 <= self.padding <= 3.0, f"decoder.padding is {self.padding}; it must lie between 1 and 3.")
        _require(
            self.layers >= 1 and self.width >= 1,
            f"decoder.layers and decoder.width must be at least 1, not {self.layers} and {self.width}.",
        )
        _require(
            self.encoding in ("gaussian", "geometric"),
            f"decoder.encoding is {self.encoding!r}; choose gaussian or geometric.",
        )
        _require(
            self.output in ("hartley", "complex"), f"decoder.output is {self.output!r}; choose hartley or complex."
        )


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    kind: str = "mlp"
    """mlp: a network reads the image and gives z. table: every particle has its own free z (autodecoder). tilt_pair: a
    network reads both images of a particle of tilt pairs."""
    layers: int = 3
    """Residual hidden layers of the encoder."""
    width: int = 256
    """Units per hidden layer of the encoder."""

    def __post_init__(self) -> None:
        _require(
            self.kind in ("mlp", "table", "tilt_pair"),
            f"encoder.kind is {self.kind!r}; choose mlp, table or tilt_pair.",
        )
        _require(
            self.layers >= 1 and self.width >= 1,
            f"encoder.layers and encoder.width must be at least 1, not {self.layers} and {self.width}.",
        )


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
        _require(self.epochs >= 1, f"training.epochs is {self.epochs}; it must be at least 1.")
        _require(self.batch_size >= 1, f"training.batch_size is {self.batch_size}; it must be at least 1.")
        _require(self.learning_rate > 0, f"training.learning_rate is {self.learning_rate}; it must be positive.")
        _require(
            self.schedule in ("constant", "cosine", "step"),
            f"training.schedule is {self.schedule!r}; choose constant, cosine or step.",
        )
        _require(self.beta >= 0, f"training.beta is {self.beta}; it must be 0 or more.")
        _require(
            self.precision in ("auto", "float32", "bf16"),
            f"training.precision is {self.precision!r}; choose auto, float32 or bf16.",
        )
        _require(0 < self.points <= 1, f"training.points is {self.points}; it must lie in (0, 1].")


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

    def __post_init__(self) -> None:
        _require(self.n_components >= 1, f"closed_form.n_components is {self.n_components}; it must be at least 1.")
        _require(self.iterations >= 1, f"closed_form.iterations is {self.iterations}; it must be at least 1.")
        _require(self.nodes >= 4, f"closed_form.nodes is {self.nodes}; it must be at least 4.")


@dataclass(frozen=True, kw_only=True)
class PoseConfig:
    inference: str = "given"
    """Where poses come from. given: the star file. hierarchical: a search over all poses, refined where it is best.
    branch_and_bound: a search that keeps every pose its bound does not rule out. amortized: a network reads them off
    the image."""
    spacing_deg: float = 15.0
    """Spacing of the first grid of rotations: 30, 15 or 7.5. Finer finds more and takes eight times longer a step."""
    levels: int = 4
    """How often the best poses are refined, each time on a grid of half the spacing."""
    kept: int = 8
    """Poses per image that are refined. Raise it when many images are placed wrongly."""
    shift_extent: float = 0.16
    """Largest shift searched for, as a fraction of the box. Lower it for well centred particles."""
    shift_steps: int = 14
    """Shifts tried along each axis on the first grid."""
    finer_shift_steps: int = 3
    """Shifts tried along each axis about the best one of the level before, at half its spacing; 14 is cryoDRGN2's."""
    first_radius: int = 12
    """Fourier shell up to which the first grid is compared. Lower it for noisy data, raise it for small particles."""
    last_radius: int = 48
    """Fourier shell up to which the finest grid is compared; the box limits it."""
    volumes: int = 8
    """Maps, spread over the latent space, that a network's poses are searched against; 0 searches against the network
    itself, exactly and many times slower."""
    block: int = 64
    """Particles whose poses are searched at a time, before a network learns from them. Lower it when no map forms at
    the start, raise it for speed."""
    exploration: float = 20.0
    """How freely a network's poses are drawn among the likeliest while the frequency limit still grows; 0 takes the
    likeliest always. Raise it when results differ between seeds."""
    search_every: int = 5
    """Epochs of a network's training between two pose searches."""
    schedule: str = "search:30"
    """Stages of a network's training without given poses, such as "search:30, reset, fixed:30, search:30": search looks
    for poses every few epochs, fixed keeps them, reset starts the network anew, refine moves poses by gradient."""

    def __post_init__(self) -> None:
        choices = ("given", "hierarchical", "branch_and_bound", "amortized")
        _require(
            self.inference in choices, f"poses.inference is {self.inference!r}; choose one of {', '.join(choices)}."
        )
        _require(
            2.0 <= self.spacing_deg <= 60.0, f"poses.spacing_deg is {self.spacing_deg}; it must lie between 2 and 60."
        )
        _require(self.levels >= 0, f"poses.levels is {self.levels}; it must be 0 or more.")
        _require(self.kept >= 1, f"poses.kept is {self.kept}; it must be at least 1.")
        _require(
            0 <= self.shift_extent <= 0.5, f"poses.shift_extent is {self.shift_extent}; it must lie between 0 and 0.5."
        )
        _require(
            self.shift_steps >= 1 and self.finer_shift_steps >= 1,
            f"poses.shift_steps and poses.finer_shift_steps must be at least 1, not {self.shift_steps} and "
            f"{self.finer_shift_steps}.",
        )
        _require(
            1 <= self.first_radius <= self.last_radius,
            f"poses.first_radius is {self.first_radius} and poses.last_radius {self.last_radius}; "
            "they must be at least 1 and rise.",
        )
        _require(self.exploration >= 0, f"poses.exploration is {self.exploration}; it must be 0 or more.")
        _require(self.block >= 1, f"poses.block is {self.block}; it must be at least 1.")
        _require(self.volumes >= 0, f"poses.volumes is {self.volumes}; it must be 0 or more.")
        _require(self.search_every >= 1, f"poses.search_every is {self.search_every}; it must be at least 1.")


@dataclass(frozen=True, kw_only=True)
class AbInitioConfig:
    species: int = 1
    """Kinds of molecule told apart while poses are found; 0 lets the data decide, starting from `most_species`. 1 for
    one molecule, moving or not."""
    most_species: int = 8
    """Species started with when their number is left to the data; empty ones are dropped on the way."""
    rounds: int = 20
    """Rounds of search and reconstruction at low resolution, from random orientations. Raise it when the maps still
    change at the end of them."""
    images_per_round: int = 500
    """Images drawn for each of these rounds, per species. Raise it for very noisy data."""
    refinements: int = 5
    """Rounds over all images at rising resolution that follow, in which half-sets check each other. Raise it when the
    score still rises at the end."""
    moving_rounds: int = 3
    """Rounds after those in which a molecule that moves is placed against its mean and its directions of motion, so
    that its conformation does not pull at its pose; 0 for none."""
    starts: int = 0
    """Independent random starts; the likeliest goes on. 0 takes 3 for one species and 1 for several. Raise it when
    results differ between seeds."""

    def __post_init__(self) -> None:
        _require(self.species >= 0, f"ab_initio.species is {self.species}; it must be 0 (the data decide) or more.")
        _require(self.most_species >= 2, f"ab_initio.most_species is {self.most_species}; it must be at least 2.")
        _require(self.rounds >= 2, f"ab_initio.rounds is {self.rounds}; it must be at least 2.")
        _require(
            self.images_per_round >= 20,
            f"ab_initio.images_per_round is {self.images_per_round}; it must be at least 20.",
        )
        _require(self.moving_rounds >= 0, f"ab_initio.moving_rounds is {self.moving_rounds}; it must be 0 or more.")
        _require(self.refinements >= 1, f"ab_initio.refinements is {self.refinements}; it must be at least 1.")
        _require(self.starts >= 0, f"ab_initio.starts is {self.starts}; it must be 0 (by the species) or more.")


@dataclass(frozen=True, kw_only=True)
class AmortizedConfig:
    method: str = "network"
    """How the recipe ace finds poses. network: a ResNet reads pose and z off the image. vae and descent are baselines
    that are known to fail, rotations only: an encoder with a distribution of rotations, and poses moved by gradient."""
    trunk_width: int = 64
    """Channels of the first stage of the ResNet-18; 64 is the standard, 16 ten times faster for small boxes."""
    symmetrized: bool = True
    """Read each image also turned by 180° and keep the pose that explains it better; it helps against maps that come
    out as their own mirror image."""
    pose_weight: float = 0.1
    """Weight of the pose-to-pose task: views drawn from the model at random poses must give these poses back. 0 leaves
    it out."""
    kl_weight: float = 1e-4
    """Weight of the prior on z, against a loss of one per pixel for an empty model."""
    shift_weight: float = 1e-3
    """Loss per pixel of shift, which keeps the molecule near the centre."""
    images_from: int = 0
    """Images' worth of pose-to-pose steps before the model is compared with images at all. For a training that starts
    from a map: until the network can read poses off its views, images would only blur it."""
    latent_from: int = 300_000
    """Images seen before z is learnt; until then it is drawn from its prior, and the model is one consensus map."""
    warmup_images: int = 100_000
    """Images seen until the model is compared with the images themselves; at the start it is compared with blurred
    ones. 0 leaves the blur out."""
    warmup_blur_px: float = 2.0
    """Standard deviation of that blur in pixels. Raise it for noisier images."""
    search: bool = False
    """At the end, search around the poses that were read off, against the maps of the run, by poses.levels grids from
    poses.spacing_deg on."""
    start_from: str = ""
    """Folder of a finished run whose decoder training starts from, made with the same decoder settings and box; empty
    starts from nothing."""

    def __post_init__(self) -> None:
        _require(
            self.method in ("network", "vae", "descent"),
            f"amortized.method is {self.method!r}; choose network, vae or descent.",
        )
        _require(self.trunk_width >= 1, f"amortized.trunk_width is {self.trunk_width}; it must be at least 1.")
        weights = ("pose_weight", "kl_weight", "shift_weight")
        for name in (*weights, "images_from", "latent_from", "warmup_images", "warmup_blur_px"):
            _require(getattr(self, name) >= 0, f"amortized.{name} is {getattr(self, name)}; it must be 0 or more.")
        _require(
            not self.images_from or (self.pose_weight > 0 and self.method == "network"),
            f"amortized.images_from is {self.images_from}, but there is no pose-to-pose task; set it to 0.",
        )


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    particles: str = ""
    """The particles: a RELION star file with poses and CTF."""
    root: str = ""
    """Folder that image paths in the star file are relative to; empty tries the working folder, then the star file's
    folder and its parents."""
    recipe: str = "fast"
    """fast: closed forms throughout, minutes on a workstation without a GPU. paper: sparse Fourier backpropagation end
    to end. cryodrgn: the coordinate MLP. homogeneous: one map. These take the poses given; abinitio finds them in
    closed form, cryodrgn2 and bnb search for them while a network trains, ace trains a network that reads them off
    images."""
    z_dim: int = 8
    """Latent dimensions. 8 suits most data; 1 or 2 when one motion is expected."""
    seed: int = 0
    """Seed of every random choice; the same seed on the same machine gives the same result."""
    device: str = "auto"
    """auto, cpu, or cuda with an index (cuda:0)."""
    data: DataConfig = field(default_factory=DataConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    closed_form: ClosedFormConfig = field(default_factory=ClosedFormConfig)
    poses: PoseConfig = field(default_factory=PoseConfig)
    ab_initio: AbInitioConfig = field(default_factory=AbInitioConfig)
    amortized: AmortizedConfig = field(default_factory=AmortizedConfig)

    def __post_init__(self) -> None:
        _require(self.recipe in RECIPES, f"recipe is {self.recipe!r}; choose one of {', '.join(RECIPES)}.")
        _require(self.z_dim >= 0, f"z_dim is {self.z_dim}; it must be 0 (homogeneous) or more.")

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> "RunConfig":
        return _build(cls, json.loads(text), "")


# A recipe names only what differs from the field defaults.
RECIPES: dict[str, dict[str, Any]] = {
    "fast": {},
    "paper": {
        "decoder.padding": 1.0,
        "training.epochs": 50,
        "training.batch_size": 128,
        "training.sparse": False,
    },
    "cryodrgn": {
        "decoder.kind": "mlp",
        "decoder.output": "complex",
        "training.batch_size": 16,
        "training.learning_rate": 3e-4,
        "training.points": 0.5,
        "training.schedule": "constant",
        "training.warmup_epochs": 0,
    },
    "homogeneous": {"z_dim": 0, "decoder.n_bases": 0},
    "cryodrgn2": {
        "decoder.kind": "mlp",
        "decoder.output": "complex",
        "training.batch_size": 16,
        "training.learning_rate": 3e-4,
        "training.schedule": "constant",
        "training.warmup_epochs": 0,
        "poses.inference": "hierarchical",
    },
    "bnb": {
        "decoder.kind": "mlp",
        "decoder.output": "complex",
        "training.batch_size": 16,
        "training.learning_rate": 3e-4,
        "training.schedule": "constant",
        "training.warmup_epochs": 0,
        "poses.inference": "branch_and_bound",
        "poses.spacing_deg": 30.0,
        "poses.levels": 5,
        "poses.kept": 24,
        "poses.shift_steps": 8,
        "poses.search_every": 1,
        "poses.schedule": "search:5, reset, fixed:15",
    },
    "abinitio": {"poses.inference": "hierarchical", "poses.shift_extent": 0.1},
    "ace": {
        "poses.inference": "amortized",
        "decoder.kind": "mlp",
        "decoder.output": "complex",
        "training.epochs": 30,
        "training.batch_size": 512,
        "training.learning_rate": 1e-4,
        "training.schedule": "constant",
    },
}


def finds_poses(recipe: str) -> bool:
    """Whether a recipe looks for poses itself; the others take those of the star file."""
    return RECIPES[recipe].get("poses.inference", "given") != "given"


def recipe_config(recipe: str, overrides: dict[str, Any] | None = None) -> RunConfig:
    """The configuration of a recipe with `overrides`: dotted names to values, strings converted to the field's type.

    Raises ConfigError for an unknown recipe, name or value.
    """
    if recipe not in RECIPES:
        raise ConfigError(f"recipe is {recipe!r}; choose one of {', '.join(RECIPES)}.")
    nested: dict[str, Any] = {"recipe": recipe}
    for name, value in {**RECIPES[recipe], **(overrides or {})}.items():
        target = nested
        *sections, leaf = name.split(".")
        for section in sections:
            target = target.setdefault(section, {})
        target[leaf] = value
    return _build(RunConfig, nested, "")


def setting_names(cls: type = RunConfig, prefix: str = "") -> list[str]:
    """Dotted names of all settings, in order."""
    names: list[str] = []
    for f in fields(cls):
        kind = get_type_hints(cls)[f.name]
        names += setting_names(kind, f"{prefix}{f.name}.") if is_dataclass(kind) else [prefix + f.name]
    return names


def setting(name: str) -> tuple[type, Any, str]:
    """(type, default, help) of a setting by its dotted name."""
    cls: type = RunConfig
    *sections, leaf = name.split(".")
    for section in sections:
        cls = get_type_hints(cls)[section]
    default = getattr(cls(), leaf)
    return get_type_hints(cls)[leaf], default, field_help(cls)[leaf]


@cache
def field_help(cls: type) -> dict[str, str]:
    """The explanation below each field of a config class."""
    definition = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(definition, ast.ClassDef)
    pairs = zip(definition.body, definition.body[1:], strict=False)
    return {
        node.target.id: " ".join(after.value.value.split())
        for node, after in pairs
        if isinstance(node, ast.AnnAssign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
    }


def with_settings(config: RunConfig, **sections: Any) -> RunConfig:
    """A copy with whole fields replaced; nested fields as `training={"epochs": 3}`."""
    changes = {
        name: replace(getattr(config, name), **value) if isinstance(value, dict) else value
        for name, value in sections.items()
    }
    return replace(config, **changes)


def _build(cls: type, values: dict[str, Any], prefix: str):
    hints = get_type_hints(cls)
    unknown = set(values) - {f.name for f in fields(cls)}
    if unknown:
        name = prefix + sorted(unknown)[0]
        raise ConfigError(f"There is no setting {name!r}. The settings are: {', '.join(setting_names())}.")
    built = {}
    for name, value in values.items():
        kind = hints[name]
        built[name] = (
            _build(kind, value, f"{prefix}{name}.") if is_dataclass(kind) else _convert(value, kind, prefix + name)
        )
    return cls(**built)


def _convert(value: Any, kind: type, name: str) -> Any:
    if kind is bool and isinstance(value, str):
        if value.lower() in ("true", "yes", "1"):
            return True
        if value.lower() in ("false", "no", "0"):
            return False
        raise ConfigError(f"{name} is {value!r}; give yes or no.")
    if kind is int and isinstance(value, float) and not value.is_integer():
        raise ConfigError(f"{name} is {value!r}; it must be a whole number.")
    try:
        return kind(value)
    except (TypeError, ValueError):
        raise ConfigError(f"{name} is {value!r}; it must be of type {kind.__name__}.") from None
