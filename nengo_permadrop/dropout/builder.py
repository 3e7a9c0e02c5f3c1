"""Building `.PermanentDropout` for the reference simulator, and those that share it."""

import sys
import warnings
from collections import namedtuple

import nengo
import numpy as np
from nengo.builder import Builder, Operator
from nengo.builder.transforms import build_dense, build_sparse, multiply
from nengo.dists import Distribution
from nengo.exceptions import BuildError
from nengo.rc import rc
from nengo.transforms import Dense, Sparse

from nengo_permadrop.dropout.clock import redraw_index
from nengo_permadrop.dropout.masks import mask_key
from nengo_permadrop.dropout.transforms import PermanentDropout
from nengo_permadrop.dropout.weights import as_dense, is_sparse, scaled_columns
from nengo_permadrop.support.validation import check_whole_steps


class BuiltDropout(
    namedtuple("BuiltDropout", ("conn", "weights", "decoders", "encoders"))
):
    """
    What is needed to give a built dropout connection other masks.

    Attributes
    ----------
    conn : `nengo.Connection`
    weights : `nengo.builder.Signal`
        The signal that holds the masked weights.
    decoders, encoders : ndarray or None
        What the connection multiplied its transform with.
    """

    __slots__ = ()

    @property
    def dropout(self):
        """The `.PermanentDropout` of the connection."""
        return self.conn.transform

    def base(self, seed):
        """The key of the masks and the unmasked transform, for a connection seed."""
        rng = np.random.RandomState(seed)
        key = mask_key(rng)
        return key, base_weights(self.dropout, rng, self.decoders)

    def masked(self, key, base, redraw_index=0):
        """The signal's value for one mask."""
        scale = self.dropout.init.column_scale(
            key, self.dropout.size_in, redraw_index=redraw_index
        )
        weights = scaled_columns(base, scale).astype(rc.float_dtype, copy=False)
        if self.decoders is not None:
            weights = multiply(weights, self.decoders.astype(rc.float_dtype))
        if self.encoders is not None:
            weights = multiply(self.encoders.astype(rc.float_dtype).T, weights)
        return weights

    def redrawn(self, seed, redraw_index=0):
        """The signal's value for a connection seed and the number of a redraw."""
        return self.masked(*self.base(seed), redraw_index=redraw_index)


def base_weights(dropout, rng=np.random, decoders=None):
    """
    The weights of a dropout as they are multiplied with, without a mask.

    Parameters
    ----------
    dropout : `.PermanentDropout`
    rng : `numpy.random.RandomState`, optional
        For weights that are a distribution.
    decoders : ndarray, optional
        What the connection multiplies its transform with.

    Returns
    -------
    weights : (size_out, size_in) ndarray or csr_matrix
        Sparse as in the dropout, but not where it is multiplied with decoders.
    """
    weights = dropout.init.sample_base(*dropout.shape, rng=rng)
    return weights if decoders is None else as_dense(weights)


def built_dropouts(model):
    """The `.BuiltDropout` of each dropout connection in a built model, in build order.

    Parameters
    ----------
    model : `nengo.builder.Model`

    Returns
    -------
    dropouts : list of `.BuiltDropout`
    """
    return [built for built in model.params.values() if isinstance(built, BuiltDropout)]


class RedrawMask(Operator):
    """
    Give a dropout connection new masks while the simulation runs.

    Mask ``k`` is in force from ``k * redraw`` to ``(k + 1) * redraw`` seconds, the same
    boundaries as those of `nengo.processes.PresentInput`; or, but for the first one's
    beginning, ``redraw_delay`` seconds later.

    Parameters
    ----------
    built : `.BuiltDropout`
        The connection; its weights are what is set.
    seed : int
        Seed of the connection.
    time : `nengo.builder.Signal`
        The signal of the simulated time, in seconds.
    tag : str, optional
        A label associated with the operator, for debugging purposes.

    Notes
    -----
    1. sets ``[weights]``
    2. incs ``[]``
    3. reads ``[time]``
    4. updates ``[]``
    """

    def __init__(self, built, seed, time, tag=None):
        super().__init__(tag=tag)
        self.built = built
        self.seed = seed
        self.sets = [built.weights]
        self.incs = []
        self.reads = [time]
        self.updates = []

    @property
    def time(self):
        return self.reads[0]

    @property
    def weights(self):
        return self.sets[0]

    @property
    def _descstr(self):
        return f"{self.built.dropout} -> {self.weights}"

    def make_step(self, signals, dt, rng):
        time = signals[self.time]
        weights = signals[self.weights]
        if self.weights.sparse:
            # Nengo has no writable sparse signals; the product that reads this one is
            # made later, and so gets the copy
            weights = weights.copy()
            dict.__setitem__(signals, self.weights, weights)
        redraw, delay = self.built.dropout.redraw, self.built.dropout.redraw_delay
        key, base = self.built.base(self.seed)
        current = -1  # so that the first step sets the first masks, after a reset too

        def step_redrawmask():
            nonlocal current
            index = redraw_index(time.item(), dt, redraw, delay)
            if index != current:
                masked = self.built.masked(key, base, index)
                if is_sparse(masked):
                    weights.data[...] = masked.data
                else:
                    weights[...] = masked
                current = index

        return step_redrawmask


@Builder.register(PermanentDropout)
def build_permanent_dropout(
    model, transform, sig_in, decoders=None, encoders=None, rng=np.random
):
    """
    Build a `.PermanentDropout`: a dense or sparse transform, and an operator if it
    redraws.

    Other than in `nengo.transforms.Dense`, the generator is a new one from the
    connection's seed, not ``rng``: that has already been used to solve for decoders if
    there are any, and the masks would not depend on the seed alone.

    Parameters
    ----------
    model : `nengo.builder.Model`
    transform : `.PermanentDropout`
    sig_in : `nengo.builder.Signal`
        Signal that the transform is applied to.
    decoders, encoders : ndarray, optional
        Multiplied with the transform, as in Nengo's ``build_dense``.
    rng : `numpy.random.RandomState`, optional
        Not used.

    Raises
    ------
    nengo.exceptions.ValidationError
        If redraws don't fall on time steps.

    Warns
    -----
    UserWarning
        If what is dropped are dimensions, not neurons.

    Notes
    -----
    Sets ``model.params[weights]`` to a `.BuiltDropout`, ``weights`` being the signal
    that holds the masked weights.
    """
    conn = connection_being_built(model, transform)
    check_dropout(conn, model.dt)
    seed = model.seeds[conn]
    nengo_dl = sys.modules.get("nengo_dl")
    if nengo_dl is not None and isinstance(model, nengo_dl.builder.NengoModel):
        warnings.warn(
            "NengoDL takes the masked weights of PermanentDropout as constants, and "
            "training would train those; import nengo_permadrop.dl before making the "
            "simulator, for dropout that can be trained and redrawn",
            stacklevel=2,
        )

    if not isinstance(transform.init, Distribution):
        # nengo-loihi samples the transforms of connections from its host to the chip
        # itself and leaves the masked weights in init: masking again would drop twice
        return build_dense(model, transform, sig_in, decoders, encoders, rng)

    key_rng = np.random.RandomState(seed)
    key = mask_key(key_rng)
    base = base_weights(transform, key_rng, decoders)
    masked = scaled_columns(base, transform.init.column_scale(key, transform.size_in))
    kind, build = (Sparse, build_sparse) if is_sparse(masked) else (Dense, build_dense)
    weighted, weights = build(
        model, kind(transform.shape, init=masked), sig_in, decoders, encoders
    )

    built = BuiltDropout(conn, weights, decoders, encoders)
    model.params[weights] = built
    if transform.redraw is not None:
        weights.readonly = weights.sparse
        model.add_op(RedrawMask(built, seed, model.time, tag=f"{conn}.redraw"))
    return weighted, weights


def check_dropout(conn, dt):
    """
    Check the dropout of a connection, as soon as the time step is known.

    Parameters
    ----------
    conn : `nengo.Connection`
        With a `.PermanentDropout`.
    dt : float
        Time step, in seconds.

    Raises
    ------
    nengo.exceptions.ValidationError
        If redraws don't fall on time steps.

    Warns
    -----
    UserWarning
        If what is dropped are dimensions, not neurons.
    """
    check_redraw(conn.transform, dt, conn)
    warn_of_dimensions(conn)


def warn_of_dimensions(conn):
    """Warn if the dropout of a connection drops dimensions, not neurons."""
    if isinstance(conn.pre_obj, nengo.Ensemble) and conn.transform.rate > 0:
        warnings.warn(
            f"{conn} starts from an ensemble, so that its PermanentDropout drops "
            f"dimensions of what is decoded ({conn.transform.size_in} inputs), not "
            f"neurons. To drop neurons, connect from the neurons: "
            f"nengo.Connection({conn.pre_obj}.neurons, ...). To drop dimensions, "
            "connect the ensemble to a Node, and the dropout from there",
            stacklevel=4,
        )


def check_redraw(what, dt, obj):
    """
    Check that masks are redrawn at time steps.

    Parameters
    ----------
    what : `.PermanentDropout` or `.MaskProcess`
    dt : float
        Time step, in seconds.
    obj : object
        What the error names.

    Raises
    ------
    nengo.exceptions.ValidationError
        If ``redraw`` or ``redraw_delay`` isn't a whole number of steps.
    """
    if what.redraw is not None:
        check_whole_steps(what.redraw, dt, "redraw", obj)
        check_whole_steps(what.redraw_delay, dt, "redraw_delay", obj, zero=True)


def connection_being_built(model, transform):
    """The connection whose transform is being built, for a transform's builder."""
    # Nengo passes a transform's builder everything but the connection; it has entered
    # the connection's signals just before, so it is the last one in the dictionary.
    # (Searching by transform would be wrong: equal transforms are equal keys.)
    for obj in reversed(model.sig):
        if isinstance(obj, nengo.Connection):
            if obj.transform is transform and "weights" not in model.sig[obj]:
                return obj
            break
    raise BuildError(
        f"{transform}: can only be built as the transform of a connection, because its "
        "masks depend on the connection's seed; use nengo.Connection(transform=...)"
    )
