"""Sets in the manner of CryoBench, judged by its scores: ours beside cryoDRGN 4.3.1 and RECOVAR 1.0.5.

    python benchmarks/cryobench.py SETS --data DATA --peers cryodrgn=ENV1/bin recovar=ENV2/bin
    python benchmarks/cryobench.py SETS --data DATA --only igg_1d --recipe fast --set-value z_dim=10
    python benchmarks/cryobench.py SETS --data DATA --particles 2000 --size 48 --maps 20 --peers recovar=ENV2/bin

Sets that SETS lacks are made (`cryobench_sets.py` says how). Figures go to benchmarks/results/cryobench_NAME.json,
where those of methods that are not run again stay; NAME has the number of images, the box and the seed where they are
not the usual ones. ENV1 and ENV2 are environments with `pip install cryodrgn==4.3.1`
and `recovar==1.0.5`. Each set has three yardsticks, the same whatever the method: the map of all images for every
image; for each image the reconstruction from those of its true state; and the ideal observer, who knows the true maps
and gives each image their mean, weighted by how probable it makes them. `cryobench_scores.py` defines the scores.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from cryobench_models import MOLECULES
from cryobench_peers import PEERS, Budget
from cryobench_scores import IMAGES, both_scores, sampled_images, scored, share_told, told_by_neighbours
from cryobench_sets import make_set
from hardware import hardware

from cryodrgn_plugin.engine.analysis import oracle, truth
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.decoders.restore import load_decoder
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.likelihood.whitened import WhitenedImages
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.run import Run

RESULTS = Path(__file__).parent / "results"
PARTICLES, SIZE = 5000, 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path, help="folder of the sets, one sub-folder each")
    parser.add_argument("--data", type=Path, help="folder with models/ and ctf/, for sets that are to be made")
    parser.add_argument("--only", nargs="+", choices=MOLECULES, default=list(MOLECULES))
    parser.add_argument("--particles", type=int, default=PARTICLES)
    parser.add_argument("--size", type=int, default=SIZE, help="box that images are cropped to")
    parser.add_argument("--seed", type=int, default=0, help="of sets that are made")
    parser.add_argument("--no-yardsticks", action="store_true", help="leave them to another time")
    parser.add_argument("--recipe", default="fast", help="ours; empty leaves our figures as they are")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of our runs")
    parser.add_argument("--set-value", nargs="*", default=[], metavar="NAME=VALUE", help="settings of our runs")
    parser.add_argument("--peers", nargs="*", default=[], metavar="NAME=BIN", help="cryodrgn and recovar")
    parser.add_argument("--maps", type=int, default=IMAGES, help="of images that are judged; a peer's take long")
    parser.add_argument("--cpu-minutes", type=float, default=15.0, help="that a peer may train for, on one core")
    parser.add_argument("--epochs", type=int, default=20, help="of cryodrgn")
    parser.add_argument("--results", type=Path, default=RESULTS)
    args = parser.parse_args()
    for name in args.only:
        folder = args.sets / set_name(name, args.particles, args.size, args.seed)
        if not (folder / "recipe.json").exists():
            if args.data is None:
                parser.error(f"{folder} is not there; --data is needed to make it.")
            make_set(name, args.data, folder, args.particles, args.size, args.seed)
        judge(folder, args)


def set_name(name: str, particles: int, size: int, seed: int) -> str:
    """What a set and its report are called."""
    usual = (particles, size) == (PARTICLES, SIZE)
    return name + ("" if usual else f"_{particles}x{size}") + (f"_seed{seed}" if seed else "")


def judge(folder: Path, args: argparse.Namespace) -> None:
    """Run what is asked for on one set, and bring its report up to date after each method."""
    recipe = json.loads((folder / "recipe.json").read_text())
    known = truth.Truth.open(folder)
    path = args.results / f"cryobench_{folder.name}.json"

    def put(name: str, figures: dict) -> None:
        print(folder.name, name, json.dumps(figures), flush=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        report = kept_report(path, recipe) | {name: figures | {"hardware": hardware()}}
        path.write_text(json.dumps(report, indent=1) + "\n")

    if not args.no_yardsticks and "yardsticks" not in kept_report(path, recipe):
        put("yardsticks", yardsticks(folder, known, args.maps))
    if args.recipe:
        put(args.recipe, {"settings": args.set_value, "runs": [ours(folder, args, seed, known) for seed in args.seeds]})
    for name, bin_folder in (pair.split("=", 1) for pair in args.peers):
        put(name, peer(name, Path(bin_folder), folder, known, Budget(args.cpu_minutes, args.epochs), args.maps))


def kept_report(path: Path, recipe: dict) -> dict:
    """What has been found on the set so far; nothing of another set of this name."""
    report = json.loads(path.read_text()) if path.exists() else {}
    if report.get("recipe") == recipe:
        return report
    return {"recipe": recipe, "largest_area": round((recipe["box"] / 2 - 1) / recipe["box"], 4)}


def yardsticks(folder: Path, known: truth.Truth, count: int) -> dict:
    """What maps are worth that need no latent space: of all images, of those of one state, and the ideal observer's.

    Judged at about `count` images and states.
    """
    config = recipe_config("fast", {"particles": str(folder / "particles.star")})
    dataset = ParticleDataset.open(config.particles, config.data)
    images = WhitenedImages(dataset, estimate_noise(dataset))
    padding = config.decoder.padding
    mean = truth.consensus(images, dataset.box, padding)
    states, row_of_state = np.unique(known.state, return_index=True)
    averages = dict(zip(states, truth.class_averages(images, dataset.box, padding, known, row_of_state), strict=True))
    some_states = row_of_state[:: max(1, len(states) // count)]
    rows = {"per_image": sampled_images(known.state, count), "per_conformation": some_states}

    def each(map_of: Callable[[int], np.ndarray]) -> dict:
        maps = {name: [map_of(known.state[row]) for row in sample] for name, sample in rows.items()}
        return {name: vars(scored(maps[name], sample, known)) for name, sample in rows.items()}

    shares = ideal_shares(images, known)
    sample = rows["per_image"]
    ideal_maps = (np.tensordot(shares[row], known.maps, 1) for row in sample)
    return {
        "consensus": each(lambda state: mean),
        "true-label averages": each(averages.__getitem__),
        "ideal": {"per_image": vars(scored(ideal_maps, sample, known)), "told": share_told(shares, known)},
    }


def ideal_shares(images: WhitenedImages, known: truth.Truth) -> np.ndarray:
    """(N, S) probability of each state for each image, given the true maps and their populations."""
    populations = np.bincount(known.state, minlength=len(known.maps)) / len(known.state)
    scores = oracle.state_log_likelihoods(images, known.maps) + np.log(populations)
    likelihood = np.exp(scores - scores.max(axis=1, keepdims=True))
    return likelihood / likelihood.sum(axis=1, keepdims=True)


def ours(folder: Path, args: argparse.Namespace, seed: int, known: truth.Truth) -> dict:
    """Train with one seed, and judge what came out."""
    given = dict(pair.split("=", 1) for pair in args.set_value)
    config = recipe_config(args.recipe, {**given, "particles": str(folder / "particles.star"), "seed": seed})
    with tempfile.TemporaryDirectory() as place:
        run = Run.create(Path(place) / "run", config)
        wall, cpu = time.perf_counter(), time.process_time()
        fit(run, config)
        seconds = {"cpu": round(time.process_time() - cpu, 1), "wall": round(time.perf_counter() - wall, 1)}
        z, decoder = run.latents().z, load_decoder(run)
        figures = both_scores(z, lambda rows: np.stack([decoder.volume(z[row]) for row in rows]), known, args.maps)
        return {"seed": seed, "seconds": seconds, **figures, "told_by_neighbours": told_by_neighbours(z, known)}


def peer(name: str, bin_folder: Path, folder: Path, known: truth.Truth, budget: Budget, maps: int) -> dict:
    """Train a peer and judge what came out; or say why nothing did."""
    with tempfile.TemporaryDirectory() as place:
        wall = time.perf_counter()
        try:
            found = PEERS[name](bin_folder, (folder / "particles.star").resolve(), Path(place), budget)
            figures = both_scores(found.z, found.volumes_at, known, maps)
        except RuntimeError as error:
            return {"failed": str(error)}
        seconds = {"training_cpu": found.training_cpu, "cpu": found.run.cpu, "wall": time.perf_counter() - wall}
        agreed = {"told_by_neighbours": told_by_neighbours(found.z, known)}
        rounded = {kind: round(value, 1) for kind, value in seconds.items()}
        return {"settings": found.settings, "seconds": rounded, **figures, **agreed}


if __name__ == "__main__":
    main()
