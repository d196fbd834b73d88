"""`serve`: maps on request from a model that is loaded once, the same that `volumes` makes."""

import io
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.analysis.map_service import serve_maps
from cryodrgn_plugin.engine.config import RunConfig, recipe_config
from cryodrgn_plugin.engine.decoders.decoder_registry import DECODERS, make_decoder
from cryodrgn_plugin.engine.decoders.model_file import save_model
from cryodrgn_plugin.engine.decoders.restore import load_decoder
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.tests.contracts.needed_settings import settings_of
from cryodrgn_plugin.tests.engine.planted_run import BOX, PIXEL_ANG, BlobDecoder, blob_place_px, planted_run

pytestmark = pytest.mark.slow

CLI = [sys.executable, "-m", "cryodrgn_plugin.engine.cli"]
Z_DIM = 4


def settings(kind: str) -> RunConfig:
    small = {"decoder.kind": kind, "z_dim": Z_DIM, "decoder.width": 16, "decoder.layers": 2, "decoder.n_bases": 3}
    return recipe_config("fast", small | settings_of(kind))


def with_model(run: Run, kind: str, halves: bool = False) -> Run:
    """The run with a decoder of random parameters as its model, and others as those of its halves."""
    config = settings(kind)
    for seed, file in enumerate([run.model_file, *([run.half_file(1), run.half_file(2)] if halves else [])]):
        torch.manual_seed(seed)
        decoder = make_decoder(config, BOX)
        with torch.no_grad():
            for parameter in decoder.parameters():
                parameter.add_(0.3 * torch.randn(parameter.shape))
        save_model(file, config, decoder, None, PIXEL_ANG)
    return run


def answers_of(stream) -> list[dict | np.ndarray]:
    """What was answered, after the line that says what there is."""
    read = []
    while line := stream.readline():
        head = json.loads(line)
        if "bytes" in head:
            head = np.frombuffer(stream.read(head["bytes"]), head["type"]).reshape(head["shape"])
        read.append(head)
    assert read[0]["ready"] is True
    return read[1:]


def served(decoder, *requests, z_dim: int = Z_DIM) -> list[dict | np.ndarray]:
    lines = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in requests]
    answers = io.BytesIO()
    serve_maps(decoder, z_dim, io.BytesIO(b"".join(line + b"\n" for line in lines)), answers)
    answers.seek(0)
    return answers_of(answers)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return with_model(planted_run(tmp_path_factory.mktemp("served")), "basis", halves=True)


def test_three_maps_are_those_that_volumes_makes(run, tmp_path):
    rows = [0, 17, 42]
    lines = "".join(json.dumps({"z": run.latents().z[row].tolist()}) + "\n" for row in rows)
    done = subprocess.run([*CLI, "serve", str(run.path)], input=lines.encode(), capture_output=True, check=True)
    subprocess.run([*CLI, "volumes", str(run.path), "--particles", "0,17,42", "--out", str(tmp_path)], check=True)
    maps = answers_of(io.BytesIO(done.stdout))
    assert len(maps) == 3
    for k, volume in enumerate(maps):
        np.testing.assert_array_equal(volume, read_map(tmp_path / f"vol_{k:03d}.mrc")[0])
    assert np.abs(maps[0] - maps[1]).max() > 0


def test_what_is_printed_on_the_way_does_not_come_between_the_answers(run):
    code = (
        "import sys; from cryodrgn_plugin.engine.cli import serve_command as command; import argparse\n"
        "answers = command._output_for_answers_alone(); print('chatter', flush=True)\n"
        "answers.write(b'an answer'); answers.flush()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"an answer" and done.stderr == b"chatter\n"


def test_a_folder_without_a_model_is_refused_in_a_sentence(tmp_path):
    run = planted_run(tmp_path)
    done = subprocess.run([*CLI, "serve", str(run.path)], input=b"", capture_output=True, text=False, check=False)
    assert done.returncode == 2 and done.stdout == b""
    assert done.stderr.count(b"\n") == 1 and b"training has not finished" in done.stderr


@pytest.mark.parametrize("kind", DECODERS)
def test_every_decoder_serves_its_own_maps(kind, tmp_path):
    decoder = load_decoder(with_model(planted_run(tmp_path), kind))
    z = [0.4, -1.0, 0.2, 0.7]
    (volume,) = served(decoder, {"z": z})
    np.testing.assert_array_equal(volume, decoder.volume(np.array(z, np.float32)))


def test_a_map_is_made_where_it_was_asked_for_and_requests_are_answered_in_order():
    maps = served(BlobDecoder(), *({"z": [place, 0, 0, 0]} for place in (3, -5, 1)))
    np.testing.assert_allclose([blob_place_px(volume) for volume in maps], [3, -5, 1], atol=1e-3)


def test_the_difference_of_two_points_is_that_of_their_maps():
    decoder, there, base = BlobDecoder(), [2.0, 0, 0, 0], [-2.0, 0, 0, 0]
    (difference,) = served(decoder, {"z": there, "minus": base})
    np.testing.assert_array_equal(difference, decoder.volume(np.array(there)) - decoder.volume(np.array(base)))


def test_the_halves_are_those_of_the_decoder(run):
    decoder = load_decoder(run)
    z = run.latents().z[3]
    maps = served(decoder, *({"z": z.tolist(), "half": half} for half in (1, 2)))
    for volume, half in zip(maps, decoder.half_volumes(z), strict=True):
        np.testing.assert_array_equal(volume, half)


@pytest.mark.parametrize(
    ("request_line", "word"),
    [
        (b"hello", "one line of JSON"),
        (b"[1, 2]", "has no z"),
        ({"minus": [0, 0, 0, 0]}, "has no z"),
        ({"z": [1, 2]}, "needs (4,)"),
        ({"z": 3}, "needs (4,)"),
        ({"z": ["a", 0, 0, 0]}, "give 4 numbers"),
        ({"z": [[1], [2, 3]]}, "give 4 numbers"),
        ({"z": None}, "needs (4,)"),
        (b'{"z": [NaN, 0, 0, 0]}', "not finite"),
        ({"z": [0, 0, 0, 0], "minus": [1]}, "needs (4,)"),
        ({"z": [0, 0, 0, 0], "half": 3}, "it is 1 or 2"),
        ({"z": [0, 0, 0, 0], "hlaf": 1}, "'hlaf' is not known"),
    ],
)
def test_a_wrong_request_is_answered_by_a_sentence_and_the_next_is_served(request_line, word):
    wrong, right = served(BlobDecoder(), request_line, {"z": [1, 0, 0, 0]})
    assert set(wrong) == {"error"} and word in wrong["error"] and wrong["error"].endswith(".")
    assert blob_place_px(right) == pytest.approx(1, abs=1e-3)


def test_halves_of_a_run_without_them_are_refused():
    (answer,) = served(BlobDecoder(halves=False), {"z": [0, 0, 0, 0], "half": 1})
    assert "no half-maps" in answer["error"]


def test_it_ends_when_its_input_does_or_when_nobody_reads(run):
    process = subprocess.Popen([*CLI, "serve", str(run.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert b"ready" in process.stdout.readline()
    process.stdin.close()
    assert process.wait(timeout=60) == 0
    process.stdout.close()

    class Broken(io.BytesIO):
        def write(self, _content) -> int:
            raise BrokenPipeError

    serve_maps(BlobDecoder(), Z_DIM, io.BytesIO(b"{}\n"), Broken())
