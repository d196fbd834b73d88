"""Images of one view near a point: in the frame of their map, and better together than alone."""

import io
import json

import numpy as np
import pytest

from cryodrgn_plugin.engine.analysis.map_service import serve_maps
from cryodrgn_plugin.engine.analysis.seen_images import ImagesNear, projected
from cryodrgn_plugin.engine.analysis.truth import Truth
from cryodrgn_plugin.engine.config import RunConfig
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate import SimulationConfig, tiny_set

N, BOX = 600, 32


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A run whose latents are the two states, and the truth."""
    folder = tmp_path_factory.mktemp("seen")
    config = SimulationConfig(box=BOX, pixel_size_ang=3.5, snr=1.0, shift_px=2.0)
    star = tiny_set(folder / "set", n=N, states=2, seed=3, config=config)
    truth = Truth.open(star.parent)
    run = Run.create(folder / "run", RunConfig(particles=str(star), z_dim=1), command="test")
    with run.working():
        run.save_latents(truth.state[:, None].astype(np.float32))
    return run, truth


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def test_images_of_one_view_stand_as_the_projection_does_and_their_mean_is_nearer_to_it(planted):
    run, truth = planted
    first = int(np.flatnonzero(truth.state == 1)[5])
    seen = ImagesNear(run).at(np.array([1.0]), 6, first)
    assert seen.places[0] == first and (truth.state[seen.places] == 1).all()
    assert seen.away_deg[0] == 0 and (np.diff(seen.away_deg) >= 0).all() and seen.away_deg[-1] < 30
    wanted = projected(truth.maps[1], seen.rotation)
    alone = [likeness(image, wanted) for image in seen.images]
    together = likeness(seen.mean, wanted)
    assert together > 0.8 and together > max(alone) and min(alone) > 0.2
    # Turned another way, or of another view, nothing is alike.
    other = projected(truth.maps[1], np.diag([-1.0, -1.0, 1.0]) @ seen.rotation)
    assert likeness(seen.mean, other) < together - 0.2


def test_the_service_gives_them_below_their_mean_and_the_projection_of_its_map(planted):
    run, truth = planted

    class Decoder:
        box, pixel_size_ang = BOX, 3.5

        def volume(self, z):
            return truth.maps[int(z[0])]

    requests = [{"z": [0], "images": 3, "like": 7}, {"z": [0], "images": 0}, {"z": [0], "images": 2, "like": N}]
    lines = b"".join(json.dumps(request).encode() + b"\n" for request in requests)
    answers = io.BytesIO()
    serve_maps(Decoder(), 1, io.BytesIO(lines), answers, run)
    answers.seek(0)
    assert json.loads(answers.readline())["ready"]
    head = json.loads(answers.readline())
    stack = np.frombuffer(answers.read(head["bytes"]), head["type"]).reshape(head["shape"])
    seen = ImagesNear(run).at(np.array([0.0]), 3, 7)
    assert head["shape"] == [5, BOX, BOX] and head["places"] == seen.places.tolist() and head["places"][0] == 7
    np.testing.assert_array_equal(stack[0], seen.mean)
    np.testing.assert_array_equal(stack[1], projected(truth.maps[0], seen.rotation))
    assert [json.loads(line)["error"].split()[0] for line in answers] == ["images", "like"]
