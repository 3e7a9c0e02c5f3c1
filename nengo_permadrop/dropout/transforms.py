"""Permanent dropout as a native Nengo transform."""

import numpy as np
from nengo.dists import Distribution
from nengo.exceptions import BuildError, ValidationError
from nengo.params import EnumParam, NdarrayParam
from nengo.rc import rc
from nengo.transforms import Dense

from nengo_permadrop.dropout.masks import (
    BERNOULLI,
    NOISES,
    mask_key,
    scale_factors,
)
from nengo_permadrop.dropout.weights import (
    WeightsParam,
    as_dense,
    checked_weights,
    is_sparse,
    scaled_columns,
)
from nengo_permadrop.support.groups import check_groups
from nengo_permadrop.support.validation import FiniteNumberParam


class MaskedWeights(Distribution):
    """
    Weights of which a random set of columns is zero: what `.PermanentDropout` samples.

    A sample is ``base * mask / (1 - rate)``, with one mask element a column, so that
    the expected weights are the base weights ("inverted dropout", as in Keras).

    The mask is taken from the generator before anything else, so that connections of
    one seed and one number of inputs share it, whatever their outputs and weights.

    Parameters
    ----------
    base : `nengo.dists.Distribution`, array_like or sparse matrix
        The weights without dropout: a matrix, or, for a square matrix, a scalar or
        vector that stands for a diagonal matrix.
    rate : float
        Probability that a column is dropped, in [0, 1).
    groups : (n_columns,) array_like of int, optional
        Columns with the same number are dropped together.
    noise : {"bernoulli", "gaussian"}, optional
        What columns are multiplied by, as in `.PermanentDropout`.
    """

    base = WeightsParam("base")
    rate = FiniteNumberParam("rate", low=0, high=1, high_open=True)
    groups = NdarrayParam("groups", shape=("*",), dtype=np.int64, optional=True)
    noise = EnumParam("noise", values=NOISES)

    def __init__(self, base, rate, groups=None, noise=BERNOULLI):
        super().__init__()
        self.base = base
        self.rate = rate
        self.groups = groups
        self.noise = noise

    @property
    def sparse(self):
        """Whether the weights are a sparse matrix."""
        return is_sparse(self.base)

    def sample_base(self, n, d, rng=np.random):
        """The weights without dropout, ``(n, d)``: an ndarray or, as given, sparse."""
        if isinstance(self.base, Distribution):
            return self.base.sample(n, d, rng=rng).astype(rc.float_dtype)
        base = self.base.astype(rc.float_dtype, copy=not self.sparse)
        return base if base.ndim == 2 else np.diag(np.broadcast_to(base, (n,)))

    def column_scale(self, key, d, redraw_index=0):
        """What each column is multiplied by, ``(d,)``; of many keys, ``(..., d)``."""
        return scale_factors(
            key,
            d,
            self.rate,
            redraw_index,
            groups=self.groups,
            noise=self.noise,
            dtype=rc.float_dtype,
        )

    def sample(self, n, d=None, rng=np.random):
        if d is None:
            raise ValidationError(
                "dropout needs the number of its inputs to be sampled; call "
                "sample(size_out, size_in)",
                attr="d",
                obj=self,
            )
        scale = self.column_scale(mask_key(rng), d)
        # an array, also of sparse weights: what samples a Dense transform expects one
        return as_dense(scaled_columns(self.sample_base(n, d, rng=rng), scale))


class PermanentDropout(Dense):
    """
    A matrix of weights whose inputs are dropped at random, at run time too.

    Each input is dropped (its column of weights is zero) with probability ``rate``; the
    columns that are kept are scaled by ``1 / (1 - rate)``, as in Keras [1]_. The masks
    depend on the seed of the connection alone, so that the same network has the same
    masks on every backend, and connections with the same seed and number of inputs
    share their masks. Give a connection another seed for other masks.

    Parameters
    ----------
    shape : (2,) tuple of int
        ``(size_out, size_in)``.
    init : `nengo.dists.Distribution`, array_like or sparse matrix, optional
        The weights without dropout, as in `nengo.transforms.Dense`: a matrix, a
        distribution, or for a square shape a scalar or vector (the diagonal). Or as in
        `nengo.transforms.Sparse`, a matrix of SciPy's sparse kinds, or a
        `nengo.transforms.SparseMatrix` of given data: only the weights that it has are
        kept and multiplied with then, in `nengo.Simulator`, NengoDL and `.Simulator`.
        Other backends, as nengo-loihi, sample a dense matrix from it.
    rate : float, optional
        Probability that an input is dropped, in [0, 1).
    redraw : float, optional
        Take new masks after this many seconds of simulated time, again and again: a
        whole number of time steps. They depend on the connection's seed and the number
        of the redraw. None: a simulator keeps the masks that it was built with.
    groups : (size_in,) array_like of int, optional
        Inputs with the same number are dropped together, as those of one channel in
        spatial dropout [2]_. What happens to a group depends on the connection's seed
        and the group's number alone, so that it is the same in connections of one seed
        with other inputs. By default each input is a group, whose number is its place.
    noise : {"bernoulli", "gaussian"}, optional
        With "gaussian", inputs are not dropped but multiplied by ``1 + N(0, rate / (1 -
        rate))``, which has the same mean and variance, as in Keras's GaussianDropout.
    redraw_delay : float, optional
        Seconds by which every redraw comes later. Masks that change in a layer when
        what the layers before it have made of theirs arrives there, and not sooner,
        follow each other through a network like observations. A whole number of time
        steps, too.

    Attributes
    ----------
    init : `.MaskedWeights`
        Always a distribution. A backend that handles transforms itself samples it
        and so gets masked weights; one that can't handle a distribution raises.

    Raises
    ------
    nengo.exceptions.ValidationError
        If a parameter is out of range, or ``init`` doesn't fit ``shape``; when a
        simulator is built, if ``redraw`` or ``redraw_delay`` is no whole number of its
        time steps.
    nengo.exceptions.BuildError
        If sampled with ``redraw`` and a generator: a backend that asks for constant
        weights can't redraw them, and would freeze the masks without a word.

    Warns
    -----
    UserWarning
        When a simulator is built, if the connection starts from an ensemble. What is
        dropped are the inputs of the transform, and these are then not neurons but the
        dimensions of what is decoded from them. Connect from ``ensemble.neurons`` to
        drop neurons, or from a Node that the ensemble is connected to, to drop
        dimensions and say so. (nengo-loihi builds connections on its chip itself,
        and this warning comes with `.sample` only.)

    References
    ----------
    .. [1] Srivastava, N., Hinton, G., Krizhevsky, A., Sutskever, I., & Salakhutdinov,
       R. (2014). Dropout: A simple way to prevent neural networks from overfitting.
       JMLR 15, 1929-1958. Gal, Y., & Ghahramani, Z. (2016). Dropout as a Bayesian
       approximation. ICML.
    .. [2] Tompson, J., Goroshin, R., Jain, A., LeCun, Y., & Bregler, C. (2015).
       Efficient object localization using convolutional networks. CVPR.

    Examples
    --------
    >>> import nengo, nengo_permadrop as npd
    >>> with nengo.Network(seed=0) as net:
    ...     a, b = nengo.Ensemble(50, 1), nengo.Ensemble(20, 1)
    ...     weights = nengo.dists.Gaussian(0, 0.01)
    ...     dropout = npd.PermanentDropout((20, 50), init=weights, rate=0.1)
    ...     conn = nengo.Connection(a.neurons, b.neurons, transform=dropout, seed=1)
    """

    rate = FiniteNumberParam("rate", low=0, high=1, high_open=True)
    redraw = FiniteNumberParam("redraw", low=0, low_open=True, optional=True)
    redraw_delay = FiniteNumberParam("redraw_delay", low=0)
    groups = NdarrayParam("groups", shape=("*",), dtype=np.int64, optional=True)
    noise = EnumParam("noise", values=NOISES)

    def __init__(
        self,
        shape,
        init=1.0,
        rate=0.5,
        redraw=None,
        groups=None,
        noise=BERNOULLI,
        redraw_delay=0.0,
    ):
        self.rate = rate
        self.redraw = redraw
        self.noise = noise
        self.redraw_delay = redraw_delay
        weights = checked_weights(shape, init, obj=self)
        self.groups = check_groups(groups, int(tuple(shape)[1]), obj=self)
        masked = MaskedWeights(weights, self.rate, self.groups, self.noise)
        super().__init__(shape, masked)

    def replaced(self, **parameters):
        """
        The same dropout with some parameters replaced.

        Parameters
        ----------
        **parameters
            As in `PermanentDropout`. The shape is that of ``init``, if that is a matrix
            and no shape is given.

        Returns
        -------
        dropout : `PermanentDropout`
        """
        own = {
            "init": self.init.base,
            "rate": self.rate,
            "redraw": self.redraw,
            "groups": self.groups,
            "noise": self.noise,
            "redraw_delay": self.redraw_delay,
        }
        shape = np.shape(parameters.get("init", 0.0))
        own["shape"] = shape if len(shape) == 2 else self.shape
        return type(self)(**{**own, **parameters})

    @property
    def _argreprs(self):
        reprs = super()._argreprs + [f"rate={self.rate!r}"]
        if self.redraw is not None:
            reprs.append(f"redraw={self.redraw!r}")
        if self.groups is not None:
            reprs.append(f"groups=<{np.unique(self.groups).size} groups>")
        if self.noise != BERNOULLI:
            reprs.append(f"noise={self.noise!r}")
        if self.redraw_delay > 0:
            reprs.append(f"redraw_delay={self.redraw_delay!r}")
        return reprs

    def sample(self, rng=None):
        # What builds a network gives a generator. What gives none only looks, as Nengo
        # GUI does, to see which connections inhibit.
        looks, rng = rng is None, np.random if rng is None else rng
        redrawn = self.redraw is not None and isinstance(self.init, Distribution)
        if redrawn and not looks:
            raise BuildError(
                f"{self}: asked for constant weights, but its masks are redrawn every "
                f"{self.redraw} s. The backend or connection that this is built for "
                "can't redraw; use nengo.Simulator, or redraw=None and a new seed a "
                "simulator."
            )
        return super().sample(rng=rng)
