"""How short may a window be?"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from nengo.exceptions import ValidationError

from nengo_permadrop.backends.base import get_backend
from nengo_permadrop.converter.timing import READ_TIME
from nengo_permadrop.dropout.seeds import derive_seed
from nengo_permadrop.metrics.comparison import ks_agreement
from nengo_permadrop.sampling.pairs import classical_samples
from nengo_permadrop.sampling.sampler import RUNS, sample_unchecked
from nengo_permadrop.support.validation import (
    check_choice,
    check_integer,
    check_number,
    check_real_array,
    check_seconds,
    check_seed,
    check_whole_steps,
)

_FRACTION = 0.8  # of a window isn't read
_FRACTION_TAKEN_APART = 0.5  # likewise, where mixing is undone
_STEP = 0.005  # s, between the windows that are tried
_MOST = 0.8  # of the repeats must agree


@dataclass(frozen=True, eq=False)
class TunedWindow:
    """
    The shortest window that agrees; made by `tune_window`.

    Attributes
    ----------
    window, settle : float
        ``presentation_time`` and ``settle`` for `.sample`, in seconds.
    run : str
        The same argument of `.sample`.
    simulated_time : float
        Seconds of simulated time that an observation takes for as many *effective*
        draws as were asked for.
    table : `pandas.DataFrame`
        A row for each window and settling time that was tried: ``window``, ``settle``,
        ``rejection_rate`` (mean), ``uniformity`` (median p-value), ``agreeing`` (how
        many of the repeats), ``effective_size`` (mean), ``simulated_time`` (as above),
        and ``agrees``.
    """

    window: float
    settle: float
    run: str
    simulated_time: float
    table: pd.DataFrame

    def __str__(self):
        return (
            f"run={self.run!r}: windows of {self.window:.3f} s, read from "
            f"{self.settle:.3f} s on; {self.simulated_time:.2f} s of simulated time an "
            f"observation\n{self.table.to_string(index=False)}"
        )


def tune_window(
    conv,
    X,
    n_draws=100,
    *,
    run="single",
    windows=None,
    fractions=None,
    repeats=1,
    decorrelate=False,
    min_effective=0.8,
    backend="batched",
    seed=0,
    **options,
):
    """
    Find the shortest window for which the spiking network still agrees.

    It is compared with the same network of rate neurons, which is the classical
    network: a window agrees if ``ks_agreement`` of as many draws from both has the
    verdict that they do, in at least four of five ``repeats``, and the draws are worth
    enough independent ones (``effective_size``). Longer windows are taken to agree if
    shorter ones do: the grid of windows is searched by bisection.

    Parameters
    ----------
    conv : `.Converter`
        Of spiking neurons.
    X : array_like, list of array_like or dict
        Observations, as `.sample` takes them. Don't test agreement on the same ones
        afterwards: the window was chosen because it agrees on these. A verdict errs
        now and then, and several are asked: a window at the limit that has passed once
        may fail with the next seed. More ``repeats`` make the limit sharper.
    n_draws : int, optional
    run : {"single", "restart"}, optional
        What is tuned, as in `.sample`.
    windows : (n,) array_like of float, optional
        Presentation times to choose from, in seconds. By default every 5 ms, from 10 ms
        to 60 ms above the network's settling time.
    fractions : sequence of float, optional
        The part of a window that isn't read, in [0, 1); if there are several, a window
        agrees if it does at one of them. Rounded to time steps. By default 0.8, or 0.5
        with ``decorrelate``: mixing that is undone may be read, and what is read for
        longer has less of the spikes' noise.
    repeats : int, optional
        How often each window is judged, with other draws from both networks.
    decorrelate : bool, optional
        Judge ``samples.decorrelated()``, whose effective size is not asked for then.
    min_effective : float, optional
        Least mean effective size of the draws, as a fraction of ``n_draws``.
    backend : str, optional
    seed : int, optional
        Of all draws. The result is the same for the same seed.
    **options
        Passed to `.sample`.

    Returns
    -------
    tuned : `TunedWindow`

    Raises
    ------
    nengo.exceptions.ValidationError
        If an argument is out of range, or not even the longest window agrees.
    ImportError
        If ArviZ isn't installed.
    """
    options = {"progress": False, "dt": 0.001, **options}
    check_choice(run, "run", RUNS)
    check_integer(n_draws, "n_draws", 2)
    check_integer(repeats, "repeats", 1)
    check_seed(seed)
    check_number(min_effective, "min_effective", 0)
    check_seconds(options["dt"], "dt")
    get_backend(backend)
    _check_converter(conv)
    windows = _windows(conv, windows, run, options["dt"])
    fractions = _fractions(fractions, decorrelate)
    seeds = [derive_seed(seed, number) for number in range(2 * repeats)]
    references = [
        _rate_samples(conv, X, n_draws, other, options) for other in seeds[repeats:]
    ]
    options.update(backend=backend, run=run)
    rows = []

    def judged(window, settle):
        """A row of the table."""
        times = {"presentation_time": window, "settle": settle}
        samples = [
            sample_unchecked(conv, X, n_draws, seed=other, **times, **options)
            for other in seeds[:repeats]
        ]
        return _judged(samples, references, decorrelate, min_effective)

    def agrees(window):
        """Whether a window agrees at any fraction."""
        settles = _settles(window, fractions, options["dt"])
        found = [judged(window, settle) for settle in settles]
        rows.extend(found)
        return any(row["agrees"] for row in found)

    shortest = _bisect(windows, agrees)
    table = pd.DataFrame(rows).sort_values(["window", "settle"], ignore_index=True)
    return _tuned(shortest, run, table)


def _check_converter(conv):
    if getattr(conv, "neurons", None) != "spiking":
        raise ValidationError(
            f"must be a Converter of spiking neurons, got {conv}", attr="conv"
        )


def _windows(conv, windows, run, dt):
    """The windows to choose from, in order."""
    if windows is None:
        return _grid(conv)
    windows = np.unique(check_real_array(windows, "windows"))
    if len(windows) == 0:
        raise ValidationError("must be positive seconds, at least one", attr="windows")
    for window in windows:
        check_seconds(window, "windows")
        if run == "single":
            check_whole_steps(float(window), dt, "windows")
    return windows


def _grid(conv):
    longest = conv.settling_time + READ_TIME
    return _STEP * np.arange(2, int(np.ceil(longest / _STEP)) + 1)


def _fractions(fractions, decorrelate):
    """The parts of a window that aren't read, checked."""
    if fractions is None:
        fractions = (_FRACTION_TAKEN_APART if decorrelate else _FRACTION,)
    fractions = check_real_array(fractions, "fractions")
    if fractions.ndim != 1 or not np.all((fractions >= 0) & (fractions < 1)):
        raise ValidationError(
            f"must be numbers in [0, 1), got {fractions.tolist()}", attr="fractions"
        )
    if len(fractions) == 0:
        raise ValidationError("must be at least one number", attr="fractions")
    return fractions


def _settles(window, fractions, dt):
    n_steps = int(round(window / dt))
    steps = {min(n_steps - 1, int(round(f * n_steps))) for f in fractions}
    return [n * dt for n in sorted(steps)]


def _bisect(windows, agrees):
    """The shortest window that agrees, or None."""
    if not agrees(float(windows[-1])):
        return None
    below, above = -1, len(windows) - 1
    while above - below > 1:
        middle = (below + above) // 2
        if agrees(float(windows[middle])):
            above = middle
        else:
            below = middle
    return float(windows[above])


def _tuned(shortest, run, table):
    """The result, from the shortest window that agrees (or None) and all rows."""
    if shortest is None:
        raise ValidationError(
            f"not even windows of {table['window'].max():.3f} s agree:\n"
            f"{table.to_string(index=False)}\nTry longer ones; if these don't agree "
            "with run='restart' either, the network is at fault",
            attr="windows",
        )
    passed = table[table["agrees"] & np.isclose(table["window"], shortest)]
    best = passed.loc[passed["simulated_time"].idxmin()]
    return TunedWindow(
        float(best["window"]),
        float(best["settle"]),
        run,
        float(best["simulated_time"]),
        table,
    )


def _rate_samples(conv, X, n_draws, seed, options):
    """Draws from the same network in rate neurons, which settle at once."""
    known = ("output", "masks", "dt", "progress", "max_memory")
    kept = {name: options[name] for name in known if name in options}
    return classical_samples(conv, X, n_draws, seed=seed, **kept)


def _judged(samples, references, decorrelate, min_effective):
    """A row of the table, from the samples of all repeats."""
    n_draws, meta = samples[0].n_draws, samples[0].meta
    effective = float(n_draws)
    if decorrelate:
        samples = [s.decorrelated() for s in samples]
    else:
        effective = float(np.mean([s.effective_size() for s in samples]))
    agreements = [
        ks_agreement(s, reference, seed=s.seed)
        for s, reference in zip(samples, references, strict=True)
    ]
    agreeing = sum(bool(agreement.verdict()) for agreement in agreements)
    return {
        "window": meta["presentation_time"],
        "settle": meta["settle"],
        "rejection_rate": np.mean([a.rejection_rate() for a in agreements]),
        "uniformity": np.median([a.uniformity.pvalue for a in agreements]),
        "agreeing": agreeing,
        "effective_size": effective,
        "simulated_time": meta["simulated_time"] * n_draws / min(effective, n_draws),
        "agrees": agreeing >= _MOST * len(samples)
        and effective >= min_effective * n_draws,
    }
