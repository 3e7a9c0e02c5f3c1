"""
SoftLIF and PermanentDropout as PyTorch modules, to train what will be converted.

They compute what the Keras layers of the same names do. SoftLIF is an operator of
PyTorch, ``nengo_permadrop::softlif``, so that `torch.export` leaves it whole; what
knows only PyTorch's own operators, such as `torch.onnx.export`, finds those that it is
made of.
"""

from nengo.exceptions import ValidationError

from nengo_permadrop.neurons.softlif import (
    GAMMA,
    LAYER_AMPLITUDE,
    LAYER_GAIN,
    TAU_RC,
    TAU_REF,
)
from nengo_permadrop.sources.torch.rate_curves import (
    NOISES,
    TARGETS,
    activation,
    filtered_spikes,
    rates,
    straight_through,
)
from nengo_permadrop.support.optional import require
from nengo_permadrop.support.validation import (
    check_choice,
    check_integer,
    check_number,
    check_seed,
)

torch = require("torch")
_dropout = torch.nn.functional.dropout


def softlif(
    x,
    gamma=GAMMA,
    tau_rc=TAU_RC,
    tau_ref=TAU_REF,
    amplitude=LAYER_AMPLITUDE,
    gain=LAYER_GAIN,
    target="nengo",
):
    """
    The activation of a `SoftLIF`, as a function.

    Parameters
    ----------
    x : `torch.Tensor`
    gamma, tau_rc, tau_ref, amplitude, gain, target
        As of `SoftLIF`.

    Returns
    -------
    y : `torch.Tensor`
        Same shape as ``x``.
    """
    arguments = x, gamma, tau_rc, tau_ref, amplitude, gain, target
    if (
        torch.jit.is_tracing()
    ):  # the older exporter of ONNX knows no operators of others
        return activation(*arguments)
    return torch.ops.nengo_permadrop.softlif(*arguments)


class SoftLIF(torch.nn.Module):
    """
    Activation whose values are the rates of smoothed LIF neurons.

    ``y = amplitude * rate(gain * x + 1)``: an input of 0 is the threshold, and with the
    defaults an activation of 1 is a rate of 100 Hz. It has no weights, so that it can
    take the place of another activation in a module whose state is loaded.

    Parameters
    ----------
    gamma : float, optional
        Width of the smoothing, in units of the input current; greater than 0. LIF
        neurons have no sub-threshold tail, so a larger one trains more easily and
        converts less well: see `set_gamma`.
    tau_rc : float, optional
        Membrane RC time constant, in seconds.
    tau_ref : float, optional
        Absolute refractory period, in seconds.
    amplitude : float, optional
        Activation per Hz.
    gain : float, optional
        Input current per unit of input.
    target : {"nengo", "loihi"}, optional
        "loihi": the forward pass is Loihi's tuning curve, with its periods of whole
        time steps and its discretised time constants; the gradient is SoftLIF's.
    noise : {None, "lowpass", "alpha", "alpharc"}, optional
        In training mode, the forward pass is not the rate but what a synapse makes of a
        regular spike train of that rate, read at a random time: the variability that
        the spiking network will have. "alpharc" is an alpha synapse followed by the
        membrane of the next neuron. The gradient is that of the rate. What is exported
        has no noise.
    tau_s : float, optional
        Time constant of that synapse, in seconds.

    Raises
    ------
    nengo.exceptions.ValidationError
        If a parameter is out of range (a ValueError).

    References
    ----------
    Hunsberger, E., & Eliasmith, C. (2015). Spiking deep networks with LIF neurons.
    arXiv:1510.08829. The idea of training through filtered spikes at a random phase:
    nengo-extras' ``alpharc`` noise model.

    Examples
    --------
    ::

        hidden = torch.nn.Linear(3, 100), SoftLIF(), PermanentDropout(0.1)
        module = torch.nn.Sequential(*hidden, torch.nn.Linear(100, 1))
    """

    TARGETS = TARGETS
    NOISES = NOISES
    _NAMES = ("gamma", "tau_rc", "tau_ref", "amplitude", "gain")

    def __init__(
        self,
        gamma=GAMMA,
        tau_rc=TAU_RC,
        tau_ref=TAU_REF,
        amplitude=LAYER_AMPLITUDE,
        gain=LAYER_GAIN,
        target="nengo",
        noise=None,
        tau_s=0.005,
    ):
        super().__init__()
        positive = dict(
            gamma=gamma, tau_rc=tau_rc, amplitude=amplitude, gain=gain, tau_s=tau_s
        )
        for name, value in positive.items():
            setattr(
                self, name, check_number(value, f"SoftLIF: {name}", 0, low_open=True)
            )
        self.tau_ref = check_number(tau_ref, "SoftLIF: tau_ref", 0)
        self.target = check_choice(target, "SoftLIF: target", self.TARGETS)
        self.noise = check_choice(noise, "SoftLIF: noise", self.NOISES)
        if noise == "alpharc" and abs(tau_s - tau_rc) < 1e-4:
            raise ValueError(
                "SoftLIF: noise='alpharc' needs tau_s and tau_rc that differ, got "
                f"{tau_s} and {tau_rc}"
            )

    def forward(self, inputs):
        """Activations for ``inputs``, elementwise."""
        if self.noise is None or not self.training or _is_exporting():
            values = [getattr(self, name) for name in self._NAMES]
            return softlif(inputs, *values, self.target)
        rate, forward = rates(
            inputs, self.gamma, self.tau_rc, self.tau_ref, self.gain, self.target
        )
        fires = forward > 0
        period = 1.0 / torch.where(fires, forward, torch.ones_like(forward))
        phase = torch.rand_like(period)
        noisy = filtered_spikes(period, phase, self.noise, self.tau_s, self.tau_rc)
        noisy = torch.where(fires, noisy, torch.zeros_like(noisy))
        return self.amplitude * straight_through(rate, noisy)

    def extra_repr(self):
        """All parameters, so that the text makes an equal layer."""
        names = (*self._NAMES, "target", "noise", "tau_s")
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in names)


def set_gamma(module, gamma):
    """
    Change the gamma of all SoftLIF layers, to train on with a sharper curve.

    Under the threshold SoftLIF gives what LIF neurons don't, and the more so the larger
    its gamma is; but a larger gamma trains more easily. So train with a large one, make
    it small, and train on, with less than a third of the learning rate: what is learned
    last is learned with the curve that the spiking neurons have. (It is what
    `.models.anneal` does to Keras models.)

    Parameters
    ----------
    module : `torch.nn.Module`
        Changed in place.
    gamma : float
        Greater than 0.

    Raises
    ------
    nengo.exceptions.ValidationError
        If gamma isn't greater than 0, or the module has no SoftLIF layer.
    """
    gamma = check_number(gamma, "gamma", 0, low_open=True)
    layers = [each for each in module.modules() if isinstance(each, SoftLIF)]
    if not layers:
        raise ValidationError(
            f"{type(module).__name__} has no SoftLIF layer, whose gamma could be made "
            "smaller",
            attr="module",
        )
    for layer in layers:
        layer.gamma = gamma


class PermanentDropout(torch.nn.Module):
    """
    Dropout that is on in training and in evaluation mode.

    Parameters
    ----------
    rate : float
        Probability that a unit is dropped, in [0, 1); the others are scaled by
        ``1 / (1 - rate)``.
    noise_shape : sequence of int or None, optional
        Shape of the masks, as in `keras.layers.Dropout`: where it is 1, units along
        that axis are dropped together; None is the size of the inputs' axis.
    seed : int, optional
        Of a stream of masks of the layer's own, which goes on from call to call; by
        default they come from PyTorch's global generator. What is exported, or run by
        `.sample`, has other masks.

    Raises
    ------
    nengo.exceptions.ValidationError
        If an argument is out of range (a ValueError).

    References
    ----------
    Gal, Y., & Ghahramani, Z. (2016). Dropout as a Bayesian approximation. ICML.
    """

    def __init__(self, rate, noise_shape=None, seed=None):
        super().__init__()
        self.rate = check_number(rate, "PermanentDropout: rate", 0, 1, high_open=True)
        if noise_shape is not None:
            noise_shape = tuple(
                (
                    size
                    if size is None
                    else check_integer(size, "PermanentDropout: noise_shape", 1)
                )
                for size in noise_shape
            )
        self.noise_shape = noise_shape
        if seed is not None:
            seed = check_seed(seed, "PermanentDropout: seed")
        self.seed = seed
        self._generators = {}

    def forward(self, inputs):
        """``inputs`` with units dropped, whatever the mode."""
        if self.rate == 0:
            return inputs
        if self.noise_shape is None:
            return self._dropped(inputs)
        sizes = inputs.shape
        if len(self.noise_shape) != len(sizes):
            raise ValueError(
                f"PermanentDropout: noise_shape {self.noise_shape} doesn't fit inputs "
                f"of shape {tuple(sizes)}; give one size an axis"
            )
        pairs = zip(self.noise_shape, sizes)
        shape = [size if told is None else told for told, size in pairs]
        return inputs * self._dropped(inputs.new_ones(shape))

    def _dropped(self, x):
        if self.seed is None or _is_exporting() or torch.jit.is_tracing():
            return _dropout(x, self.rate, training=True)
        return seeded_dropout(x, self.rate, self._generator(x.device))

    def _generator(self, device):
        key = str(device)
        if key not in self._generators:
            self._generators[key] = torch.Generator(device).manual_seed(self.seed)
        return self._generators[key]

    def __getstate__(self):
        """Generators by their states: not every version of PyTorch copies them."""
        states = {key: g.get_state() for key, g in self._generators.items()}
        return {**self.__dict__, "_generators": states}

    def __setstate__(self, state):
        state = dict(state)
        states = state.pop("_generators")
        super().__setstate__(state)
        self._generators = {}
        for key, each in states.items():
            self._generators[key] = torch.Generator(torch.device(key))
            self._generators[key].set_state(each)

    def extra_repr(self):
        """All parameters, so that the text makes an equal layer."""
        return (
            f"rate={self.rate!r}, noise_shape={self.noise_shape!r}, seed={self.seed!r}"
        )


def seeded_dropout(x, p, generator):
    """
    Dropout with masks of a generator.

    Parameters
    ----------
    x : `torch.Tensor`
    p : float
        Probability that an element is dropped.
    generator : `torch.Generator`
        On the device of ``x``.

    Returns
    -------
    dropped : `torch.Tensor`
    """
    if torch.overrides.has_torch_function_unary(x):
        # a mode that replaces dropout, as `.sample` does, must see this one, too
        return torch.overrides.handle_torch_function(
            seeded_dropout, (x,), x, p, generator
        )
    keep = torch.rand(x.shape, generator=generator, device=x.device) >= p
    return torch.where(keep, x / (1.0 - p), torch.zeros_like(x))


def _is_exporting():
    """Whether `torch.export` is at work."""
    # PyTorch 2.6 can't tell it from compiling
    asked = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)
    return asked()
