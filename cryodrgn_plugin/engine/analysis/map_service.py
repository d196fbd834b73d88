"""Maps on request over a pipe, from a model that is loaded once: what a viewer asks whose map follows the mouse.

Each message is one line of JSON; a map follows its line as raw numbers. The first line tells what there is:

    {"ready": true, "box": 64, "pixel_size_ang": 1.8, "z_dim": 2}

A request names a point, and at will another whose map is taken off, or which half of the particles, 1 or 2, to use:

    {"z": [0.3, -1.2]}      {"z": [0.3, -1.2], "minus": [0, 0]}      {"z": [0.3, -1.2], "half": 1}

Requests are answered one by one, in their order, by a map (D, D, D) in the order z, y, x, or by what was wrong:

    {"shape": [64, 64, 64], "type": "<f4", "bytes": 1048576}      {"error": "One sentence."}
"""

import json
from typing import Any, BinaryIO

import numpy as np

from ..errors import DataError, EngineError
from .volumes import TrainedDecoder

LONGEST_REQUEST = 1 << 20
"""Bytes of a line, which no point of a latent space comes near."""
_FORM = 'A request is one line of JSON such as {"z": [0.5, -1]}'


def serve_maps(decoder: TrainedDecoder, z_dim: int, requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer `requests` on `answers` until they end, or until nobody reads the answers any more."""
    about = {"box": decoder.box, "pixel_size_ang": decoder.pixel_size_ang, "z_dim": z_dim}
    try:
        _send(answers, {"ready": True, **about})
        while line := requests.readline(LONGEST_REQUEST):
            try:
                volume = _map_of(decoder, z_dim, line)
            except EngineError as error:
                _send(answers, {"error": str(error)})
            else:
                content = np.ascontiguousarray(volume, "<f4").tobytes()
                _send(answers, {"shape": volume.shape, "type": "<f4", "bytes": len(content)}, content)
    except BrokenPipeError:
        return


def _map_of(decoder: TrainedDecoder, z_dim: int, line: bytes) -> np.ndarray:
    """The map (D, D, D) that a request asks for."""
    try:
        request = json.loads(line)
    except ValueError:
        raise DataError(f"{_FORM}; {line[:50]!r} is none.") from None
    if not isinstance(request, dict) or "z" not in request:
        raise DataError(f"{_FORM}; {line[:50]!r} has no z.")
    if strangers := set(request) - {"z", "minus", "half"}:
        raise DataError(f"A request has z, minus and half; {min(strangers)[:50]!r} is not known.")
    half = request.get("half")
    volume = _made(decoder, _point(request["z"], z_dim), half)
    return volume - _made(decoder, _point(request["minus"], z_dim), half) if "minus" in request else volume


def _made(decoder: TrainedDecoder, z: np.ndarray, half: Any) -> np.ndarray:
    if half is None:
        return np.asarray(decoder.volume(z), np.float32)
    if half not in (1, 2):
        raise DataError(f"half is {str(half)[:50]}; it is 1 or 2.")
    halves = decoder.half_volumes(z)
    if halves is None:
        raise DataError("This run has no half-maps: they come with the fast recipe.")
    return np.asarray(halves[half - 1], np.float32)


def _point(numbers: Any, z_dim: int) -> np.ndarray:
    """A place (Z,) of the latent space, from what a request says."""
    try:
        z = np.asarray(numbers, np.float32)
    except (ValueError, TypeError, OverflowError):
        raise DataError(f"{str(numbers)[:50]} is no point of a latent space; give {z_dim} numbers.") from None
    if z.shape != (z_dim,):
        raise DataError(f"A point of shape {z.shape} was asked for; the run's latent space needs ({z_dim},).")
    if not np.isfinite(z).all():
        raise DataError(f"The point {str(numbers)[:50]} holds numbers that are not finite.")
    return z


def _send(answers: BinaryIO, head: dict[str, Any], content: bytes = b"") -> None:
    answers.write(json.dumps(head).encode() + b"\n" + content)
    answers.flush()
