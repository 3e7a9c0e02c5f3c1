"""Building `.PermanentDropout` for NengoDL, and the operators that it is made of."""

from collections import namedtuple

import numpy as np
from nengo.builder import Operator, Signal
from nengo.builder.operator import DotInc, Reset, SparseDotInc
from nengo.builder.transforms import multiply
from nengo.exceptions import ValidationError
from nengo.rc import rc

from nengo_permadrop.dropout.builder import (
    base_weights,
    check_dropout,
    connection_being_built,
)
from nengo_permadrop.dropout.masks import mask_key


class InputDropout(
    namedtuple("InputDropout", ("conn", "weights", "scale", "key", "decoders"))
):
    """
    A dropout connection as NengoDL has it: inputs are scaled, then weighted.

    Attributes
    ----------
    conn : `nengo.Connection`
    weights : `nengo.builder.Signal`
        The weights without dropout, ``(size_out, size_in)``.
    scale : `nengo.builder.Signal`
        What each input is multiplied by, such as 0 or ``1 / (1 - rate)``:
        ``(size_in,)``, for each item of the minibatch.
    key : `nengo.builder.Signal` or None
        The key of the masks as two 32-bit integers, for each item; None if they are
        never redrawn.
    decoders : `nengo.builder.Signal` or None
        What the connection multiplies the neurons' output with before the dropout.
    """

    __slots__ = ()

    @property
    def dropout(self):
        """The `.PermanentDropout` of the connection."""
        return self.conn.transform

    def initial(self, seeds):
        """
        The signals' initial values for other masks.

        Parameters
        ----------
        seeds : (n,) ndarray of int
            Connection seeds, one per item of the minibatch.

        Returns
        -------
        values : {`nengo.builder.Signal`: (n, ...) ndarray}
        """
        keys = np.array([mask_key(np.random.RandomState(seed)) for seed in seeds])
        values = {self.scale: self.dropout.init.column_scale(keys, self.scale.size)}
        if self.key is not None:
            values[self.key] = key_words(keys)
        return values


def input_dropouts(model):
    """The `.InputDropout` of each dropout connection in a built model, in build order.

    Parameters
    ----------
    model : `nengo.builder.Model`
        Such as ``sim.model`` of a `nengo_dl.Simulator`.

    Returns
    -------
    dropouts : list of `.InputDropout`
    """
    return [built for built in model.params.values() if isinstance(built, InputDropout)]


def key_words(keys):
    """64-bit keys ``(n,)`` as pairs of int32, NengoDL's only integers: ``(n, 2)``."""
    return np.ascontiguousarray(keys, dtype=np.uint64)[:, np.newaxis].view(np.int32)


def keys_of(words):
    """The inverse of `key_words`."""
    return np.ascontiguousarray(words, dtype=np.int32).view(np.uint64)[:, 0]


class DrawTrainingSeed(Operator):
    """
    Draw the seed of the masks of one training batch, once a run.

    One for all dropouts of a model, so that connections of one dropout layer drop the
    same units in training too.

    Parameters
    ----------
    seed : `nengo.builder.Signal`
        Two int32.
    tag : str, optional
        A label associated with the operator, for debugging purposes.

    Notes
    -----
    1. sets ``[seed]``
    2. incs ``[]``
    3. reads ``[]``
    4. updates ``[]``
    """

    def __init__(self, seed, tag=None):
        super().__init__(tag=tag)
        self.sets = [seed]
        self.incs = []
        self.reads = []
        self.updates = []

    @property
    def seed(self):
        return self.sets[0]


class DropInputs(Operator):
    """
    Drop the inputs of a connection, item by item of the minibatch.

    When a network is simulated, the masks are those of ``scale``; when it is trained,
    each item of each batch has new ones.

    Parameters
    ----------
    built : `.InputDropout`
    x : `nengo.builder.Signal`
        The inputs.
    dropped : `nengo.builder.Signal`
        The inputs with some of them dropped and the others scaled.
    key : uint64
        Key of the connection's masks, by which connections share masks in training.
    training_seed, step : `nengo.builder.Signal`
        Of `DrawTrainingSeed`, and the number of the time step.
    tag : str, optional
        A label associated with the operator, for debugging purposes.

    Notes
    -----
    1. sets ``[dropped]``
    2. incs ``[]``
    3. reads ``[x, scale, training_seed, step]``
    4. updates ``[]``
    """

    def __init__(self, built, x, dropped, key, training_seed, step, tag=None):
        super().__init__(tag=tag)
        self.rate = built.dropout.rate
        self.redraw = built.dropout.redraw
        self.redraw_delay = built.dropout.redraw_delay
        self.groups = built.dropout.groups
        self.noise = built.dropout.noise
        self.key = key
        self.sets = [dropped]
        self.incs = []
        self.reads = [x, built.scale, training_seed, step]
        self.updates = []

    @property
    def dropped(self):
        return self.sets[0]

    @property
    def x(self):
        return self.reads[0]

    @property
    def scale(self):
        return self.reads[1]

    @property
    def training_seed(self):
        return self.reads[2]

    @property
    def step(self):
        return self.reads[3]

    @property
    def _descstr(self):
        return f"{self.x} -> {self.dropped}"


class RedrawScale(Operator):
    """
    Give a dropout connection new masks while the simulation runs.

    At the same steps and to the same masks as `.RedrawMask` on the reference simulator;
    it is the mask of the following step that is decided at the end of each.

    Parameters
    ----------
    built : `.InputDropout`
    step : `nengo.builder.Signal`
        The number of the time step.
    tag : str, optional
        A label associated with the operator, for debugging purposes.

    Notes
    -----
    1. sets ``[]``
    2. incs ``[]``
    3. reads ``[key, step]``
    4. updates ``[scale]``
    """

    def __init__(self, built, step, tag=None):
        super().__init__(tag=tag)
        self.dropout = built.dropout
        self.sets = []
        self.incs = []
        self.reads = [built.key, step]
        self.updates = [built.scale]

    @property
    def key(self):
        return self.reads[0]

    @property
    def step(self):
        return self.reads[1]

    @property
    def scale(self):
        return self.updates[0]

    @property
    def _descstr(self):
        return f"{self.dropout} -> {self.scale}"


def build_permanent_dropout(
    model, transform, sig_in, decoders=None, encoders=None, rng=np.random
):
    """
    Build a `.PermanentDropout` for NengoDL: drop the inputs, then apply the weights.

    The weights signal holds the weights without dropout, which is what is trained.
    Random numbers are those of the reference builder.

    Parameters
    ----------
    model : `nengo.builder.Model`
    transform : `.PermanentDropout`
    sig_in : `nengo.builder.Signal`
        Signal that the transform is applied to.
    decoders, encoders : ndarray, optional
        As in Nengo's ``build_dense``. Decoders are applied before the dropout, with an
        operator of their own.
    rng : `numpy.random.RandomState`, optional
        Not used, as in the reference builder.

    Raises
    ------
    nengo.exceptions.ValidationError
        If the connection has a learning rule, or redraws don't fall on time steps. (Not
        a BuildError: NengoDL takes that as a request for the reference's builder, whose
        weights are masked constants.)

    Warns
    -----
    UserWarning
        If what is dropped are dimensions, not neurons.

    Notes
    -----
    Sets ``model.params[scale]`` to an `.InputDropout`, ``scale`` being its signal.
    """
    conn = connection_being_built(model, transform)
    check_dropout(conn, model.dt)
    if conn.learning_rule_type is not None:
        raise ValidationError(
            f"{conn}: a connection with dropout can't have a learning rule on NengoDL, "
            "because the rule would take dropped inputs for active ones; use the "
            "reference simulator, or drop on another connection",
            attr="learning_rule_type",
            obj=conn,
        )
    size_in = transform.size_in
    key_rng = np.random.RandomState(model.seeds[conn])
    key = mask_key(key_rng)
    base = base_weights(transform, key_rng, decoders)
    base = base.astype(rc.float_dtype, copy=False)
    if encoders is not None:
        base = multiply(encoders.astype(rc.float_dtype).T, base)

    decoder_signal, x = None, sig_in
    if decoders is not None:
        decoder_signal, x = _decoded(model, conn, decoders, sig_in)
    weights = Signal(base, readonly=True, name=f"{conn}.weights")
    redraws = transform.redraw is not None
    built = InputDropout(
        conn,
        weights,
        Signal(transform.init.column_scale(key, size_in), name=f"{conn}.scale"),
        Signal(key_words([key])[0], name=f"{conn}.key") if redraws else None,
        decoder_signal,
    )
    model.params[built.scale] = built

    dropped = Signal(shape=size_in, name=f"{conn}.dropped")
    weighted = Signal(shape=base.shape[0], name=f"{conn}.weighted")
    model.add_op(
        DropInputs(
            built,
            x,
            dropped,
            key,
            _training_seed(model),
            model.step,
            tag=f"{conn}.drop",
        )
    )
    model.add_op(Reset(weighted))
    product = SparseDotInc if weights.sparse else DotInc
    model.add_op(product(weights, dropped, weighted, tag=f"{conn}.apply_weights"))
    if redraws:
        model.add_op(RedrawScale(built, model.step, tag=f"{conn}.redraw"))
    return weighted, weights


def _decoded(model, conn, decoders, activities):
    """Signals of the decoders and of what they decode."""
    signal = Signal(
        decoders.astype(rc.float_dtype), readonly=True, name=f"{conn}.decoders"
    )
    signal.trainable, signal.minibatched = None, False  # as NengoDL marks constants
    decoded = Signal(shape=decoders.shape[0], name=f"{conn}.decoded")
    model.add_op(Reset(decoded))
    model.add_op(DotInc(signal, activities, decoded, tag=f"{conn}.decode"))
    return signal, decoded


def _training_seed(model):
    """The signal of the model's only `DrawTrainingSeed`."""
    common = model.sig["common"]
    if "training_seed" not in common:
        signal = Signal(np.zeros(2, dtype=np.int32), name="dropout.training_seed")
        signal.trainable, signal.minibatched = None, False  # one for the whole batch
        common["training_seed"] = signal
        model.add_op(DrawTrainingSeed(signal, tag="dropout.training_seed"))
    return common["training_seed"]
