"""The Converter: a model as a Nengo network."""

import warnings

import nengo
import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.converter.build import NetworkBuilder
from nengo_permadrop.converter.checks import warn_if_unlikely
from nengo_permadrop.converter.copies import another_copy
from nengo_permadrop.converter.layer_objects import LayerObjects
from nengo_permadrop.converter.rates import firing_rates, rates_from, rows_of
from nengo_permadrop.converter.timing import settling_time
from nengo_permadrop.dropout.seeds import derive_seed
from nengo_permadrop.graph.dropouts import check_dropout
from nengo_permadrop.graph.naming import some
from nengo_permadrop.neurons.activations import approximations
from nengo_permadrop.sources.registry import with_graph
from nengo_permadrop.support.isolation import add_made, copied
from nengo_permadrop.support.validation import (
    check_choice,
    check_integer,
    check_seconds,
    check_seed,
)
from nengo_permadrop.targets.registry import get_target, target_names

FIRST_LAYERS = ("converted", "exact")


class Converter(nengo.Network):
    """
    A model as a Nengo network, with its permanent dropout.

    Activations become ensembles that are connected directly, neurons to neurons; what
    is linear between them is folded into the connections' weights and the ensembles'
    biases. Dropout becomes `.PermanentDropout` in those connections.

    Parameters
    ----------
    model : `keras.Model`, str, path-like or `.ModelGraph`
        A built Sequential or functional model. Or its file (.h5, .hdf5, .keras, or
        .json with ``weights``), read as data, without Keras or running its code. Or a
        ``torch.nn.Module``, ``torch.export.ExportedProgram`` or a ``.pt2`` file of one,
        or an ``onnx.ModelProto`` or its file. Or what `.read_model` gives.
    neurons : {"spiking", "rate"}, optional
        Spiking neurons, or the rate neurons that compute the model's activations.
    target : {"nengo", "loihi"}, optional
        "loihi" takes nengo-loihi's neuron types and synapses that the chip has, and
        keeps the first layer off the chip.
    synapse : `nengo.synapses.Synapse` or float, optional
        Filter of connections from neurons (a float is the time constant of a Lowpass,
        in seconds). None takes the target's default: ``Alpha(0.005)`` for spiking
        neurons, ``Lowpass(0.005)`` on Loihi, no filter for rate neurons.
    dropout : {"permanent", "off", "all-off"} or {str: {"permanent", "off"}}, optional
        What a plain ``Dropout`` layer becomes; one that was called with an
        explicit ``training=`` does what that says. ``PermanentDropout`` layers, and
        subclasses of Keras's ``Dropout`` that force it on in ``call``, are permanent,
        unless this is "all-off". A dict says it of single layers, by name, whatever
        they are in the model; all others are as with "permanent".
    scale_firing_rates : float or {str: float}, optional
        Firing rate, in Hz, of an activation of 1 in relu, sigmoid and tanh layers: one
        for all, or by the layer's name. Others are chosen for each layer, so that 99%
        of its activations have at most the rate that the target's neurons are good
        for (500 Hz; 80 Hz on Loihi, where higher rates are coarse). SoftLIF layers have
        their own ``amplitude`` and ``gain``.
    X : array_like, list of array_like or {str: array_like}, optional
        Rows to choose firing rates by; a few hundred will do, and no targets are
        needed. By default they are chosen by the weights, and by what batch
        normalisation has seen, for inputs of mean 0 and variance 1. Give rows where
        inputs are not standardised.
    first_layer : {"converted", "exact"}, optional
        What the layers become that the inputs go into: the spiking twins of their
        activations, as all others, or neurons that send regular spikes at exactly the
        activation's rates. SoftLIF layers answer below the threshold, where LIF neurons
        are silent; "exact" takes that error away where it can be. Layers that get
        something else, too, are always converted. On Loihi, whose first layer is
        computed by the host, both are the same.
    redraw : float, optional
        Seconds of simulated time after which all dropouts take new masks. With
        ``target="loihi"`` this builds `.DropoutGate` gates, as weights on the
        chip can't change; dropout of anything but the outputs of neurons raises then.
    copies : int, optional
        So many copies of the network side by side, which get the same inputs and have
        masks of their own: so many draws at a time, where there is room (see
        ``loihi.resources``).
    label : str, optional
    seed : int, optional
        Seed of the network and its masks. By default the masks derive from the seed of
        the network that this one is made in; if that has none either, they are drawn
        at random, once.
    add_to_container : bool, optional
        As in `nengo.Network`.
    weights : str or path-like, optional
        For a model's file: one of weights alone, in either of Keras's formats.
    dropout_classes : sequence of str, optional
        For a model's file: names of the user's classes in it that are permanent
        dropout. Those whose names end in "Dropout" are known, such as ``MCDropout``; in
        a model in memory, all subclasses are.
    max_to_avg_pool : bool, optional
        Take averages where the model takes the largest of several elements, which are
        refused otherwise; `.Converter.verify` compares with the model that does.
    example_inputs : array_like, list of array_like or {str: array_like}, optional
        For a module of PyTorch: rows of its inputs, such as ``X[:1]``.

    Attributes
    ----------
    input, output : `nengo.Node`
        The first input and output. Connect to the input with ``synapse=None``.
    inputs, outputs : {str: `nengo.Node`}
        By name, in the model's order.
    layers : `.LayerObjects`
        The Nengo object of each layer, by name.
    dropouts : list of `.Dropout`
        The permanent dropouts, in the model's order.
    firing_rates : {str: float}
        The rate, in Hz, of an activation of 1, by the path of each relu, sigmoid or
        tanh layer.
    rates_from : {str: {"given", "rows", "weights"}}
        Where each of them comes from: ``scale_firing_rates``, the rows ``X``, or the
        weights alone.
    links : {str: str}
        What the model makes of outputs at last, such as "softmax"; `.sample` does it.
    approximations : {str: float or str}
        By layer: how far its neurons are off an activation at the most, for any input;
        or in words, what is in place of something else.
    graph : `.ModelGraph`
        The operations and weights that the network was made from.
    model : object or None
        The model; None if the network was made from a graph, or sent to another
        process.
    copies : list of `Converter`
        This one, and the other copies of the network that are in it. Outputs, layers
        and dropouts are those of the first copy; the others have their own.
    calibration : `.Calibration` or None
        What `.calibrate` has corrected, if it has been called.
    bypass : list of `nengo.Connection`
        From layers of neurons past others to the outputs, if it has fitted weights.
    certificate : `.Certificate` or None
        How well it agrees, as simulations have shown, if `.tune` made it: it is not
        warned of where it is sampled with the times that this was found for.

    Raises
    ------
    ConversionError
        If a layer, option or activation is not supported: it names the layer, what was
        found, and what to do. Also if no firing rate fits a layer, because some of its
        activations are infinite or NaN.
    nengo.exceptions.ValidationError
        If an argument is out of its range, a firing rate is given for a layer that
        isn't there, or rows ``X`` are not what the model takes.

    Warns
    -----
    UserWarning
        If layers have learned with the rate curve of another target's neurons, or
        ``max_to_avg_pool`` replaces some.
    AgreementWarning
        If rows ``X`` are given, and the network can't be expected to agree with the
        classical one on them; `.sample` warns of its own rows.

    Examples
    --------
    ::

        with nengo.Network(seed=0) as net:
            conv = npd.Converter(model)
            stimulus = nengo.Node(nengo.processes.PresentInput(X, 0.1))
            nengo.Connection(stimulus, conv.input, synapse=None)
            probe = nengo.Probe(conv.output)
    """

    def __init__(
        self,
        model,
        *,
        neurons="spiking",
        target="nengo",
        synapse=None,
        dropout="permanent",
        scale_firing_rates=None,
        X=None,
        first_layer="converted",
        redraw=None,
        copies=1,
        label=None,
        seed=None,
        add_to_container=None,
        weights=None,
        dropout_classes=(),
        max_to_avg_pool=False,
        example_inputs=None,
    ):
        check_choice(neurons, "neurons", ("spiking", "rate"))
        check_choice(target, "target", target_names())
        check_choice(first_layer, "first_layer", FIRST_LAYERS)
        get_target(target).check_neurons(neurons)
        if redraw is not None:
            redraw = check_seconds(redraw, "redraw")
        if seed is not None:
            seed = check_seed(seed)
        check_integer(copies, "copies", 1)
        options = weights, dropout_classes, max_to_avg_pool, example_inputs
        model, graph = with_graph(model, *options)
        dropout = check_dropout(dropout, graph.dropout_paths)
        rows = None if X is None else rows_of(graph, X)
        rates = firing_rates(
            graph, get_target(target), scale_firing_rates, rows, dropout
        )

        context = nengo.Network.context
        parent = context[-1] if len(context) > 0 else None
        number = len(parent.networks) if parent is not None else 0
        super().__init__(label=label, seed=seed, add_to_container=False)
        if seed is None and parent is not None and parent.seed is not None:
            seed = derive_seed(parent.seed, number)

        self.graph = graph
        self.model = model
        self.neurons = neurons
        self.target = target
        self.synapse = get_target(target).synapse(synapse, neurons)
        self.dropout = dropout
        self.firing_rates = rates
        self.rates_from = rates_from(graph, scale_firing_rates, rows)
        self.first_layer = first_layer
        self.redraw = redraw
        self.calibration = None
        self.bypass = []
        self.certificate = None

        builder = NetworkBuilder(self)
        with self:
            builder.build()
        self.inputs = builder.inputs
        self.outputs = builder.outputs
        self.layers = LayerObjects(builder.layer_objects())
        self.dropouts = builder.dropouts
        self.off_chip = builder.off_chip
        self.copies = [self]
        for number in range(1, copies):
            self.copies.append(another_copy(self, f"copy {number}"))
        self.reseed(np.random.randint(2**31) if seed is None else seed)
        if builder.other_curves and model is not None:
            warning = get_target(target).other_curve
            warnings.warn(warning.format(some(builder.other_curves)), stacklevel=2)
        alone = parent is None or add_to_container is False
        self.configure(self if alone else context[0])
        if rows is not None:
            warn_if_unlikely(self, rows)
        add_made(self, add_to_container)

    @property
    def input(self):
        return next(iter(self.inputs.values()))

    @property
    def output(self):
        return next(iter(self.outputs.values()))

    @property
    def links(self):
        return dict(self.graph.links)

    @property
    def approximations(self):
        return {**self.graph.replaced, **approximations(self.graph)}

    @property
    def settling_time(self):
        """
        Seconds until the output has settled, after an observation is shown.

        The delays that the synapses of the slowest path add up to, and twice the spread
        of these delays. What is read before is still of the network's initial state:
        take it as ``settle`` in `.sample`.
        """
        return settling_time(self)

    def reseed(self, seed):
        """
        Give all dropouts the masks of another seed.

        Takes effect in simulators that are built afterwards.

        Parameters
        ----------
        seed : int
        """
        seed = check_seed(seed)
        for dropout in self.dropouts:
            for mask in dropout.masks:
                mask.reseed(derive_seed(seed, mask.number))
        for number, copy in enumerate(self.copies[1:], start=1):
            copy.reseed(derive_seed(seed, number))

    def take_masks(self, other):
        """
        Take the masks of another conversion of the same model.

        Takes effect in simulators that are built afterwards.

        Parameters
        ----------
        other : `Converter`
            Of the same model, and with as many copies.

        Raises
        ------
        nengo.exceptions.ValidationError
            If its dropouts or copies are others; this converter is as it was then.
        """
        known = isinstance(other, Converter)
        structures = [
            [[dropout.structure for dropout in copy.dropouts] for copy in conv.copies]
            for conv in ((self, other) if known else ())
        ]
        if not known or structures[0] != structures[1]:
            raise ValidationError(
                f"{other} doesn't have the masks that {self} has; take those of a "
                "conversion of the same model, with the same dropout and as many "
                "copies",
                attr="other",
                obj=self,
            )
        for copy, theirs in zip(self.copies, other.copies, strict=True):
            for dropout, others in zip(copy.dropouts, theirs.dropouts, strict=True):
                for mask, their in zip(dropout.masks, others.masks, strict=True):
                    mask.reseed(their.seed)

    def configure(self, network):
        """
        Tell a network what the target wants of it, such as layers off a chip.

        nengo-loihi reads the configuration of the outermost network only. The converter
        does this for the network that it is made in; call it yourself if you add the
        converter to another network later.

        Parameters
        ----------
        network : `nengo.Network`
            The outermost network.
        """
        for copy in self.copies:
            get_target(self.target).configure(network, copy.off_chip)

    def verify(self, X, tolerance=1e-4):
        """
        Check that the network computes what the model computes.

        The same layers are built from rate neurons without synapses and compared with
        the model, once without dropout and once with the masks that this network has
        now: weights, wiring, and where units are dropped. A calibration comes after
        that; what it corrected is in ``calibration``. What comes before a link is
        compared. Neurons that approximate an activation must be within their bound.

        Parameters
        ----------
        X : array_like, list of array_like or {str: array_like}
            A few observations, ``(n_observations, ...)`` an input.
        tolerance : float, optional
            Largest difference allowed, relative to the largest output where that is
            greater than 1. The network is compared with Keras's layers in the precision
            that they compute in, but at least in float32: of a model whose policy is
            float16, bfloat16 or a mixed one, the network is compared with the same
            layers and weights in float32, as Keras's own rounding is far above this
            tolerance. That the model's answers are those in float32 but for rounding
            (0.125 of the largest output in float16, 0.25 in bfloat16) is checked, too.

        Returns
        -------
        error : float
            The largest difference found, without Keras's rounding in half precision and
            what follows from ``approximations``.

        Raises
        ------
        ConversionError
            If the difference is larger, with the output and observation it was found
            at; if half precision changes the model's own answers by more than rounding,
            as where values overflow; or if the converter was made without a model.
        """
        from nengo_permadrop.converter.verify import verify

        return verify(self, X, tolerance)[0]

    def report(self, X=None, certificate=None):
        """
        What became of the model: neurons, rates, dropouts, times, approximations.

        It says what theory expects of the network, without simulating it: how often
        the neurons of each layer fire, and how far its mean answers will be off the
        classical ones. Whether that is so, `.ks_agreement` tests.

        Parameters
        ----------
        X : array_like, list of array_like or {str: array_like}, optional
            Rows that rates and bias are for, ``(n_observations, ...)`` an input: 256 at
            the most, evenly spaced (fewer of large networks). By default made up, with
            mean 0 and variance 1, or what a batch normalisation of inputs has seen.
        certificate : `.Certificate`, optional
            As `.certify` gives it, which is shown with the rest. By default the one
            that the converter has.

        Returns
        -------
        report : `.ConversionReport`
            Print it, show it in a notebook, or take its ``to_dict()``.

        Raises
        ------
        nengo.exceptions.ValidationError
            If rows are not what the model takes.
        """
        from nengo_permadrop.converter.reporting import conversion_report

        return conversion_report(
            self, X, self.certificate if certificate is None else certificate
        )

    def copy(self, add_to_container=None):
        """
        A copy of this network, with the same weights, seeds and masks.

        Parameters
        ----------
        add_to_container : bool, optional
            As in `nengo.Network.copy`.

        Returns
        -------
        conv : `Converter`
            Without the model; see ``model``.

        Raises
        ------
        nengo.exceptions.ValidationError
            If part of it can't be pickled.
        """
        conv = copied(self)
        add_made(conv, add_to_container)
        return conv

    def __getstate__(self):
        # workers need the network, not what it was made from
        state = super().__getstate__()
        state["model"] = None
        return state
