"""The process behind an open explorer: the latest request wins, a death is made good once, and nothing outlives it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("pwem")

from cryodrgn_plugin.viewers.resident_decoder import Answer, ResidentDecoder

from .patience import Patience

ENGINE = """
import json, os, struct, sys, time
print(json.dumps({"ready": True, "box": 2, "pixel_size_ang": 3.5, "z_dim": 1}), flush=True)
for line in sys.stdin:
    z = json.loads(line)["z"][0]
    with open(sys.argv[1], "a") as heard:
        heard.write(f"{os.getpid()} {z}\\n")
    if z == 666:
        os._exit(9)
    time.sleep(0.3)
    if z < 0:
        print(json.dumps({"error": "There is nothing below zero."}), flush=True)
    else:
        print(json.dumps({"shape": [2, 2, 2], "type": "<f4", "bytes": 32}), flush=True)
        sys.stdout.buffer.write(struct.pack("<f", z) * 8)
        sys.stdout.flush()
"""
"""Speaks as the engine does; the map at z is z everywhere. It writes down who was asked for what."""


@pytest.fixture
def heard(tmp_path):
    return tmp_path / "heard"


@pytest.fixture
def decoder(heard):
    made = ResidentDecoder([sys.executable, "-c", ENGINE, str(heard)])
    made.start()
    yield made
    made.close()


def wait(until: Callable[[], object], seconds: float = 20):
    """What `until` gives once it is true."""
    patience = Patience(seconds)
    while not (value := until()):
        assert not patience.is_over()
        time.sleep(0.01)
    return value


def asked(decoder: ResidentDecoder, index: int, z: float) -> Answer:
    decoder.ask(index, np.array([z]))
    return wait(decoder.newest)


def is_alive(process_id: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        with open(f"/proc/{process_id}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_map_comes_with_its_index_and_pixel_size(decoder):
    answer = asked(decoder, 7, 1.5)
    assert answer.index == 7 and answer.pixel_size_ang == 3.5 and not answer.error
    np.testing.assert_array_equal(answer.volume, np.full((2, 2, 2), 1.5, np.float32))
    assert decoder.newest() is None and not decoder.is_busy


def test_of_many_requests_the_first_and_the_last_are_made(decoder, heard):
    decoder.ask(0, np.array([0.0]))
    wait(heard.exists)
    for place in range(1, 30):
        decoder.ask(place, np.array([float(place)]))
    wait(lambda: (answer := decoder.newest()) is not None and answer.index == 29)
    assert [line.split()[1] for line in heard.read_text().splitlines()] == ["0.0", "29.0"]


def test_a_request_that_is_wrong_ends_in_a_sentence_and_the_next_is_served(decoder):
    answer = asked(decoder, 1, -1)
    assert answer.volume is None and answer.error == "There is nothing below zero."
    assert asked(decoder, 2, 3).volume[0, 0, 0] == 3


def test_a_killed_process_is_started_once_more_and_makes_what_was_asked(decoder):
    asked(decoder, 0, 1)
    first = decoder.process_id
    os.kill(first, signal.SIGKILL)
    assert asked(decoder, 1, 2).volume[0, 0, 0] == 2
    second = decoder.process_id
    assert second != first
    os.kill(second, signal.SIGKILL)
    answer = asked(decoder, 2, 3)
    assert answer.volume is None and "ended unexpectedly" in answer.error and answer.error.endswith(".")
    assert decoder.process_id is None and asked(decoder, 3, 3).error == answer.error


def test_what_kills_the_process_is_tried_twice_and_then_given_up(decoder, heard):
    assert "exit code 9" in asked(decoder, 0, 666).error
    assert len({line.split()[0] for line in heard.read_text().splitlines()}) == 2


def test_what_the_engine_says_of_a_mistake_is_said_and_not_tried_again(heard):
    code = f"import sys; open({str(heard)!r}, 'a').write('x'); sys.exit('cryodrgn-plugin: There is no run here.')"
    decoder = ResidentDecoder([sys.executable, "-c", code])
    decoder.start()
    assert asked(decoder, 0, 0).error == "There is no run here." and not decoder.is_ready
    assert heard.read_text() == "x"


def test_a_python_that_is_not_there_is_named():
    decoder = ResidentDecoder(["no/such/python", "-m", "engine"])
    decoder.start()
    assert asked(decoder, 0, 0).error == "The engine could not start: No such file or directory: no/such/python."


def test_closing_ends_the_process_also_while_it_is_at_work(decoder):
    wait(lambda: decoder.is_ready)
    process_id = decoder.process_id
    decoder.ask(0, np.array([1.0]))
    decoder.close()
    wait(lambda: not is_alive(process_id))
    assert decoder.process_id is None or not is_alive(decoder.process_id)


def test_the_process_ends_with_a_host_that_is_killed(heard):
    code = (
        "import sys, time; from cryodrgn_plugin.viewers.resident_decoder import ResidentDecoder\n"
        "decoder = ResidentDecoder([sys.executable, '-c', sys.argv[1], sys.argv[2]]); decoder.start()\n"
        "while not decoder.is_ready: time.sleep(0.01)\n"
        "print(decoder.process_id, flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", code, ENGINE, str(heard)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as host:
        process_id = int(host.stdout.readline())
        assert is_alive(process_id)
        host.kill()
    wait(lambda: not is_alive(process_id))
