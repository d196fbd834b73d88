"""Planted faults of a particle set are found and named, and a set without fault is called so."""

import json
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.analysis.figure_style import figure
from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.errors import ConfigError
from cryodrgn_plugin.engine.imaging.ctf import evaluate_ctf
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.io.mrc import read_map, write_stack
from cryodrgn_plugin.engine.io.particles import read_particles
from cryodrgn_plugin.engine.io.stacks import StackReader
from cryodrgn_plugin.engine.preflight import preflight_page
from cryodrgn_plugin.engine.preflight.duplicates import check_duplicates
from cryodrgn_plugin.engine.preflight.images import check_images, look_at_images
from cryodrgn_plugin.engine.preflight.optics_checks import check_detector, check_optics, check_sign
from cryodrgn_plugin.engine.preflight.pixel import judge_pixel_size, scan_pixel_size
from cryodrgn_plugin.engine.preflight.pose_checks import judge_poses, right_poses, try_poses
from cryodrgn_plugin.engine.preflight.preflight_options import PreflightOptions
from cryodrgn_plugin.engine.preflight.survey import survey
from cryodrgn_plugin.engine.preflight.view_checks import check_views
from cryodrgn_plugin.engine.reconstruction.accumulator import Accumulator
from cryodrgn_plugin.engine.reconstruction.fsc import fsc
from cryodrgn_plugin.engine.slicing.compute import Compute
from cryodrgn_plugin.engine.slicing.sphere import HalfSphere
from cryodrgn_plugin.engine.vetting.case import Case
from cryodrgn_plugin.engine.vetting.evidence import PADDING, Story, evidence
from cryodrgn_plugin.engine.vetting.transfer import judge_noise, judge_transfer, noise_follows_ctf, try_transfer
from cryodrgn_plugin.engine.vetting.verdicts import OK, STOP, WARN, Verdict

from .particle_files import ctf_params, molecule, optics, project, rows, write_set

pytestmark = pytest.mark.slow

COUNT, BOX, PIXEL = 300, 32, 4.0
GROUP = optics(box=BOX, pixel_ang=PIXEL)


@pytest.fixture(scope="module")
def clean():
    """Table, noise-free images without CTF, and white noise, of a set without fault: a compact molecule with detail."""
    table = rows(COUNT, seed=5)
    blobs = molecule(radius_ang=34.0, width_ang=4.0)
    images = project(blobs, table, GROUP, with_ctf=False)
    images /= images.std()
    return table, images, np.random.default_rng(1).normal(size=images.shape)


@pytest.fixture(scope="module")
def good(clean):
    table, images, noise = clean
    return seen(images, table) + noise


def seen(images, table, change=lambda ctf: ctf):
    """Images after a transfer function made from their CTF."""
    lattice = HalfPlane(BOX, BOX // 2 - 1)
    ctf = evaluate_ctf(ctf_params(table, GROUP), lattice.indices / (BOX * PIXEL))
    return lattice.images(lattice.spectra(images) * change(ctf))


def look(folder, images, table, groups=None):
    """The verdicts of a whole survey, by check."""
    return {verdict.check: verdict for verdict in surveyed(folder, images, table, groups).verdicts}


def surveyed(folder, images, table, groups=None):
    path = write_set(folder, np.asarray(images, np.float32), table, groups or [GROUP])
    return survey(path, PreflightOptions(tested=COUNT), lambda *_: None)


def opened(folder, images, table, groups=None):
    """The same set as a dataset."""
    return ParticleDataset.open(write_set(folder, np.asarray(images, np.float32), table, groups or [GROUP]))


def case_of(dataset, count=COUNT):
    part = dataset.subset(np.arange(count))
    return Case.of(part, estimate_noise(part), np.arange(count) % 2, seed=0)


def pose_verdict(folder, images, table):
    case = case_of(opened(folder, images, table))
    trials = try_poses(case, PIXEL, ignored)
    return judge_poses(case, trials, right_poses(case, trials))


def ctf_verdict(folder, images, table, groups=None):
    dataset = opened(folder, images, table, groups)
    batch = dataset.batch(np.arange(COUNT))
    share = noise_follows_ctf(batch.spectra, batch.ctf, dataset.lattice)
    case = case_of(dataset)
    return judge_noise(share, case.stated) or judge_transfer(try_transfer(case, ignored), case.stated, share)


def images_verdict(folder, images, table):
    table = read_particles(write_set(folder, images.astype(np.float32), table, [GROUP]))
    stacks = StackReader(table.image_names, [folder])
    return check_images(table, look_at_images(stacks, np.arange(COUNT), lambda *_: None))


def ignored(_name):
    """Nobody watches the progress of these tests."""


def test_a_set_without_fault_is_called_so(tmp_path, good, clean):
    verdicts = look(tmp_path, good, clean[0])
    assert {verdict.level for verdict in verdicts.values()} == {OK}
    assert set(verdicts) == {
        *("duplicates", "pixel size in files", "images", "sign", "views", "poses", "CTF", "pixel size", "map")
    }  # fmt: skip


def test_black_protein_is_seen(tmp_path, good, clean):
    verdict = check_sign(opened(tmp_path, -good, clean[0]))
    assert verdict.level == WARN and "black" in verdict.sentence
    assert pose_verdict(tmp_path, -good, clean[0]).level == OK


def test_optics_groups_of_opposite_sign_are_named(tmp_path, good, clean):
    table = clean[0].assign(rlnOpticsGroup=1 + np.arange(COUNT) % 2)
    signs = np.where(np.arange(COUNT) % 2, -1, 1)[:, None, None]
    verdict = check_sign(opened(tmp_path, good * signs, table, [GROUP, optics(2, BOX, PIXEL)]))
    assert verdict.level == STOP and "white in optics group 1 and black in 2" in verdict.sentence


def test_poses_of_other_images_are_seen(tmp_path, good, clean):
    columns = ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst"]
    table = clean[0].copy()
    table[columns] = table[columns].to_numpy()[np.random.default_rng(0).permutation(COUNT)]
    verdict = pose_verdict(tmp_path, good, table)
    assert verdict.level == STOP and "do not belong to these images" in verdict.sentence


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda t: t.assign(rlnAnglePsi=-t.rlnAnglePsi), "other sign of psi"),
        (lambda t: t.assign(rlnAngleRot=-t.rlnAngleRot), "other sign of rot"),
        (
            lambda t: t.assign(rlnAngleRot=-t.rlnAnglePsi, rlnAngleTilt=-t.rlnAngleTilt, rlnAnglePsi=-t.rlnAngleRot),
            "inverse rotations",
        ),
        (lambda t: t.assign(rlnOriginXAngst=-t.rlnOriginXAngst, rlnOriginYAngst=-t.rlnOriginYAngst), "sign of origins"),
        (
            lambda t: t.assign(rlnOriginXAngst=t.rlnOriginXAngst / PIXEL, rlnOriginYAngst=t.rlnOriginYAngst / PIXEL),
            "origins in pixels",
        ),
        (lambda t: t.assign(**np.radians(t[["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]])), "angles in radians"),
    ],
)
def test_a_mix_up_of_poses_is_named(tmp_path, good, clean, change, named):
    verdict = pose_verdict(tmp_path, good, change(clean[0]))
    assert verdict.level == STOP and named in verdict.sentence


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda x: np.roll(x[:, ::-1], 1, axis=1), "images upside down"),
        (lambda x: x.transpose(0, 2, 1), "images transposed"),
    ],
)
def test_images_stored_with_other_axes_are_named(tmp_path, good, clean, change, named):
    # The astigmatism of the file is turned with the images, as whoever stored them so would have found it.
    verdict = pose_verdict(tmp_path, change(good), clean[0].assign(rlnDefocusU=clean[0].rlnDefocusV))
    assert verdict.level == STOP and named in verdict.sentence


def test_the_other_hand_is_not_judged(tmp_path, good, clean):
    verdict = pose_verdict(tmp_path, good, clean[0].assign(rlnAngleTilt=-clean[0].rlnAngleTilt))
    assert verdict.level == OK and "no image tells the hand" in verdict.sentence


@pytest.mark.parametrize(
    ("change", "flag", "named"),
    [
        (np.abs, "rlnCtfDataArePhaseFlipped", "phases of the images look flipped"),
        (np.square, "rlnCtfDataAreCtfPremultiplied", "look multiplied by their CTF"),
        (np.ones_like, None, "either they are corrected for it"),
    ],
)
def test_what_was_done_about_the_ctf_is_seen(tmp_path, clean, change, flag, named):
    table, images, noise = clean
    treated = seen(images, table, change) + (seen(noise, table) if change is np.square else noise)
    verdict = ctf_verdict(tmp_path, treated, table)
    assert verdict.level == STOP and named in verdict.sentence
    if flag is not None:
        assert ctf_verdict(tmp_path, treated, table, [{**GROUP, flag: 1}]).level == OK
        untreated = ctf_verdict(tmp_path, seen(images, table) + noise, table, [{**GROUP, flag: 1}])
        assert untreated.level == STOP and "as the microscope left them" in untreated.sentence


def test_defoci_of_other_images_are_seen(tmp_path, good, clean):
    table = clean[0].copy()
    order = np.random.default_rng(0).permutation(COUNT)
    table["rlnDefocusU"], table["rlnDefocusV"] = (
        table.rlnDefocusU.to_numpy()[order],
        table.rlnDefocusV.to_numpy()[order],
    )
    verdict = ctf_verdict(tmp_path, good, table)
    assert verdict.level == STOP and "the defoci are those of other images" in verdict.sentence


def test_a_file_without_ctf_is_told_so(tmp_path, good, clean):
    table = clean[0].drop(columns=["rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle"])
    verdicts = look(tmp_path, good, table)
    assert verdicts["CTF"].level == WARN and "no CTF" in verdicts["CTF"].sentence
    assert verdicts["poses"].level == OK and "pixel size" not in verdicts


@pytest.mark.parametrize(("stated", "level"), [(8.0, STOP), (4.4, STOP), (4.12, WARN)])
def test_a_wrong_pixel_size_is_found_within_two_percent(tmp_path, good, clean, stated, level):
    case = case_of(opened(tmp_path, good, clean[0], [{**GROUP, "rlnImagePixelSize": stated}]), 250)
    verdict = judge_pixel_size(scan_pixel_size(case, ignored), stated)
    assert verdict.level == level
    assert verdict.figures["fitting_ang"] == pytest.approx(PIXEL, rel=0.02)


def test_a_wrong_pixel_size_is_not_blamed_on_the_ctf(tmp_path, good, clean):
    verdicts = look(tmp_path, good, clean[0], [{**GROUP, "rlnImagePixelSize": 2.0}])
    assert verdicts["pixel size"].level == STOP
    assert "when the pixel size is right" in verdicts["CTF"].sentence


def test_the_pixel_size_is_judged_with_the_poses_that_are_right(tmp_path, good, clean):
    table = clean[0].assign(rlnAnglePsi=-clean[0].rlnAnglePsi)
    verdicts = look(tmp_path, good, table, [{**GROUP, "rlnImagePixelSize": 4.4}])
    assert verdicts["poses"].level == verdicts["pixel size"].level == STOP
    assert verdicts["pixel size"].figures["fitting_ang"] == pytest.approx(PIXEL, rel=0.02)


def test_a_stack_of_another_pixel_size_is_named(tmp_path, good, clean):
    path = write_set(tmp_path, good.astype(np.float32), clean[0], [GROUP])
    write_stack(tmp_path / "stack.mrcs", good.astype(np.float32), 2.0)
    table = read_particles(path)
    verdict = check_optics(table, StackReader(table.image_names, [tmp_path]))
    assert verdict.level == WARN and "4 Å per pixel for row 1, but the header of its stack 2 Å" in verdict.sentence


def test_repeated_images_are_counted(tmp_path, good, clean):
    table = clean[0].copy()
    table.loc[[7, 9], "rlnImageName"] = "3@stack.mrcs"
    verdict = check_duplicates(opened(tmp_path, good, table).table)
    assert verdict.level == WARN and verdict.figures["same_image"] == 2 and verdict.figures["rows"] == [7, 9]
    table["rlnRandomSubset"] = 1 + np.arange(COUNT) % 2
    assert check_duplicates(opened(tmp_path, good, table).table).level == STOP


def test_repeated_places_on_a_micrograph_are_counted(tmp_path, good, clean):
    table = clean[0].assign(rlnCoordinateX=np.arange(COUNT) * 10.0, rlnCoordinateY=5.0)
    table.loc[11, "rlnCoordinateX"] = 40.02
    verdict = check_duplicates(opened(tmp_path, good, table).table)
    assert verdict.level == WARN and verdict.figures["rows"] == [11]


def test_images_of_equal_content_are_named(tmp_path, good, clean):
    images = good.copy()
    images[20] = images[4]
    verdict = images_verdict(tmp_path, images, clean[0])
    assert verdict.level == WARN and "rows 5 and 21" in verdict.sentence
    named_twice = clean[0].assign(rlnImageName=clean[0].rlnImageName.replace({"000021@stack.mrcs": "5@stack.mrcs"}))
    assert images_verdict(tmp_path, good, named_twice).level == OK


def test_unusable_images_are_counted_and_the_rest_is_judged(tmp_path, good, clean):
    images = good.copy()
    images[[3, 40], 2, 2] = np.nan, np.inf
    images[100] = 1.0
    verdicts = look(tmp_path, images, clean[0])
    assert verdicts["images"].level == STOP and verdicts["images"].figures["rows"] == [3, 40, 100]
    assert "2 hold NaN or infinite values and 1 have one grey value" in verdicts["images"].sentence
    assert verdicts["poses"].level == verdicts["CTF"].level == OK


def test_images_of_unusual_contrast_are_counted(tmp_path, good, clean):
    images = good.copy()
    images[8] *= 50
    verdict = images_verdict(tmp_path, images, clean[0])
    assert verdict.level == WARN and verdict.figures["rows"] == [8]


def test_missing_views_are_seen(tmp_path, clean):
    table = clean[0].assign(rlnAngleTilt=np.random.default_rng(2).uniform(0, 30, COUNT))
    images = project(molecule(34.0, 4.0), table, GROUP)
    verdict = check_views(opened(tmp_path, images / images.std() + clean[2], table).rotations)
    # Slices tilted by up to 30° leave a double cone of half-angle 60° less the tolerance.
    assert verdict.level == WARN
    assert verdict.figures["unseen_share"] == pytest.approx(1 - np.cos(np.radians(56)), abs=0.03)


def test_without_poses_the_rest_is_judged(tmp_path, good, clean):
    table = clean[0].drop(columns=["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"])
    verdicts = look(tmp_path, good, table)
    assert verdicts["poses"].level == WARN and "no poses" in verdicts["poses"].sentence
    assert verdicts["images"].level == OK


def test_a_file_that_cannot_be_opened_is_a_verdict(tmp_path, good, clean):
    path = write_set(tmp_path, good.astype(np.float32), clean[0], [GROUP])
    (tmp_path / "stack.mrcs").unlink()
    (*_, verdict) = survey(path, PreflightOptions(), lambda *_: None).verdicts
    assert verdict.level == STOP and "1 of 1 image stacks are absent" in verdict.sentence


def test_noise_follows_the_ctf_where_it_was_multiplied_by_it(clean):
    table, _, noise = clean
    lattice = HalfPlane(BOX, BOX // 2 - 1)
    ctf = evaluate_ctf(ctf_params(table, GROUP), lattice.indices / (BOX * PIXEL))
    spectra = lattice.spectra(noise)
    assert abs(noise_follows_ctf(spectra, ctf, lattice)) < 0.02
    assert noise_follows_ctf(spectra * ctf, ctf, lattice) == pytest.approx(1, abs=0.02)


def test_evidence_is_the_likelihood_gained_by_the_images_of_the_other_half(tmp_path, good, clean):
    path = write_set(tmp_path, good.astype(np.float32), clean[0], [GROUP])
    dataset = ParticleDataset.open(path).subset(np.arange(60))
    halves = np.arange(60) % 2
    case = Case.of(dataset, estimate_noise(dataset), halves, seed=0)
    images, story = case.images, case.story
    maps = []
    for half in (0, 1):
        own, sums = halves == half, Accumulator(images.lattice, PADDING)
        sums.add(
            images.spectra[own], story.transfer[own], story.rotations[own], noise_variance=images.variance[own]
        )  # fmt: skip
        maps.append(sums.volume())
    curve = np.clip(fsc(*maps), 0, 1)
    backend = Compute().backend(HalfSphere(BOX, PADDING, images.lattice.radius), images.lattice)
    kept = torch.from_numpy(np.append(curve, np.zeros(backend.sphere.n_shells))).float()[backend.shells]
    expected = np.empty(60)
    for i in range(60):
        coefs = backend.coefficients(backend.compute.tensor(maps[1 - halves[i]][None])) * kept[:, None, None]
        rotation = backend.compute.tensor(story.rotations[i : i + 1])
        slices = backend.mix(coefs, torch.ones(1, 1), rotation, images.lattice.size)
        model, x = story.transfer[i] * slices[0].numpy(), images.spectra[i]
        weight = images.lattice.multiplicity / images.variance[i] / 2
        expected[i] = (weight * (np.abs(x) ** 2 - np.abs(x - model) ** 2)).sum()
    np.testing.assert_allclose(case.given.gains, expected, rtol=2e-3, atol=2e-3)


def test_a_story_in_which_the_molecule_lies_elsewhere_explains_as_much(tmp_path, good, clean):
    path = write_set(tmp_path, good.astype(np.float32), clean[0], [GROUP])
    case = case_of(ParticleDataset.open(path))
    still = Story(case.story.transfer, case.story.rotations, np.zeros((COUNT, 2)))
    np.testing.assert_allclose(evidence(case.images, still).gains, case.given.gains, rtol=1e-4, atol=1e-4)
    along = case.story.rotations[:, :2] @ [6.0, -4.0, 5.0]
    moved = evidence(case.images, Story(case.story.transfer, case.story.rotations, along))
    assert moved.gains.mean() == pytest.approx(case.given.gains.mean(), rel=0.05)  # the map has moved, no more


def test_options_out_of_range_are_refused():
    for options in ({"particles": 5}, {"box": 33}, {"tested": 0}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            PreflightOptions(**options)


def test_the_command_leaves_page_index_and_maps(tmp_path, good, clean, capsys):
    path = write_set(tmp_path, good.astype(np.float32), clean[0], [GROUP])
    command = ["preflight", str(path), "--out", str(tmp_path / "out"), "--tested", "200", "--seed", "3"]
    assert main([*command, "--strict"]) == 0
    assert "ok    poses: The poses belong to the images" in capsys.readouterr().out
    index = json.loads((tmp_path / "out" / "preflight.json").read_text())
    assert index["schema"] == 1 and index["verdict"] == "ok" and index["particles"] == index["looked_at"] == COUNT
    assert index["options"]["seed"] == 3
    for name in index["files"].values():
        assert (tmp_path / "out" / name).stat().st_size > 0
    volume, pixel_ang = read_map(tmp_path / "out" / index["files"]["map"])
    assert volume.shape == (BOX,) * 3 and pixel_ang == pytest.approx(PIXEL)
    first = index["checks"]
    assert main(command) == 0
    assert json.loads((tmp_path / "out" / "preflight.json").read_text())["checks"] == first


def test_strict_refuses_what_a_verdict_stops(tmp_path, good, clean, capsys):
    table = clean[0].assign(rlnAnglePsi=-clean[0].rlnAnglePsi)
    path = write_set(tmp_path, good.astype(np.float32), table, [GROUP])
    assert main(["preflight", str(path), "--out", str(tmp_path / "out"), "--tested", "200", "--strict"]) == 2
    assert "give rlnAnglePsi the other sign" in capsys.readouterr().err


def test_a_detectors_curve_is_a_verdict_that_says_what_becomes_of_it(tmp_path, good, clean):
    verdicts = look(tmp_path, good, clean[0], [{**GROUP, "rlnMtfFileName": "mtf_k3.star"}])
    assert verdicts["detector"].level == OK and verdicts["detector"].figures == {"curves": ["mtf_k3.star"]}
    assert verdicts["detector"].sentence.startswith("The detector's response (rlnMtfFileName: mtf_k3.star) is not div")
    none = opened(tmp_path, good, clean[0], [{**GROUP, "rlnMtfFileName": "None"}]).table
    assert check_detector(none) is None and check_detector(opened(tmp_path, good, clean[0]).table) is None


def test_all_verdicts_stand_on_the_page_and_no_legend_on_a_curve(tmp_path, good, clean, monkeypatch):
    """A dozen verdicts of some lines more, letters drawn and measured."""
    drawn = []

    @contextmanager
    def kept(*about):
        with figure(*about) as page:
            yield page
        drawn.append(page)

    monkeypatch.setattr(preflight_page, "figure", kept)
    found = surveyed(tmp_path, good, clean[0])
    found.verdicts += [Verdict(f"check {number}", WARN, "a word or two of it " * 14) for number in range(12)]
    preflight_page.draw_page(tmp_path / "page.png", found)
    (page,) = drawn
    left, right = page.subfigs
    renderer = page.canvas.get_renderer()
    boxes = [text.get_window_extent(renderer) for text in left.texts]
    assert len(boxes) > 12 * 3 and min(box.y0 for box in boxes) >= 0
    assert max(box.x1 for box in boxes) <= left.bbox.x1
    halves = next(ax for ax in right.axes if ax.get_title(loc="left") == "two halves")
    legend = halves.get_legend().get_window_extent(renderer)
    assert legend.y0 >= halves.bbox.y1 and legend.x1 <= page.bbox.x1
