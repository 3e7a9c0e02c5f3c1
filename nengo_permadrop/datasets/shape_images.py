"""
Images of ten shapes, made up, some of them ambiguous.

Every image is computed with additions, multiplications, divisions, comparisons and the
numbers that `numpy.random.RandomState` draws uniformly, which are the same everywhere,
and is rounded to 256 shades: all versions of Python and NumPy make the same images, bit
by bit.
"""

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.datasets.base import Split, random_parts
from nengo_permadrop.datasets.images import image_dataset

SIZE = 28  # pixels
NAMES = (
    "disc",
    "ring",
    "square",
    "frame",
    "triangle",
    "plus",
    "cross",
    "bar",
    "tee",
    "ell",
)
SOURCE = (
    "{} images of 28 x 28 pixels with one of ten shapes, made up: turned, moved, large "
    "or small, bright or dim, with noise. One in five is a blend of two shapes, and "
    "its target says how much of each. Which shape it is, is predicted as ten columns "
    "from 0 to 1."
)

# The images don't depend on the seed of a study
_SEED = 28
_AMBIGUOUS = 0.2  # share of images that are blends of two shapes
_BLEND = 0.3, 0.7  # share of the first shape in them
_TURN = 0.12  # tangent of half the largest angle: 14 degrees
_SHIFT = 4.0  # pixels
_RADIUS = 6.0, 10.0  # pixels
_STROKE = 0.3  # half the width of lines, in radii
_BRIGHTNESS = 0.4, 1.0
_NOISE = 0.5  # sum of two uniform variates, each of up to half of it
_AT_ONCE = 1000  # images


def shapes(seed=0, n_rows=4500, n_validation=500, n_test=1000):
    """
    Images of ten shapes; one in five is a blend of two.

    One input, named "input", of shape (28, 28, 1): channels last, pixels from -1 to 1.
    Ten outputs, one a shape. The target of a blend is how much of each shape is in it;
    what is right of it is known to be uncertain.

    Parameters
    ----------
    seed : int, optional
        Decides which images are for training, validation and test. The images
        themselves are the same for all seeds.
    n_rows : int, optional
        Images in all; of more, the first ones are the same.
    n_validation, n_test : int, optional
        Images for validation and test; the others are for training.

    Returns
    -------
    dataset : `.Dataset`

    Raises
    ------
    nengo.exceptions.ValidationError
        If nothing is left to train on.
    """
    parts = random_parts(n_rows, n_validation, n_test, np.random.RandomState(seed))
    pixels, probability = generate(n_rows)
    rows = Split(
        inputs={"input": pixels},
        target=probability,
        labels={"Observation": np.arange(n_rows), "Shape": _in_words(probability)},
    )
    return image_dataset(
        "shapes",
        rows,
        parts,
        target_name="Shape",
        output_names=[f"Is{name.capitalize()}" for name in NAMES],
        brightest=255,
        source=SOURCE.format(n_rows),
    )


def generate(n_rows):
    """
    The images, and what is in them.

    Parameters
    ----------
    n_rows : int

    Returns
    -------
    pixels : (n_rows, 28, 28, 1) ndarray of uint8
    probability : (n_rows, 10) ndarray
        Of each shape: 1 for the one that is there, or the shares of two that are
        blended.

    Raises
    ------
    nengo.exceptions.ValidationError
        If ``n_rows`` isn't at least 1.
    """
    if n_rows < 1:
        raise ValidationError(f"must be at least 1, got {n_rows}", attr="n_rows")
    # one row of numbers an image, so that the first images don't depend on how many
    drawn = np.random.RandomState(_SEED).random_sample((n_rows, 9))
    noise = np.random.RandomState(_SEED + 1)
    pixels = np.empty((n_rows, SIZE, SIZE, 1), np.uint8)
    probability = np.zeros((n_rows, len(NAMES)))
    for start in range(0, n_rows, _AT_ONCE):
        rows = slice(start, min(start + _AT_ONCE, n_rows))
        pixels[rows, ..., 0], probability[rows] = _images(drawn[rows], noise)
    return pixels, probability


def _images(drawn, noise):
    """Some of the images, of uniform numbers (n, 9), and their probabilities."""
    kind, other, blended, share, turn, *shift, radius, brightness = drawn.T
    first = (kind * len(NAMES)).astype(int)
    second = (first + 1 + (other * (len(NAMES) - 1)).astype(int)) % len(NAMES)
    share = np.where(blended < _AMBIGUOUS, _between(share, *_BLEND), 1.0)

    tangent = _between(turn, -_TURN, _TURN)  # of half the angle
    cos, sin = (1 - tangent**2) / (1 + tangent**2), 2 * tangent / (1 + tangent**2)
    radius = _between(radius, *_RADIUS)
    axis = np.arange(SIZE) - (SIZE - 1) / 2
    right, up = (_between(each, -_SHIFT, _SHIFT) for each in shift)
    x = axis[np.newaxis, np.newaxis, :] - right[:, np.newaxis, np.newaxis]
    y = axis[np.newaxis, :, np.newaxis] - up[:, np.newaxis, np.newaxis]
    cos, sin, scale = (each[:, np.newaxis, np.newaxis] for each in (cos, sin, radius))
    x, y = (x * cos + y * sin) / scale, (y * cos - x * sin) / scale

    share = share[:, np.newaxis, np.newaxis]
    shown = _drawn(first, x, y, scale) * share
    shown = shown + _drawn(second, x, y, scale) * (1 - share)
    shown = shown * _between(brightness, *_BRIGHTNESS)[:, np.newaxis, np.newaxis]
    # noise of row after row, two numbers a pixel
    speckle = noise.random_sample((*shown.shape, 2))
    shown = shown + _NOISE * (speckle[..., 0] + speckle[..., 1] - 1)
    probability = np.zeros((len(first), len(NAMES)))
    rows = np.arange(len(first))
    probability[rows, second] = 1 - share[:, 0, 0]
    probability[rows, first] = share[:, 0, 0]
    return np.rint(255 * np.clip(shown, 0, 1)).astype(np.uint8), probability


def _between(uniform, low, high):
    return low + (high - low) * uniform


def _drawn(kinds, x, y, scale):
    """How far each pixel is covered, from 0 to 1, by a shape of each row's kind."""
    distance = np.empty(np.broadcast_shapes(x.shape, y.shape))
    for number, outside in enumerate(_OUTSIDE):
        rows = kinds == number
        distance[rows] = outside(x[rows], y[rows])
    return np.clip(0.5 - distance * scale, 0, 1)


def _box(x, y, left, right, bottom, top):
    """How far outside of a rectangle; less than 0 inside."""
    middle, height = (left + right) / 2, (bottom + top) / 2
    return np.maximum(
        np.abs(x - middle) - (right - left) / 2, np.abs(y - height) - (top - bottom) / 2
    )


def _disc(x, y, radius=1.0):
    return np.sqrt(x * x + y * y) - radius


def _ring(x, y):
    return np.abs(_disc(x, y, 1 - _STROKE)) - _STROKE


def _square(x, y):
    return _box(x, y, -0.85, 0.85, -0.85, 0.85)


def _frame(x, y):
    return np.abs(_box(x, y, -0.65, 0.65, -0.65, 0.65)) - _STROKE * 0.8


def _triangle(x, y):
    slope = 0.875 * np.abs(x) + 0.484 * y  # of the normal of its sides
    return np.maximum(slope - 0.45, -y - 0.85)


def _plus(x, y):
    return np.minimum(
        _box(x, y, -1, 1, -_STROKE, _STROKE), _box(x, y, -_STROKE, _STROKE, -1, 1)
    )


def _cross(x, y):
    return _plus((x + y) * 0.7071, (y - x) * 0.7071)


def _bar(x, y):
    return _box(x, y, -1, 1, -_STROKE, _STROKE)


def _tee(x, y):
    top = _box(x, y, -0.9, 0.9, -0.9, -0.9 + 2 * _STROKE)
    return np.minimum(top, _box(x, y, -_STROKE, _STROKE, -0.9, 0.9))


def _ell(x, y):
    side = _box(x, y, -0.7, -0.7 + 2 * _STROKE, -0.9, 0.9)
    return np.minimum(side, _box(x, y, -0.7, 0.7, 0.9 - 2 * _STROKE, 0.9))


# In the order of NAMES; y points down, as rows of an image do
_OUTSIDE = (
    _disc,
    _ring,
    _square,
    _frame,
    _triangle,
    _plus,
    _cross,
    _bar,
    _tee,
    _ell,
)


def _in_words(probability):
    """What is in each image, such as "disc" or "disc+tee"."""
    return np.array(
        [
            "+".join(NAMES[number] for number in np.flatnonzero(row))
            for row in probability
        ]
    )
