"""The settings that the form of a training shows, and the recipes that each matters to."""

from .form_settings import RECIPES, FormSetting
from .protocol_fit import image_settings

# The recipes that a setting matters to.
CLOSED = ("fast",)
OF_ATOMS = ("cryofold", "atoms", "refined_atoms")
FROM_REST = ("cryofold", "atoms")
FOUND_MOTION = "refined_atoms"
BY_EPOCHS = ("paper", "cryodrgn", "homogeneous", *OF_ATOMS)
GRID = ("fast", "paper", "homogeneous")
LATENT_RECIPES = ("fast", "paper", "cryodrgn", *OF_ATOMS)
NETWORKS = ("paper", "cryodrgn", *OF_ATOMS)

IMAGES = image_settings(RECIPES)
CLOSED_FORM = (
    FormSetting("nComponents", "closed_form.n_components", "Directions of motion", recipes=CLOSED),
    FormSetting("iterations", "closed_form.iterations", "EM iterations", recipes=CLOSED, expert=True),
    FormSetting("firstRadius", "closed_form.first_radius", "First Fourier shell", recipes=CLOSED, expert=True),
    FormSetting("firstParticles", "closed_form.first_particles", "First particles", recipes=CLOSED, expert=True),
    FormSetting("nodes", "closed_form.nodes", "Nodes of the latent space", recipes=CLOSED, expert=True),
    FormSetting("freePoses", "closed_form.free_poses", "Find poses together with the motion?", recipes=CLOSED),
    FormSetting("focus", "closed_form.focus", "Focus (sphere)", recipes=CLOSED, expert=True),
    FormSetting("equationsMb", "closed_form.equations_mb", "Memory for equations (MB)", recipes=CLOSED, expert=True),
    FormSetting("outside", "closed_form.outside", "Directions outside of the focus", recipes=CLOSED, expert=True),
)
TRAINING = (
    FormSetting("epochs", "training.epochs", "Epochs", recipes=BY_EPOCHS),
    FormSetting("batchSize", "training.batch_size", "Batch size", recipes=BY_EPOCHS, expert=True),
    FormSetting("learningRate", "training.learning_rate", "Learning rate", recipes=BY_EPOCHS, expert=True),
    FormSetting("schedule", "training.schedule", "Learning rate schedule", recipes=BY_EPOCHS, expert=True),
    FormSetting("beta", "training.beta", "Weight of the prior on z", recipes=BY_EPOCHS, expert=True),
    FormSetting("warmup", "training.warmup_epochs", "Warm-up epochs", recipes=BY_EPOCHS, expert=True),
    FormSetting("precision", "training.precision", "Precision", recipes=BY_EPOCHS, expert=True),
    FormSetting("points", "training.points", "Share of Fourier points", recipes=BY_EPOCHS, expert=True),
    FormSetting("earlyStop", "training.early_stop", "Patience (epochs)", recipes=BY_EPOCHS, expert=True),
)  # fmt: skip
DECODER = (
    FormSetting("nBases", "decoder.n_bases", "Basis volumes", recipes=("paper",)),
    FormSetting("padding", "decoder.padding", "Oversampling of the Fourier grid", recipes=GRID, expert=True),
    FormSetting("layers", "decoder.layers", "Hidden layers", recipes=NETWORKS, expert=True),
    FormSetting("width", "decoder.width", "Units per hidden layer", recipes=NETWORKS, expert=True),
    FormSetting("encoding", "decoder.encoding", "Positional encoding", recipes=("cryodrgn",), expert=True),
)  # fmt: skip
ATOMS = (
    FormSetting("atomsModel", "atoms.model", "Atomic model (file)", recipes=FROM_REST),
    FormSetting("atomsPlace", "atoms.place", "Where the model lies", recipes=FROM_REST),
    FormSetting("atomsBeads", "atoms.beads", "Beads", recipes=OF_ATOMS, expert=True),
    FormSetting("atomsResidues", "atoms.residues", "Residues per bead", recipes=OF_ATOMS, expert=True),
    FormSetting("atomsSigma", "atoms.sigma_ang", "Width of beads (Å)", recipes=OF_ATOMS, expert=True),
    FormSetting("atomsAmplitude", "atoms.amplitude", "Grey value of an electron", recipes=OF_ATOMS, expert=True),
    FormSetting("atomsBonds", "atoms.bonds", "Strength of bonds", recipes=OF_ATOMS, expert=True),
    FormSetting("atomsElastic", "atoms.elastic", "Strength of the elastic network", recipes=OF_ATOMS),
    FormSetting("atomsElasticAng", "atoms.elastic_ang", "Its reach (Å)", recipes=OF_ATOMS, expert=True),
    FormSetting("atomsSteric", "atoms.steric", "Strength of repulsion", recipes=OF_ATOMS, expert=True),
    FormSetting("atomsStericAng", "atoms.steric_ang", "Reach of repulsion (Å)", recipes=OF_ATOMS, expert=True),
    FormSetting("atomsWarmup", "atoms.warmup_epochs", "Warm-up epochs of beads", recipes=OF_ATOMS, expert=True),
    FormSetting("atomsFirst", "atoms.first_ang", "First resolution (Å)", recipes=OF_ATOMS, expert=True),
)  # fmt: skip
LATENT = FormSetting("zDim", "z_dim", "Latent dimensions", recipes=LATENT_RECIPES)
SEED = FormSetting("seed", "seed", "Random seed", expert=True)
SETTINGS = (*IMAGES, *CLOSED_FORM, *TRAINING, *DECODER, *ATOMS, LATENT, SEED)
