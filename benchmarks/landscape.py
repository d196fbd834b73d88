"""The landscape measured: exact against brute force, time at 344,069 particles, a rare state, φ, and a first analysis.

    python benchmarks/landscape.py exact --run RUN --out benchmarks/results/landscape.json
    python benchmarks/landscape.py time
    python benchmarks/landscape.py rare --folder SETS --data DATA --seeds 0 1 2
    python benchmarks/landscape.py phi --run RUN
    python benchmarks/landscape.py analyze

Each part adds its figures to the JSON under its name. `exact` takes a run of bases, of 2,000 particles or more;
`phi` one of a coordinate network (recipe cryodrgn); DATA holds ctf/empiar10028_ctf_5000.npy. Times are CPU-seconds of
this process, all its threads; set OMP_NUM_THREADS and NUMBA_NUM_THREADS to what they may use.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from hardware import hardware

from cryodrgn_plugin.engine.analysis.analysis_options import USUAL_CLASSES, AnalysisOptions
from cryodrgn_plugin.engine.analysis.analysis_report import analyze
from cryodrgn_plugin.engine.analysis.linear_volumes import amplitudes_of, exact_components, masked_gram
from cryodrgn_plugin.engine.config import RunConfig, recipe_config
from cryodrgn_plugin.engine.decoders.basis import BasisDecoder
from cryodrgn_plugin.engine.decoders.restore import TrainedDecoder, load_decoder
from cryodrgn_plugin.engine.io.star import write_star
from cryodrgn_plugin.engine.landscape.landscape_options import LandscapeOptions
from cryodrgn_plugin.engine.landscape.landscape_report import landscape
from cryodrgn_plugin.engine.landscape.representatives import on_data_centres
from cryodrgn_plugin.engine.landscape.sketch import sketched_space
from cryodrgn_plugin.engine.landscape.space import exact_space
from cryodrgn_plugin.engine.landscape.volume_clusters import cluster_volumes
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate import Ensemble, SimulationConfig, simulate_particles
from cryodrgn_plugin.engine.simulate.presets import hinged_complex
from cryodrgn_plugin.engine.slicing.sphere import HalfSphere

THESIS_PARTICLES = 344_069
THESIS_SECONDS = (7 * 60 + 48 + 4) * 60
"""Thesis 6.4: 7 h 48 min for 25,000 volumes of 128³ on a GPU, 4 min for the network that they teach."""
DRAWS = 200


def exact_against_brute_force(args: argparse.Namespace) -> dict:
    """Principal components of 2,000 particles' volumes, all of them made, masked and given to scikit-learn."""
    from sklearn.decomposition import PCA

    run = Run.open(args.run)
    decoder, z = load_decoder(run), run.latents().z[:2000]
    began = time.process_time()
    space = exact_space(decoder, z, LandscapeOptions(), _silent)
    exact_seconds = time.process_time() - began
    began = time.process_time()
    volumes = np.stack([decoder.volume(point)[space.mask > 0] for point in z])
    pca = PCA(space.scores.shape[1], svd_solver="full").fit(volumes)
    brute = pca.transform(volumes)
    brute_seconds = time.process_time() - began
    signs = np.sign((brute * space.scores).sum(axis=0))
    error = np.abs(brute * signs - space.scores).max(axis=0) / brute.std(axis=0)
    return {
        "particles": len(z),
        "box": decoder.box,
        "bases": len(decoder.linear()[0].basis_volumes()) - 1,
        "voxels_in_mask": int((space.mask > 0).sum()),
        "components": len(error),
        "largest_score_difference_in_standard_deviations": float(error.max()),
        "largest_difference_of_explained_shares": float(np.abs(pca.explained_variance_ratio_ - space.explained).max()),
        "cpu_seconds": {"exact": exact_seconds, "brute_force": brute_seconds},
    }


def time_at_size(args: argparse.Namespace) -> dict:
    """The whole landscape, figures and maps included, of as many particles as the thesis had, K = 16, D = 128."""
    rng = np.random.default_rng(0)
    decoder = BasisDecoder(HalfSphere(128, 1.5, 63), 16, 16)
    blobs = _gaussian_blobs(128, 17, rng)
    decoder.set_volumes(blobs)
    z = _three_groups(THESIS_PARTICLES, 16, rng)
    with tempfile.TemporaryDirectory() as folder:
        run = _made_run(Path(folder), z)
        cpu, wall = time.process_time(), time.perf_counter()
        landscape(run, LandscapeOptions(), TrainedDecoder(decoder, None, 1.5))
        everything = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    cpu = time.process_time()
    s = amplitudes_of(decoder, z)
    bases = decoder.basis_volumes()
    mask = (np.abs(blobs).max(axis=0) > 0.5).astype(np.float32)
    exact_components(s, masked_gram(bases, mask), 16)
    components = time.process_time() - cpu
    return {
        "particles": THESIS_PARTICLES,
        "bases": 16,
        "box": 128,
        "latents": "synthetic: three Gaussian groups; bases are Gaussian blobs",
        "seconds_of_everything": everything,
        "made": "components, clusters, states, intervals, 11 particle lists, up to 40 maps of 128³, figures",
        "cpu_seconds_of_components_alone": components,
        "thesis_seconds_for_phi_on_a_gpu": THESIS_SECONDS,
    }


def rare_state(args: argparse.Namespace) -> dict:
    """0.3 % of 30,000 particles without the arm that the others move; trained from images with the default recipe."""
    runs = [_one_rare(args, seed) for seed in args.seeds]
    worst = {key: min(run[key] for run in runs) for key in ("recall", "precision")}
    return {
        "particles": 30_000,
        "rare": 90,
        "box": 64,
        "snr": 0.1,
        "set": "a complex with an arm at a hinge, 50 angles over 1.5 rad; the rare state has no arm",
        "recipe": "fast, its defaults",
        "worst": worst,
        "runs": runs,
    }


def phi_on_a_network(args: argparse.Namespace) -> dict:
    """M6's route on a coordinate network: a sketch of 500, and φ judged on the quarter that it has not seen."""
    run = Run.open(args.run)
    decoder, z = load_decoder(run), run.latents().z
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        space = sketched_space(decoder, z, LandscapeOptions(components=5), Path(folder), _silent)
    return {
        "recipe": run.config.recipe,
        "particles": len(z),
        "box": decoder.box,
        "sketched": len(space.sketch.particles),
        "mapped": space.mapped,
        "held_out": space.judged.pairs,
        "explained": space.explained.tolist(),
        "r2": space.judged.r2.tolist(),
        "r2_all": space.judged.r2_all,
        "cpu_seconds": time.process_time() - began,
    }


def first_analysis(args: argparse.Namespace) -> dict:
    """`analyze` of 100,000 latents without maps, UMAP included."""
    z = _three_groups(100_000, 8, np.random.default_rng(0))
    with tempfile.TemporaryDirectory() as folder:
        run = _made_run(Path(folder), z)
        cpu, wall = time.process_time(), time.perf_counter()
        analyze(run, AnalysisOptions(volumes=False))
        seconds = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    return {"particles": len(z), "z_dim": 8, "umap_fitted_on": AnalysisOptions().umap_limit, "seconds": seconds}


# --- the rare state -------------------------------------------------------------------------------------------------


def _one_rare(args: argparse.Namespace, seed: int) -> dict:
    folder = args.folder / f"rare{seed}"
    star = folder / "set" / "particles.star"
    if not star.exists():
        simulate_particles(_with_rare_state(50, 0.003), _rare_config(args.data), folder / "set", seed)
    config = recipe_config("fast", {"particles": str(star), "seed": seed})
    if not (folder / "run" / "latents.npz").exists():
        run = Run.create(folder / "run", config, overwrite=True)
        with run.working():
            fit(run, config)
    run = Run.open(folder / "run")
    with np.load(folder / "set" / "truth.npz") as stored:
        rare = stored["state"] == 50
    cpu = time.process_time()
    space = exact_space(load_decoder(run), run.latents().z, LandscapeOptions(), _silent)
    clusters = cluster_volumes(space.scores, USUAL_CLASSES, "ward", seed)
    seconds = time.process_time() - cpu
    found = _best_cluster(clusters.labels, rare)
    return {
        "seed": seed,
        **found,
        "stands_apart": bool(clusters.apart[found["cluster"]]),
        "cpu_seconds_of_the_landscape": seconds,
        "500_volumes_at_random": {name: _at_random(space.scores, rare, name) for name in ("ward", "average")},
        "500_volumes_at_k_means_centres": {name: _sketched(space.scores, rare, name) for name in ("ward", "average")},
    }


def _with_rare_state(angles: int, share: float) -> Ensemble:
    moving = hinged_complex(angles)
    middle = moving.states[angles // 2]
    without_arm = middle[~np.isin(middle.chains, ("F", "G", "H"))]
    populations = np.append(np.full(angles, (1 - share) / angles), share)
    return Ensemble([*moving.states, without_arm], np.arange(angles + 1.0), populations)


def _rare_config(data: Path) -> SimulationConfig:
    return SimulationConfig(
        n_particles=30_000,
        box=64,
        pixel_size_ang=5.0,
        snr=0.1,
        shift_px=5,
        ctf_rows=str(data / "ctf" / "empiar10028_ctf_5000.npy"),
        b_factor_ang2=100.0,
    )


def _best_cluster(labels: np.ndarray, rare: np.ndarray) -> dict:
    """Recall and precision of the cluster that names the rare particles best."""
    both = np.bincount(labels[rare], minlength=labels.max() + 1)
    f1 = 2 * both / (np.bincount(labels) + rare.sum())
    best = int(np.argmax(f1))
    members = labels == best
    return {"cluster": best, "recall": float(members[rare].mean()), "precision": float(rare[members].mean())}


def _at_random(scores: np.ndarray, rare: np.ndarray, linkage: str) -> dict:
    """What 500 volumes drawn at random find: share of `DRAWS` with a cluster that is mostly the rare state."""
    rng = np.random.default_rng(0)
    draws = [_clustered(scores, rng.choice(len(scores), 500, replace=False), rare, linkage) for _ in range(DRAWS)]
    found = [one["recall"] >= 0.5 and one["precision"] >= 0.5 for one in draws]
    return {
        "draws": DRAWS,
        "found": float(np.mean(found)),
        "drew_no_rare": float(np.mean([d["drawn"] == 0 for d in draws])),
    }


def _sketched(scores: np.ndarray, rare: np.ndarray, linkage: str) -> dict:
    return _clustered(scores, on_data_centres(scores, 500, 0), rare, linkage)


def _clustered(scores: np.ndarray, chosen: np.ndarray, rare: np.ndarray, linkage: str) -> dict:
    """Ten agglomerative clusters of chosen volumes, every other particle in the cluster of the volume nearest to it."""
    from scipy.spatial import cKDTree
    from sklearn.cluster import AgglomerativeClustering

    labels = AgglomerativeClustering(10, linkage=linkage).fit_predict(scores[chosen])
    return {"drawn": int(rare[chosen].sum()), **_best_cluster(labels[cKDTree(scores[chosen]).query(scores)[1]], rare)}


# --- made runs ------------------------------------------------------------------------------------------------------


def _made_run(folder: Path, z: np.ndarray) -> Run:
    """A finished run with latents z and no images."""
    n = len(z)
    star = folder / "particles.star"
    particles = pd.DataFrame(
        {
            "rlnImageName": [f"{i + 1:06d}@stack.mrcs" for i in range(n)],
            "rlnOpticsGroup": 1,
            "rlnMicrographName": [f"mic{i // 100:05d}.mrc" for i in range(n)],
            "rlnAngleRot": np.linspace(0, 180, n),
            "rlnAngleTilt": 90.0,
            "rlnAnglePsi": 0.0,
        }
    )
    optics = {"rlnOpticsGroup": [1], "rlnImagePixelSize": [1.5], "rlnImageSize": [128], "rlnVoltage": [300.0]}
    write_star(star, {"optics": pd.DataFrame(optics), "particles": particles})
    run = Run.create(folder / "run", RunConfig(particles=str(star), z_dim=z.shape[1]))
    with run.working():
        run.save_latents(z)
    return run


def _three_groups(n: int, dimensions: int, rng: np.random.Generator) -> np.ndarray:
    centres = 3 * rng.standard_normal((3, dimensions))
    return (centres[rng.integers(0, 3, n)] + rng.standard_normal((n, dimensions))).astype(np.float32)


def _gaussian_blobs(box: int, count: int, rng: np.random.Generator) -> np.ndarray:
    z, y, x = np.indices((box,) * 3, dtype=np.float32) - box // 2
    places = rng.uniform(-box / 5, box / 5, (count, 3))
    return np.stack([np.exp(-((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) / (2 * 6**2)) for a, b, c in places])


def _silent(*_: object) -> None:
    """A report that nobody reads."""


PARTS = {
    "exact": exact_against_brute_force,
    "time": time_at_size,
    "rare": rare_state,
    "phi": phi_on_a_network,
    "analyze": first_analysis,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--run", type=Path, help="a finished run (exact, phi)")
    parser.add_argument("--folder", type=Path, help="where sets and runs of the rare state are kept (rare)")
    parser.add_argument("--data", type=Path, help="folder with ctf/ (rare)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    figures = PARTS[args.part](args)
    print(json.dumps(figures, indent=1))
    if args.out:
        report = json.loads(args.out.read_text()) if args.out.exists() else {}
        report |= {"hardware": hardware(), args.part: figures}
        args.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
