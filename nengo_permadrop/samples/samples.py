"""PredictiveSamples: the draws from a predictive distribution, and their summaries."""

import json
import operator

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.samples.names import default_output_names
from nengo_permadrop.support.validation import check_real_array, validated_values

MASKS = ("observation", "draw")

_STR_OBSERVATIONS = 5


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
    link : str, optional
        What the model makes of its linear readout, such as "softmax", where ``values``
        are what it gives.
    logits : (n_draws, n_observations, n_outputs) array_like, optional
        That readout, of the shape of ``values``.

    Attributes
    ----------
    values : (n_draws, n_observations, n_outputs) ndarray
        Read-only.
    output_names, observation_names, backend, seed, masks, meta, link
        As above.
    logits : (n_draws, n_observations, n_outputs) ndarray or None
        Read-only.

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
        *,
        output_names=None,
        observation_names=None,
        backend=None,
        seed=None,
        masks="observation",
        meta=None,
        link=None,
        logits=None,
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
        self.output_names = self._checked_names(
            output_names, default_output_names(n_outputs), "output_names", (str,)
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
        self.link, self._logits = link, self._checked_logits(link, logits)

    def _checked_logits(self, link, logits):
        if not isinstance(link, (str, type(None))):
            raise self._error("link", f"must be the name of a link; got {link!r}")
        if logits is None:
            return None
        logits = validated_values(logits, attr="logits", obj=self)
        if logits.shape != self._values.shape or link is None:
            raise self._error(
                "logits",
                f"must have the shape {self._values.shape} of the values, and a link "
                f"between them; got {logits.shape} and link={link!r}",
            )
        logits.setflags(write=False)
        return logits

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
    def logits(self):
        """The readout before the link, like ``values``; None if there is no link."""
        return self._logits

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
        levels = check_real_array(q, "q", obj=self)
        if not np.all((levels >= 0) & (levels <= 1)):
            raise self._error("q", f"must be in [0, 1]; got {q}")
        return np.quantile(self._values, levels, axis=0)

    def effective_size(self):
        """
        How many independent draws these are worth, from their autocorrelation.

        Draws of one run (``sample(run="single")``) may depend on those before them; the
        mean of such draws is as uncertain as that of fewer independent ones. Estimated
        by ArviZ.

        Returns
        -------
        size : (n_observations, n_outputs) ndarray
            Uncertain for each; look at the mean over the observations.
        """
        from nengo_permadrop.samples.autocorrelation import effective_size

        return effective_size(self._values)

    def decorrelated(self, n_lags=2):
        """
        The draws of a single run, with their mixing undone.

        For windows that are shorter than the network needs: see
        `nengo_permadrop.samples.autocorrelation.decorrelated`.

        Parameters
        ----------
        n_lags : int, optional
            How many draws later a draw is still felt.

        Returns
        -------
        samples : `PredictiveSamples`
            As many. Other than the draws themselves, they depend on how many there
            were.
        """
        from nengo_permadrop.samples.autocorrelation import decorrelated

        return PredictiveSamples(
            decorrelated(self._values, n_lags),
            output_names=self.output_names,
            observation_names=self.observation_names,
            backend=self.backend,
            seed=self.seed,
            masks=self.masks,
            meta={**self.meta, "decorrelated_lags": n_lags},
            link=self.link,
        )

    def summary(self, quantiles=()):
        """
        A table of the predictive distributions, one row per observation and output.

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
        from nengo_permadrop.samples.io import to_xarray

        return to_xarray(self)

    def to_arviz(self, y=None):
        """
        The samples as an `arviz.InferenceData`, for ArviZ's plots and checks.

        Parameters
        ----------
        y : (n_observations, n_outputs) array_like, optional
            The targets that were observed; for one output also ``(n_observations,)``.

        Returns
        -------
        data : `arviz.InferenceData`
            Group ``posterior_predictive``, with the variable ``samples`` of dims
            chain, draw, observation and output; as draws are independent of each
            other, all are of one chain. With ``y`` also the group ``observed_data``,
            of which the variable has the same name, as ArviZ wants it.

        Raises
        ------
        ImportError
            If ArviZ isn't installed.
        nengo.exceptions.ValidationError
            If ``y`` doesn't fit the samples.
        """
        from nengo_permadrop.samples.io import to_arviz

        return to_arviz(self, y)

    def save(self, path):
        """
        Write the samples to one ``.npz`` file, whole or not at all.

        They are written to a temporary file beside it, which then takes its place, so
        that an interrupted run never leaves half a file, or harms an older one. The
        permissions of a file that was there stay.

        Parameters
        ----------
        path : str or path-like
            ``.npz`` is appended if it doesn't end so.

        Returns
        -------
        path : `pathlib.Path`
            What was written; `load_samples` reads it.

        Raises
        ------
        nengo_permadrop.support.files.NoRoomError
            If the disk is full.
        """
        from nengo_permadrop.samples.io import save_samples

        return save_samples(self, path)

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._values.setflags(write=False)  # which pickling and copying don't keep
        if self._logits is not None:
            self._logits.setflags(write=False)

    def __repr__(self):
        details = "".join(
            f", {name}={value!r}"
            for name, value in (
                ("link", self.link),
                ("backend", self.backend),
                ("seed", self.seed),
            )
            if value is not None
        )
        return (
            f"<PredictiveSamples: {self.n_draws} draws, {self.n_observations} "
            f"observations, {self.n_outputs} outputs{details}, masks={self.masks!r}>"
        )

    def __str__(self):
        n_shown = min(self.n_observations, _STR_OBSERVATIONS)
        table = self._first(n_shown).summary(quantiles=(0.05, 0.95))
        lines = [repr(self), table.drop(columns="N").to_string(index=False)]
        if n_shown < self.n_observations:
            lines.append(f"... and {self.n_observations - n_shown} more observations")
        return "\n".join(lines)

    def _repr_html_(self):
        from nengo_permadrop.samples.html import samples_html

        return samples_html(self)

    def _first(self, n_observations):
        """The samples of the first observations alone, without their meta."""
        return PredictiveSamples(
            self._values[:, :n_observations],
            output_names=self.output_names,
            observation_names=self.observation_names[:n_observations],
            backend=self.backend,
            seed=self.seed,
            masks=self.masks,
            link=self.link,
        )


def _plain(value):
    """NumPy's numbers and arrays, as JSON can hold them."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{value!r} of type {type(value).__name__}")
