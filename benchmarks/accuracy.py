"""Accuracy of a recipe on a simulated set, against the oracle and against maps made with the true labels.

    python benchmarks/accuracy.py SETS/adk --seeds 0 1 2 --out benchmarks/results/accuracy_adk.json
    python benchmarks/accuracy.py SETS/compositional --clusters 3

A set is a folder that `cryodrgn-plugin simulate` or benchmarks/make_sets.py wrote. Every seed is reported, and the
worst.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from hardware import hardware

from cryodrgn_plugin.engine.analysis import oracle, truth
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.decoders.restore import load_decoder
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.likelihood.whitened import WhitenedImages
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.run import Run

SAMPLED = 100
"""Images whose maps are judged, as in the thesis."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("--recipe", default="fast")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--clusters", type=int, default=0, help="states of a set without a coordinate: ARI is reported")
    parser.add_argument("--set-value", nargs="*", default=[], metavar="NAME=VALUE", help="settings of the run")
    parser.add_argument("--no-maps", action="store_true", help="coordinates only")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()

    known = truth.Truth.open(args.set)
    settings = dict(pair.split("=", 1) for pair in args.set_value)
    config = recipe_config(args.recipe, {**settings, "particles": str(args.set / "particles.star")})
    dataset = ParticleDataset.open(config.particles, config.data)
    known = known.at_box(dataset.box)
    images = WhitenedImages(dataset, estimate_noise(dataset))
    populations = np.bincount(known.state, minlength=len(known.maps)) / len(known.state)
    assigned = oracle.assigned_states(oracle.state_log_likelihoods(images, known.maps), populations)
    report = {"set": args.set.name, "recipe": args.recipe, "settings": settings}
    report |= {"particles": dataset.n, "box": dataset.box}
    report["hardware"] = hardware()
    report["oracle"] = coordinate_figures(assigned[:, None].astype(float), assigned, known, args.clusters)
    sample = np.random.default_rng(5).choice(dataset.n, SAMPLED, replace=False)
    if not args.no_maps:
        report["yardsticks"] = yardsticks(images, dataset.box, config, known, sample)
    print(json.dumps(report, indent=1), flush=True)
    report["runs"] = [one_run(config, args, seed, known, sample) for seed in args.seeds]
    print(json.dumps(report["runs"], indent=1))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(report, indent=1) + "\n")


def yardsticks(images: WhitenedImages, box: int, config, known: truth.Truth, sample: np.ndarray) -> dict:
    """What maps are worth that need no latent space, or the true one."""
    padding = config.decoder.padding
    half = (np.random.default_rng(0).permutation(images.n) % 2).astype(np.int8)
    mean = truth.consensus(images, box, padding)
    functions = config.z_dim
    maps = {
        "consensus": np.broadcast_to(mean, (len(sample), *mean.shape)),
        "true-label class averages": truth.class_averages(images, box, padding, known, sample),
        "maps at true coordinates": truth.maps_at_true_coordinates(
            images, box, padding, known, functions, sample, half
        ),
    }
    return {name: vars(truth.map_quality(volumes, known, sample)) for name, volumes in maps.items()}


def one_run(config, args, seed: int, known: truth.Truth, sample: np.ndarray) -> dict:
    """Train with one seed, and judge what came out."""
    given = dict(pair.split("=", 1) for pair in args.set_value)
    config = recipe_config(config.recipe, {**given, "particles": config.particles, "seed": seed})
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "run", config)
        wall, cpu = time.perf_counter(), time.process_time()
        fit(run, config)
        seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        latents = run.latents()
        coordinates = latents.z if latents.coordinate is None else np.column_stack([latents.coordinate, latents.z])
        clusters = cluster(latents.z, args.clusters, seed) if args.clusters else None
        figures = {"seed": seed, "seconds": seconds, **coordinate_figures(coordinates, clusters, known, args.clusters)}
        figures["notes"] = run.info.get("notes", {})
        if not args.no_maps:
            decoder = load_decoder(run)
            volumes = np.stack([decoder.volume(latents.z[i]) for i in sample])
            figures["maps"] = vars(truth.map_quality(volumes, known, sample))
    return figures


def coordinate_figures(coordinates: np.ndarray, labels: np.ndarray | None, known: truth.Truth, clusters: int) -> dict:
    """|Spearman| of the best of the columns, or the agreement of labels with the true states."""
    if clusters:
        from sklearn.metrics import adjusted_rand_score

        return {"ari": float(adjusted_rand_score(known.state, labels))}
    each = [truth.rank_correlation(column, known.coordinate) for column in coordinates.T]
    return {"spearman": max(each), "spearman_each": [round(value, 4) for value in each]}


def cluster(z: np.ndarray, count: int, seed: int) -> np.ndarray:
    from sklearn.mixture import GaussianMixture

    return GaussianMixture(count, covariance_type="full", n_init=5, random_state=seed).fit_predict(z)


if __name__ == "__main__":
    main()
