"""Maps on request over a pipe, from a model that is loaded once: what a viewer asks whose map follows the mouse.

Each message is one line of JSON; a map follows its line as raw numbers. The first line tells what there is:

    {"ready": true, "box": 64, "pixel_size_ang": 1.8, "z_dim": 2}

A request names a point, and at will another whose map is taken off, or which half of the particles, 1 or 2, to use:

    {"z": [0.3, -1.2]}      {"z": [0.3, -1.2], "minus": [0, 0]}      {"z": [0.3, -1.2], "half": 1}

Requests are answered one by one, in their order, by a map (D, D, D) in the order z, y, x, or by what was wrong:

    {"shape": [64, 64, 64], "type": "<f4", "bytes": 1048576}      {"error": "One sentence."}

Images of particles near the point are asked for by their number, with the place among the latents, from 0, of the one
whose view all shall have (else that of the nearest). They come as (2 + n, D, D): their mean, the map's projection, and
each of n, turned alike; `places` and `away_deg` say which they are and how far their views are off.

    {"z": [0.3, -1.2], "images": 8, "like": 17}
"""

import json
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ..errors import DataError, EngineError
from .seen_images import ImagesNear, projected
from .volumes import TrainedDecoder

if TYPE_CHECKING:
    from ..run import Run

KNOWN = {"z", "minus", "half", "images", "like"}
"""What a request may have."""
MOST_IMAGES = 100
LONGEST_REQUEST = 1 << 20
"""Bytes of a line, which no point of a latent space comes near."""
_FORM = 'A request is one line of JSON such as {"z": [0.5, -1]}'


def serve_maps(
    decoder: TrainedDecoder, z_dim: int, requests: BinaryIO, answers: BinaryIO, run: "Run | None" = None
) -> None:
    """Answer `requests` on `answers` until they end, or until nobody reads the answers any more.

    Images are those of the `run`.
    """
    near = None if run is None else ImagesNear(run)
    about = {"box": decoder.box, "pixel_size_ang": decoder.pixel_size_ang, "z_dim": z_dim}
    try:
        _send(answers, {"ready": True, **about})
        while line := requests.readline(LONGEST_REQUEST):
            try:
                pixels, about = _answer(decoder, z_dim, line, near)
            except EngineError as error:
                _send(answers, {"error": str(error)})
            else:
                content = np.ascontiguousarray(pixels, "<f4").tobytes()
                _send(answers, {"shape": pixels.shape, "type": "<f4", "bytes": len(content), **about}, content)
    except BrokenPipeError:
        return


def _answer(
    decoder: TrainedDecoder, z_dim: int, line: bytes, near: ImagesNear | None
) -> tuple[np.ndarray, dict[str, Any]]:
    """The map (D, D, D) or the images that a request asks for, and what else is to be said of them."""
    try:
        request = json.loads(line)
    except ValueError:
        raise DataError(f"{_FORM}; {line[:50]!r} is none.") from None
    if not isinstance(request, dict) or "z" not in request:
        raise DataError(f"{_FORM}; {line[:50]!r} has no z.")
    if strangers := set(request) - KNOWN:
        raise DataError(f"A request has z, minus, half, images and like; {min(strangers)[:50]!r} is not known.")
    z, half = _point(request["z"], z_dim), request.get("half")
    volume = _made(decoder, z, half)
    if "images" in request:
        return _images(volume, z, request, near)
    return (volume - _made(decoder, _point(request["minus"], z_dim), half) if "minus" in request else volume), {}


def _images(
    volume: np.ndarray, z: np.ndarray, request: dict[str, Any], near: ImagesNear | None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Images near z as a request asks for them, below their mean and the map's projection."""
    count, like = request["images"], request.get("like")
    if near is None:
        raise DataError("There are no particles here whose images could be shown.")
    if not (type(count) is int and 1 <= count <= MOST_IMAGES):
        raise DataError(f"images is {str(count)[:50]}; it is a whole number from 1 to {MOST_IMAGES}.")
    if like is not None and not (type(like) is int and 0 <= like < near.n):
        raise DataError(f"like is {str(like)[:50]}; it is the place of one of {near.n:,} particles, from 0.")
    seen = near.at(z, count, like)
    stack = np.stack([seen.mean, projected(volume, seen.rotation), *seen.images])
    return stack, {"places": seen.places.tolist(), "away_deg": [round(float(away), 2) for away in seen.away_deg]}


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
