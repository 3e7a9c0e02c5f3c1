"""PredictiveSamples: the draws from a predictive distribution, and their summaries."""

import html
import json
import operator
import zipfile
from pathlib import Path

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.files import atomic_path
from nengo_permadrop.optional import require

MASKS = ("observation", "draw")
FORMAT = "nengo-permadrop samples"
FORMAT_VERSION = 1

_HTML_OBSERVATIONS = 8


class PredictiveSamples:
    """
    Samples of the predictive distribution of a network with permanent dropout.

    Parameters
    ----------
    values : (n_draws, n_observations, n_outputs) array_like
        The network's answers, in the units of its outputs; finite. Copied. Floating
        point types are kept, others become float64.
    output_names : sequence of str, optional
        A name for each output column, all different; by default ``["y"]``, or
        ``["y0", "y1", ...]``.
    observation_names : sequence of str or int, optional
        A name for each observation; by default ``0 .. n_observations - 1``.
    backend : str, optional
        What the samples were drawn with.
    seed : int, optional
        The seed they were drawn with.
    masks : {"observation", "draw"}, optional
        Whether every (draw, observation) had fresh masks, or all observations of a
        draw shared theirs.
    meta : dict, optional
        Whatever else should stay with the samples (versions, presentation time, ...),
        as JSON can hold it; NumPy's numbers and arrays become plain ones and lists.

    Attributes
    ----------
    values : (n_draws, n_observations, n_outputs) ndarray
        Read-only.
    output_names, observation_names, backend, seed, masks, meta
        As above.

    Raises
    ------
    nengo.exceptions.ValidationError
        If ``values`` isn't a finite 3-D array with at least one entry along each axis,
        or anything else doesn't fit it.

    Examples
    --------
    >>> import nengo_permadrop as npd
    >>> samples = npd.PredictiveSamples([[[1.0]], [[3.0]]], output_names=["growth"])
    >>> samples.mean()
    array([[2.]])
    """

    def __init__(
        self,
        values,
        output_names=None,
        observation_names=None,
        backend=None,
        seed=None,
        masks="observation",
        meta=None,
    ):
        self._values = validated_values(values, attr="values", obj=self)
        self._values.setflags(write=False)
        if masks not in MASKS:
            raise self._error(
                "masks", f"must be one of {', '.join(MASKS)}; got {masks!r}"
            )
        if not isinstance(backend, (str, type(None))):
            raise self._error(
                "backend", f"must be the name of a backend; got {backend!r}"
            )
        n_outputs = self.n_outputs
        default = ["y"] if n_outputs == 1 else [f"y{i}" for i in range(n_outputs)]
        self.output_names = self._checked_names(
            output_names, default, "output_names", (str,)
        )
        if len(set(self.output_names)) < n_outputs:
            raise self._error(
                "output_names", f"must all be different; got {self.output_names}"
            )
        self.observation_names = self._checked_names(
            observation_names,
            list(range(self.n_observations)),
            "observation_names",
            (str, int),
        )
        self.backend = backend
        self.seed = None if seed is None else operator.index(seed)
        self.masks = masks
        self.meta = self._checked_meta({} if meta is None else meta)

    def _checked_names(self, names, default, attr, types):
        if names is None:
            return default
        if isinstance(names, str):
            raise self._error(attr, f"must be a list; got the string {names!r}")
        names = [n.item() if isinstance(n, np.generic) else n for n in names]
        if len(names) != len(default) or not all(isinstance(n, types) for n in names):
            kind = " or ".join(cls.__name__ for cls in types)
            raise self._error(
                attr,
                f"must be a list of {len(default)} {kind} for values of shape "
                f"{self._values.shape}; got {len(names)}: {names}",
            )
        return names

    def _checked_meta(self, meta):
        try:
            if not isinstance(meta, dict):
                raise TypeError(f"got {meta!r}")
            return json.loads(json.dumps(meta, default=_plain))
        except TypeError as error:
            raise self._error(
                "meta", f"must be a dict that JSON can represent: {error}"
            ) from error

    def _error(self, attr, message):
        return ValidationError(message, attr=attr, obj=self)

    @property
    def values(self):
        """The samples, ``(n_draws, n_observations, n_outputs)``, read-only."""
        return self._values

    @property
    def n_draws(self):
        """Number of samples of each predictive distribution."""
        return self._values.shape[0]

    @property
    def n_observations(self):
        """Number of observations, one predictive distribution an output each."""
        return self._values.shape[1]

    @property
    def n_outputs(self):
        """Number of output columns."""
        return self._values.shape[2]

    def mean(self):
        """Mean over the draws, ``(n_observations, n_outputs)``."""
        return self._values.mean(axis=0, dtype=np.float64)

    def std(self, ddof=0):
        """
        Standard deviation over the draws.

        Parameters
        ----------
        ddof : int, optional
            Subtracted from the number of draws in the divisor, as in `numpy.std`.

        Returns
        -------
        std : (n_observations, n_outputs) ndarray

        Raises
        ------
        nengo.exceptions.ValidationError
            If ``ddof`` isn't less than the number of draws.
        """
        if not ddof < self.n_draws:
            raise self._error(
                "ddof",
                f"must be less than the number of draws ({self.n_draws}); got {ddof}",
            )
        return self._values.std(axis=0, dtype=np.float64, ddof=ddof)

    def min(self):
        """Least draw, ``(n_observations, n_outputs)``."""
        return self._values.min(axis=0)

    def max(self):
        """Greatest draw, ``(n_observations, n_outputs)``."""
        return self._values.max(axis=0)

    def quantile(self, q):
        """
        Quantiles of the draws, interpolated linearly between them.

        Parameters
        ----------
        q : float or (n_quantiles,) array_like
            In [0, 1].

        Returns
        -------
        quantiles : (n_observations, n_outputs) ndarray
            With a leading axis of ``n_quantiles`` if ``q`` is an array.

        Raises
        ------
        nengo.exceptions.ValidationError
            If ``q`` leaves [0, 1].
        """
        levels = np.asarray(q, dtype=float)
        if not np.all((levels >= 0) & (levels <= 1)):
            raise self._error("q", f"must be in [0, 1]; got {q}")
        return np.quantile(self._values, levels, axis=0)

    def summary(self, quantiles=()):
        """
        A table of the predictive distributions, a row an observation and output.

        Parameters
        ----------
        quantiles : sequence of float, optional
            Adds a column for each, named like ``Q0.05``.

        Returns
        -------
        table : `pandas.DataFrame`
            Columns Observation, Output, N (number of draws), Mean, Std (``ddof=0``),
            Min, Max, and the quantiles.
        """
        import pandas as pd

        columns = {
            "Observation": [
                n for n in self.observation_names for _ in self.output_names
            ],
            "Output": self.output_names * self.n_observations,
            "N": np.full(self.n_observations * self.n_outputs, self.n_draws),
            "Mean": self.mean().ravel(),
            "Std": self.std().ravel(),
            "Min": self.min().ravel(),
            "Max": self.max().ravel(),
        }
        for q in quantiles:
            columns[f"Q{q:g}"] = self.quantile(q).ravel()
        return pd.DataFrame(columns)

    def to_xarray(self):
        """
        The samples as an `xarray.DataArray` with dims draw, observation and output.

        Backend, seed, masks and meta (as JSON text) become attributes, which can be
        written to NetCDF.
        """
        xarray = require("xarray")
        attrs = {"backend": self.backend, "seed": self.seed, "masks": self.masks}
        attrs = {key: value for key, value in attrs.items() if value is not None}
        return xarray.DataArray(
            self._values,
            dims=("draw", "observation", "output"),
            coords={
                "draw": np.arange(self.n_draws),
                "observation": self.observation_names,
                "output": self.output_names,
            },
            name="samples",
            attrs={**attrs, "meta": json.dumps(self.meta)},
        )

    def save(self, path):
        """
        Write the samples to one ``.npz`` file, whole or not at all.

        They are written to a temporary file beside it, which then takes its place, so
        that an interrupted run never leaves half a file, or harms an older one.

        Parameters
        ----------
        path : str or path-like
            ``.npz`` is appended if it doesn't end so.

        Returns
        -------
        path : `pathlib.Path`
            What was written; `load_samples` reads it.
        """
        path = _with_suffix(path)
        header = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "output_names": self.output_names,
            "observation_names": self.observation_names,
            "backend": self.backend,
            "seed": self.seed,
            "masks": self.masks,
            "meta": self.meta,
        }
        encoded = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
        with atomic_path(path) as temporary:
            np.savez(temporary, header=encoded, values=self._values)
        return path

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._values.setflags(write=False)  # which pickling and copying don't keep

    def __repr__(self):
        details = "".join(
            f", {name}={value!r}"
            for name, value in (("backend", self.backend), ("seed", self.seed))
            if value is not None
        )
        return (
            f"<PredictiveSamples: {self.n_draws} draws, {self.n_observations} "
            f"observations, {self.n_outputs} outputs{details}, masks={self.masks!r}>"
        )

    def _repr_html_(self):
        n_shown = min(self.n_observations, _HTML_OBSERVATIONS)
        shown = PredictiveSamples(
            self._values[:, :n_shown],
            output_names=self.output_names,
            observation_names=self.observation_names[:n_shown],
        )
        table = shown.summary().to_html(index=False, float_format="{:.4g}".format)
        return f"<p>{html.escape(repr(self))}</p>{table}" + (
            "<p>...</p>" if n_shown < self.n_observations else ""
        )


def load_samples(path):
    """
    Read what `PredictiveSamples.save` wrote.

    Parameters
    ----------
    path : str or path-like
        As given to ``save``, with or without ``.npz``.

    Returns
    -------
    samples : `PredictiveSamples`

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    nengo.exceptions.ValidationError
        If the file is damaged, isn't one of ours, or was written in a newer format
        than this version knows.
    """
    path = Path(path)
    if not path.exists():
        path = _with_suffix(path)
    with open(path, "rb") as file:
        try:
            with np.load(file, allow_pickle=False) as archive:
                header = json.loads(archive["header"].tobytes())
                if header["format"] != FORMAT:
                    raise ValueError(f"its format is {header['format']!r}")
                if header["version"] > FORMAT_VERSION:
                    raise ValidationError(
                        f"{path} was written in version {header['version']} of the "
                        f"format, and this nengo-permadrop reads up to "
                        f"{FORMAT_VERSION}; install a newer one",
                        attr="path",
                    )
                values = archive["values"]
        except ValidationError:
            raise
        except (  # what NumPy raises for other files, and a dict for another header
            ValueError,
            OSError,
            EOFError,
            KeyError,
            TypeError,
            AttributeError,
            zipfile.BadZipFile,
        ) as error:
            raise ValidationError(
                f"{path} is damaged, or isn't a file of samples written by "
                f"PredictiveSamples.save ({type(error).__name__}: {error})",
                attr="path",
            ) from error
    del header["format"], header["version"]
    return PredictiveSamples(values, **header)


def validated_values(values, attr, obj=None):
    """
    A floating-point copy of samples, or an error that names the first bad value.

    ``attr`` and ``obj`` are what the `nengo.exceptions.ValidationError` calls them.
    """
    try:
        array = np.asarray(values)
        if not np.issubdtype(array.dtype, np.floating):
            array = array.astype(np.float64, casting="same_kind")
    except (TypeError, ValueError) as error:
        raise ValidationError(
            f"must be an array of real numbers: {error}", attr=attr, obj=obj
        ) from error
    if array.ndim != 3 or 0 in array.shape:
        raise ValidationError(
            "must have shape (n_draws, n_observations, n_outputs), none of them 0; got "
            f"shape {array.shape}",
            attr=attr,
            obj=obj,
        )
    finite = np.isfinite(array)
    if not finite.all():
        draw, observation, output = np.argwhere(~finite)[0]
        raise ValidationError(
            f"must be finite; got {array[draw, observation, output]} at draw {draw}, "
            f"observation {observation}, output {output} "
            f"({np.count_nonzero(~finite)} of {array.size} values aren't finite)",
            attr=attr,
            obj=obj,
        )
    return np.array(array)


def _with_suffix(path):
    path = Path(path)
    return path if path.suffix == ".npz" else path.with_name(path.name + ".npz")


def _plain(value):
    """NumPy's numbers and arrays, as JSON can hold them."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{value!r} of type {type(value).__name__}")
