"""An atomic model in the maps of `fast`: parts, angles, occupancies, the map without motion, and who is believed.

    python benchmarks/atomic_motion.py --data DATA --work SETS --out benchmarks/results/atomic_motion.json
    python benchmarks/atomic_motion.py --data DATA --work SETS --only arm180 --particles 10000 --box 64
    python benchmarks/atomic_motion.py --data DATA --work SETS --only arm60 --kind real

Three sets of the antibody of 1igt (DATA holds models/), SNR 0.05: an arm that turns through 60° or 180° about its
hinge, evenly, and an arm that is absent in 30 %. Clean: white noise, true poses. Real: views, noise, contrast and wrong
poses as of the real_ presets. The model that is laid in is the deposition, all atoms, which lies elsewhere than the
particles.

Stated are the share of residues in the right part; the error of each particle's angle against the planted one; the area
under the FSC with the true maps of sampled images, over the box and where the truth moves, of the run's own maps and of
the corrected map's parts moved to where each particle has them; the corrected map in the arm's own frame, by half-maps
and against the truth, beside the best of the run's maps there and the average with true labels; occupancies; and how
far beads of the absent set are moved where nothing moves. `bias` lays in the right model, one with a Fv domain (of
`arm`) turned by 30°, and a part of RNA polymerase II of the same size, and says what prior-free half-maps make of each:
of the model as it was laid in, and of the shape in which it was given. `moving` does so where the arm turns through 60°
and the model has it in the middle, or at one end with its Fv domain turned by 30° besides.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from hardware import hardware
from real_sets import ARM_ENDS_AT
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.analysis import truth
from cryodrgn_plugin.engine.analysis.metric import LatentMetric
from cryodrgn_plugin.engine.atomic_motion.bias_report import checked
from cryodrgn_plugin.engine.atomic_motion.corrected_map import CorrectedMap, MotionCorrection
from cryodrgn_plugin.engine.atomic_motion.image_places import places_along
from cryodrgn_plugin.engine.atomic_motion.model_in_run import ModelInRun, laid_into
from cryodrgn_plugin.engine.atomic_motion.node_maps import node_maps
from cryodrgn_plugin.engine.atomic_motion.part_frames import PartFrames
from cryodrgn_plugin.engine.atomic_motion.part_table import particle_parts, residues_of
from cryodrgn_plugin.engine.atoms.atomic_model import AtomicModel, coarse
from cryodrgn_plugin.engine.atoms.model_reading import read_model
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.decoders.restore import load_decoder
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.likelihood.whitened import WhitenedImages
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.reconstruction.backproject import accumulate
from cryodrgn_plugin.engine.reconstruction.fsc import fsc, fsc_area
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.selection.subtraction import corrected
from cryodrgn_plugin.engine.simulate import Ensemble, simulate_particles
from cryodrgn_plugin.engine.simulate.motions import hinge_rotation, likely_hinge
from cryodrgn_plugin.engine.simulate.presets import Preset
from cryodrgn_plugin.engine.simulate.reality import REALITY

SETS = ("arm60", "arm180", "absent", "bias", "moving")
OF_SET = {"bias": "absent", "moving": "arm60"}
"""Whose images are looked at."""
BOX_ANG, STATES, ABSENT, SNR = 240.0, 40, 0.3, 0.05
SAMPLED = 40
"""Images whose maps are judged."""
TURNED_DEG, TURNED_AXIS = 30.0, np.array([0.6, 0.0, 0.8])
MOST_PARTS, MAPS = 5, 16
BY_RUN, BY_IMAGES = PLACED = ("run", "images")
"""Where images are along the motion: where the run has them, or placed anew by themselves."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with models/")
    parser.add_argument("--work", type=Path, required=True, help="sets and runs are kept here; those there are taken")
    parser.add_argument("--only", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--kind", choices=("clean", "real"), default="clean")
    parser.add_argument("--particles", type=int, default=4000)
    parser.add_argument("--box", type=int, default=48)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--placed", nargs="+", choices=PLACED, default=PLACED, help="images in the corrected map")
    parser.add_argument("--models", nargs="+", help="of bias and moving, such as right; all unless given")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    report: dict = {"particles": args.particles, "box": args.box, "kind": args.kind, "snr": SNR, "hardware": hardware()}
    for name in args.only:
        judge = believed if name in OF_SET else judged
        report[name] = [judge(name, seed, args) for seed in args.seeds]
        print(json.dumps({name: report[name]}, indent=1), flush=True)
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + "\n")


def antibody(data: Path) -> AtomicModel:
    model = read_model(data / "models" / "1igt.pdb.gz")
    return model[np.isin(model.chains, list("ABCD"))]


def in_arm(chains: np.ndarray, residues: np.ndarray, name: str) -> np.ndarray:
    """Of the arm that turns, or of the other one, which is absent."""
    light, heavy = ("C", "D") if name in ("absent", "bias") else ("A", "B")
    return (chains == light) | ((chains == heavy) & (residues <= ARM_ENDS_AT))


def ensemble(name: str, data: Path) -> Ensemble:
    model = coarse(antibody(data))
    arm = in_arm(model.chains, model.residues, name)
    if name in ("absent", "bias"):
        return Ensemble([model, model[~arm]], np.arange(2.0), np.array([1 - ABSENT, ABSENT]), ("whole", "without"))
    point, axis = likely_hinge(model.coords_ang[arm], model.coords_ang[~arm])
    half_deg = float(name.removeprefix("arm")) / 2
    angles = np.radians(np.linspace(-half_deg, half_deg, STATES))
    return Ensemble(hinge_rotation(model, arm, point, axis, angles), angles, np.ones(STATES))


def trained(name: str, seed: int, args: argparse.Namespace) -> tuple[Run, float | None]:
    """A finished run of the set, and the CPU seconds of its training; None where it was there."""
    name = OF_SET.get(name, name)
    folder = args.work / f"{name}_{args.particles}_{args.box}_{args.kind}_{seed}"
    star, place = folder / "set" / "particles.star", folder / "run"
    if not star.exists():
        preset = Preset(name, lambda states: ensemble(name, args.data), BOX_ANG, REALITY if args.kind == "real" else {})
        simulate_particles(
            preset.make(0), preset.config(args.box, n_particles=args.particles, snr=SNR), star.parent, seed
        )
    if (place / "latents.npz").exists():
        return Run.open(place), None
    config, began = recipe_config("fast", {"particles": str(star), "seed": seed}), time.process_time()
    run = Run.create(place, config, overwrite=True)
    with run.working():
        fit(run, config)
    return run, time.process_time() - began


def laid(model: AtomicModel, run: Run, seed: int) -> tuple[ModelInRun, LatentMetric]:
    decoder, latents = load_decoder(run), run.latents()
    metric = LatentMetric(decoder, latents.z)
    maps = node_maps(decoder, latents, metric, 0, MAPS, seed)
    return laid_into(model, maps, decoder.pixel_size_ang, most_parts=MOST_PARTS, seed=seed), metric


def judged(name: str, seed: int, args: argparse.Namespace) -> dict:
    run, training = trained(name, seed, args)
    began = time.process_time()
    found, metric = laid(antibody(args.data), run, seed)
    seconds = {"training": training and round(training, 1), "parts": round(time.process_time() - began, 1)}
    report = {"seed": seed, "maps": len(found.maps.z), "fit": round(found.fit.correlation, 4)}
    arm = in_arm(found.model.chains, found.model.residues, name)
    report |= {
        "stands_out": round(found.fit.stands_out, 1),
        "parts": [residues_of(found, part) for part in range(found.parts)],
        "residues_in_the_right_part": round(rightly_parted(found.part_of_atom, arm), 4),
    }
    stored = np.load(run.given_file.parent / "truth.npz")
    frames, made = moved_back(run, found, metric, seconds, args.placed)
    particles = {called: particle_parts(found, one) for called, one in frames.items()}
    part = int(np.argmax([arm[found.part_of_atom == one].mean() for one in range(found.parts)]))
    if name == "absent":
        for called, one in particles.items():
            report[called] = absence(found, one.occupancy[:, part], stored["state"])
    else:
        for called, one in frames.items():
            report[f"angle_error_deg, {called}"] = angle_error(found, one, part, stored["coordinate"])
        report |= maps_judged(run, found, frames, made, part)
    return report | {"cpu_seconds": seconds}


def rightly_parted(labels: np.ndarray, arm: np.ndarray) -> float:
    """Share of atoms that are where most of the atoms of their part belong, of the two sides of the hinge."""
    belongs = np.array([arm[labels == part].mean() > 0.5 for part in range(labels.max() + 1)])
    return float((belongs[labels] == arm).mean())


def absence(found: ModelInRun, occupancy: np.ndarray, state: np.ndarray) -> dict:
    moved = (found.bead_places_px(found.maps.points) - found.reference_px) * found.pixel_size_ang
    return {
        "occupancy": round(float(occupancy.mean()), 4),
        "planted": round(float((state == 0).mean()), 4),
        "occupancy_where_it_is": round(float(occupancy[state == 0].mean()), 4),
        "occupancy_where_it_is_not": round(float(occupancy[state == 1].mean()), 4),
        "largest_false_motion_ang": round(float(np.linalg.norm(moved, axis=2).max()), 3),
    }


def moved_back(
    run: Run, found: ModelInRun, metric: LatentMetric, seconds: dict, placed: list[str]
) -> tuple[dict[str, PartFrames], dict[str, CorrectedMap]]:
    """How the parts lie in particles and the corrected map, with images where the run has them and placed anew."""
    latents, dataset = run.latents(), corrected(run)
    noise = estimate_noise(dataset)
    nodes = places_along(metric.positions, 0) if latents.states is None else found.maps.points
    made = {}
    for by in placed:
        began = time.process_time()
        places = nodes if by == BY_IMAGES else None
        correction = MotionCorrection(found, dataset, noise, metric.positions, latents.contrast, places)
        made[f"placed by {by}"] = correction.maps(latents.half)
        seconds[f"corrected map, placed by {by}"] = round(time.process_time() - began, 1)
    frames = {called: each.frames for called, each in made.items()}
    return frames, made


def angle_error(found: ModelInRun, frames: PartFrames, part: int, planted: np.ndarray) -> dict:
    """Of every particle's angle between the arm and the rest about the planted axis, from the model's own, which is
    0."""
    rotations = frames.rotations
    frame = int(np.argmax(np.bincount(found.motion.labels) * (np.arange(found.parts) != part)))
    vectors = Rotation.from_matrix(np.swapaxes(rotations[:, frame], 1, 2) @ rotations[:, part]).as_rotvec()
    axis = np.linalg.svd(vectors.T @ vectors)[0][:, 0]
    angles = vectors @ axis
    angles *= np.sign(np.corrcoef(angles, planted)[0, 1])
    error = np.abs(np.degrees(angles - planted))
    return {
        "mean": round(float(error.mean()), 3),
        "median": round(float(np.median(error)), 3),
        "rank_correlation": round(truth.rank_correlation(angles, planted), 4),
    }


def maps_judged(
    run: Run, found: ModelInRun, frames: dict[str, PartFrames], made: dict[str, CorrectedMap], part: int
) -> dict:
    decoder, latents, dataset = load_decoder(run), run.latents(), corrected(run)
    known = truth.Truth.open(run.given_file.parent).at_box(decoder.box)
    sample = np.random.default_rng(5).choice(dataset.n, SAMPLED, replace=False)
    mean = accumulate(dataset, None, None, estimate_noise(dataset), latents.half)
    consensus = [each.volume() for each in mean]
    volumes = {
        "fast": np.stack([decoder.volume(latents.z[i]) for i in sample]),
        "consensus": np.broadcast_to(sum(consensus) / 2, (len(sample), *consensus[0].shape)),
    }
    for called, each in made.items():
        volumes[f"parts of the corrected map, {called}"] = np.stack(list(each.at(frames[called][sample])))
    return {
        "maps_of_images": {
            called: rounded(vars(truth.map_quality(each, known, sample))) for called, each in volumes.items()
        },
        "arm_in_its_own_frame": arm_in_frame(run, found, made, consensus, known, part),
    }


def arm_in_frame(
    run: Run, found: ModelInRun, made: dict[str, CorrectedMap], consensus: list, known: truth.Truth, part: int
) -> dict:
    """Areas under FSC curves inside the arm's mask: of half-maps, and with the truth in the state that is the
    model's."""
    mask = next(iter(made.values())).part_masks[part]
    last = len(mask) // 2 - 1
    planted = np.load(run.given_file.parent / "truth.npz")["state_coordinates"]
    middle = int(np.argmin(np.abs(planted)))
    true, dataset = known.maps[middle], corrected(run)
    images = WhitenedImages(dataset, estimate_noise(dataset))
    averages = truth.class_averages(
        images, len(mask), run.config.decoder.padding, known, np.flatnonzero(known.state == middle)[:1]
    )

    def area(one: np.ndarray, other: np.ndarray) -> float:
        return round(fsc_area(fsc(one, other, mask), last), 4)

    halves, reference = found.maps.halves, found.reference
    return {
        "half_maps": {
            **{f"corrected, {called}": area(*each.halves) for called, each in made.items()},
            "consensus": area(*consensus),
            "fast_at_the_model": area(*halves[:, reference]),
        },
        "with_the_truth": {
            **{f"corrected, {called}": area(each.combined(), true) for called, each in made.items()},
            "consensus": area(sum(consensus) / 2, true),
            "best_of_the_maps_of_fast": max(area(volume, true) for volume in found.maps.volumes),
            "average_with_true_labels": area(averages[0], true),
        },
    }


def believed(name: str, seed: int, args: argparse.Namespace) -> dict:
    """The right model and wrong ones laid into one run."""
    run, _ = trained(name, seed, args)
    right = antibody(args.data)
    models = {"right": right, "domain turned": fv_turned(right)}
    if name == "bias":
        other = read_model(args.data / "models" / "1WCM.pdb.gz")
        models["other protein"] = other[other.chains == "A"]
    else:
        arm = in_arm(right.chains, right.residues, name)
        seen = coarse(right)
        in_seen = in_arm(seen.chains, seen.residues, name)
        point, axis = likely_hinge(seen.coords_ang[in_seen], seen.coords_ang[~in_seen])
        at_end = next(iter(hinge_rotation(right, arm, point, axis, np.radians([30.0]))))
        models = {"right": right, "at one end": at_end, "domain turned": fv_turned(at_end)}
    report: dict = {"seed": seed}
    for called in args.models or models:
        model = models[called]
        found, _ = laid(model, run, seed)
        check = checked(run, found, run.latents(), load_decoder(run), seed)
        report[called] = {
            "outcome": check.outcome,
            "fits": found.fit.fits,
            "stands_out": round(found.fit.stands_out, 1),
            "trusted": check.bias.trusted,
            "flagged_share": round(check.bias.flagged_share, 4),
            "domains": [domain.entry() for domain in check.domains or []],
        }
        print(called, json.dumps(report[called], indent=1), flush=True)
    return report


def fv_turned(model: AtomicModel) -> AtomicModel:
    """The model with the Fv domain of the arm turned by 30° about its own centre."""
    domain = ((model.chains == "A") & (model.residues <= 107)) | ((model.chains == "B") & (model.residues <= 115))
    turn = Rotation.from_rotvec(np.radians(TURNED_DEG) * TURNED_AXIS)
    coords, centre = model.coords_ang.copy(), model.coords_ang[domain].mean(axis=0)
    coords[domain] = turn.apply(coords[domain] - centre) + centre
    return model.moved(coords)


def rounded(figures: dict) -> dict:
    return {name: round(float(value), 4) for name, value in figures.items()}


if __name__ == "__main__":
    main()
