"""What the problems of a training study are trained on, at which rate, and how their results are looked at.

A problem that is not listed is trained on its own data, all of it in every step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...data import digits
from ...problems import Instance, inpainting
from ...problems import digits as images_of

Params = Mapping[str, Any]
GRID = 48  # cells of a region's picture along each side
MOST_PICTURES = 16
SHOWN = 6  # completed images
HELD_OUT = 6  # one in so many images is kept away from training


@dataclass(frozen=True)
class Task:
    """How one problem is trained.

    ``data`` follow the parameters in the loss; ``batch`` rows of it are seen at each step, all if it is ``None``;
    ``rate`` is the learning rate unless the study sets one; ``of`` says in words what the loss in charts is the loss
    of; ``look(params)`` gives findings for the page, strict JSON.
    """

    data: tuple[Any, ...]
    batch: int | None = None
    rate: float = 0.1
    of: str = "all its data"
    look: Callable[[Params], dict[str, Any]] = lambda params: {}


def task(name: str, size: Mapping[str, int], instance: Instance, seed: int) -> Task:
    """The task of a problem.

    Args:
        name: of the problem.
        size: its dimensions.
        instance: at that size, in some dtype.
        seed: of the study; it also decides which images are held out.

    Returns:
        Its task.

    Example:
        >>> from difflab.problems import find
        >>> xor = find("xor")
        >>> task("xor", xor.sizes["tiny"], xor.build("tiny", "float64", 0), 0).rate
        0.5
    """
    made = TASKS.get(name)
    return Task(instance.args[1:]) if made is None else made(size, instance, seed)


# ------------------------------------------------------------------------------------------------ the problems


def _xor(_size: Mapping[str, int], instance: Instance, _seed: int) -> Task:
    x, y = instance.args[1:]
    labels = np.asarray(y)[:, 0] > 0.5

    def classify(params: Params, points: np.ndarray) -> np.ndarray:
        return layers(params, points, _sigmoid, _sigmoid)[:, 0] > 0.5

    def look(params: Params) -> dict[str, Any]:
        score = _score("points", classify(params, x), labels)
        return {"score": score, "regions": _regions(classify, params, x, labels, (-0.25, 1.25))}

    return Task((x, y), rate=0.5, of="all 8 points", look=look)


def _plane(size: Mapping[str, int], instance: Instance, _seed: int) -> Task:
    x, t, l2 = instance.args[1:]
    labels = np.argmax(t, axis=1)

    def classify(params: Params, points: np.ndarray) -> np.ndarray:
        return np.argmax(layers(params, points, np.tanh), axis=1)

    def look(params: Params) -> dict[str, Any]:
        weights = np.concatenate([np.ravel(w) for key, w in params.items() if key.startswith("w")])
        return {
            "score": _score("points", classify(params, x), labels),
            "regions": _regions(classify, params, x, labels, (-2.15, 2.15)),
            "strength": size["l2_thousandths"] / 1000,
            "weights_length": _number(np.linalg.norm(weights.astype(np.float64)), 6),
        }

    return Task((x, t, l2), rate=0.1, of=f"all {len(x)} points, the penalty included", look=look)


def _digits_mlp(size: Mapping[str, int], instance: Instance, seed: int) -> Task:
    side, classes = size["side"], size["classes"]
    images, targets = images_of.batch(side, classes, int(np.sum(digits()[1] < classes)), seed)
    x, t = (part.reshape(len(part), -1).astype(instance.args[1].dtype) for part in (images, targets))
    held = len(x) // HELD_OUT
    labels, seen = np.argmax(t[:held], axis=1), np.any(x[held:], axis=0)

    def look(params: Params) -> dict[str, Any]:
        found = np.argmax(layers(params, x[:held], np.tanh), axis=1)
        return {"score": _score("held-out digits", found, labels), "first_layer": first_layer(params["w1"], side, seen)}

    of = f"all {len(x) - held} training digits"
    return Task((x[held:], t[held:]), size["batch"], 0.5, of, look)


def _inpainting(size: Mapping[str, int], instance: Instance, seed: int) -> Task:
    side = size["side"]
    made = inpainting.examples(side, size["hole"], bool(size["anywhere"]), len(digits()[0]), seed)
    images, masks = (part.astype(instance.args[1].dtype) for part in made)
    held = len(images) // HELD_OUT
    known = (images * (1 - masks))[held:].reshape(-1, side**2)

    def off(completed: np.ndarray) -> float | None:
        """The root of the mean squared error of the hidden pixels of the images held out."""
        errors = (completed - images[:held]).astype(np.float64) * masks[:held]
        return _number(np.sqrt(np.sum(errors**2) / np.sum(masks[:held], dtype=np.float64)), 6)

    def look(params: Params) -> dict[str, Any]:
        completed = inpainting.forward(params, images[:held], masks[:held])
        shown = slice(0, SHOWN)
        return {
            "first_layer": first_layer(params["w1"][: side**2], side, np.any(known, axis=0)),
            "inpainted": {
                "original": [pixels(one) for one in images[shown]],
                "masked": [pixels(one) for one in np.where(masks[shown] > 0, np.nan, images[shown])],
                "completed": [pixels(one) for one in completed[shown]],
                "error": off(completed),
                "mean_error": off(np.broadcast_to(images[held:].mean(axis=0), completed.shape)),
            },
        }

    of = f"all {len(images) - held} training images"
    return Task((images[held:], masks[held:]), size["batch"], 0.02, of, look)


TASKS: Mapping[str, Callable[[Mapping[str, int], Instance, int], Task]] = {
    "xor": _xor,
    "plane": _plane,
    "digits-mlp": _digits_mlp,
    "inpainting": _inpainting,
}


# ------------------------------------------------------------------------------------------------ looking


def layers(
    params: Params,
    x: np.ndarray,
    inner: Callable[[np.ndarray], np.ndarray],
    last: Callable[[np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:
    """What a network of affine layers ``w1``, ``b1``, ``w2``, ... gives.

    Args:
        params: its weights and biases.
        x: inputs, one per row.
        inner: the activation between layers.
        last: that after the last one, if any.

    Returns:
        Outputs, one per row.

    Example:
        >>> float(layers({"w1": np.eye(1), "b1": np.ones(1)}, np.ones((1, 1)), np.tanh)[0, 0])
        2.0
    """
    count, h = len(params) // 2, x
    for layer in range(1, count + 1):
        h = h @ params[f"w{layer}"] + params[f"b{layer}"]
        if layer < count:
            h = inner(h)
    return h if last is None else last(h)


def first_layer(weights: np.ndarray, side: int, seen: np.ndarray) -> list[list[list[float | None]]]:
    """The weights of the first units as pictures, ``None`` for pixels that are nought in every image.

    Args:
        weights: one row per pixel, one column per unit.
        side: rows of a picture.
        seen: for every pixel, whether it is ever anything else; no gradient has touched the weights of the others.

    Returns:
        One picture per unit, three digits after the point.

    Example:
        >>> first_layer(np.ones((4, 1)), 2, np.array([True, True, True, False]))
        [[[1.0, 1.0], [1.0, None]]]
    """
    shown = np.where(seen[:, None], weights[:, :MOST_PICTURES], np.nan)
    return [pixels(column.reshape(side, -1), 3) for column in shown.T]


def pixels(picture: np.ndarray, digits: int = 2) -> list[list[float | None]]:
    """A picture as rows of rounded numbers; what is not finite is ``None``."""
    return [[_number(value, digits) for value in row] for row in picture]


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return 0.5 * np.tanh(0.5 * z) + 0.5


def _score(what: str, found: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    return {"what": what, "right": int(np.sum(found == labels)), "of": len(labels)}


def _regions(
    classify: Callable[[Params, np.ndarray], np.ndarray],
    params: Params,
    points: np.ndarray,
    labels: np.ndarray,
    box: tuple[float, float],
) -> dict[str, Any]:
    """The class at the middle of every cell of a square, rows from the bottom up, and the points with theirs."""
    low, high = box
    middles = low + (high - low) * (np.arange(GRID) + 0.5) / GRID
    across, up = np.meshgrid(middles, middles)
    classes = classify(params, np.stack([across.ravel(), up.ravel()], axis=1)).astype(int).reshape(GRID, GRID)
    return {
        "box": [low, high],
        "rows": ["".join(map(str, row)) for row in classes],
        "points": [[_number(x, 3), _number(y, 3), int(c)] for (x, y), c in zip(points, labels, strict=True)],
    }


def _number(value: Any, digits: int) -> float | None:
    number = float(value)
    return round(number, digits) if np.isfinite(number) else None
