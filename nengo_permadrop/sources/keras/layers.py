"""
SoftLIF and PermanentDropout as Keras layers, to train what will be converted.

Importing this module registers the layers with Keras, so that models that contain them
load without ``custom_objects``: our own, CANDLE's (which save a class of their own that
is also named ``PermanentDropout``) and nengo-extras' ``SoftLIF``.
"""

import numpy as np

from nengo_permadrop.neurons.softlif import (
    GAMMA,
    LAYER_AMPLITUDE,
    LAYER_GAIN,
    TAU_RC,
    TAU_REF,
)
from nengo_permadrop.sources.keras.softlif import softlif_config
from nengo_permadrop.support.optional import require
from nengo_permadrop.support.validation import check_choice, check_number

keras = require("keras")

if keras.__version__.startswith("2."):
    _tf = require("tensorflow")
    _exp, _expm1, _log, _ceil = _tf.exp, _tf.math.expm1, _tf.math.log, _tf.math.ceil
    _where, _stop_gradient, _softplus = _tf.where, _tf.stop_gradient, _tf.nn.softplus
    _zeros_like, _ones_like = _tf.zeros_like, _tf.ones_like

    def _stream():
        return None

    def _random_uniform_like(x, stream):
        return _tf.random.uniform(_tf.shape(x), dtype=x.dtype)

else:
    _exp, _expm1, _log, _ceil = (
        keras.ops.exp,
        keras.ops.expm1,
        keras.ops.log,
        keras.ops.ceil,
    )
    _where, _stop_gradient, _softplus = (
        keras.ops.where,
        keras.ops.stop_gradient,
        keras.ops.softplus,
    )
    _zeros_like, _ones_like = keras.ops.zeros_like, keras.ops.ones_like

    def _stream():
        """A layer's own random numbers; JAX allows no others in what it compiles."""
        return keras.random.SeedGenerator()

    def _random_uniform_like(x, stream):
        return keras.random.uniform(keras.ops.shape(x), dtype=x.dtype, seed=stream)


_register = keras.utils.register_keras_serializable

_LOIHI_DT = 0.001  # a time step of the chip, which Nengo takes as one millisecond


def softlif_rate(current, gamma, tau_rc, tau_ref):
    """
    Rate of a SoftLIF neuron, differentiable everywhere.

    Parameters
    ----------
    current : tensor
        Input current above the threshold (0 is the threshold of a LIF neuron).
    gamma : float
        Width of the smoothing, in units of the current.
    tau_rc, tau_ref : float
        Time constants, in seconds.

    Returns
    -------
    rate : tensor
        In Hz, same shape as ``current``.
    """
    z = current / gamma
    # softplus underflows for very negative z, where log(softplus(z)) is z; the inner
    # where keeps the branch that is not taken from sending a NaN into the gradient
    tail = z < -20.0
    safe = _where(tail, _zeros_like(z), z)
    log_rho = np.log(gamma) + _where(tail, z, _log(_softplus(safe)))
    return 1.0 / (tau_ref + tau_rc * _softplus(-log_rho))


@_register(package="nengo_permadrop")
def softlif(x):
    """The activation of a `SoftLIF` layer with its defaults, for ``activation=``."""
    rate = softlif_rate(LAYER_GAIN * x, GAMMA, TAU_RC, TAU_REF)
    return LAYER_AMPLITUDE * rate


class _LoihiCurve:
    """Loihi's rates: periods of whole time steps, time constants that it can hold."""

    def __init__(self, tau_rc, tau_ref):
        loihi = require("nengo_loihi").neurons
        self.tau_rc = float(loihi.discretize_tau_rc(tau_rc, _LOIHI_DT))
        self.tau_ref = float(loihi.discretize_tau_ref(tau_ref, _LOIHI_DT))

    def __call__(self, current):
        fires = current > 0
        safe = _where(fires, current, _ones_like(current))
        period = self.tau_ref + self.tau_rc * _softplus(-_log(safe))
        steps = _ceil(period / _LOIHI_DT)
        return _where(fires, 1.0 / (_LOIHI_DT * steps), _zeros_like(current))


# Rate curves of the forward pass, by target; None is the smooth one, which the gradient
# is always that of
_CURVES = {"nengo": None, "loihi": _LoihiCurve}


@_register(package="nengo_permadrop")
class SoftLIF(keras.layers.Layer):
    """
    Activation whose values are the rates of smoothed LIF neurons.

    ``y = amplitude * rate(gain * x + 1)``: an input of 0 is the threshold, and with the
    defaults an activation of 1 is a rate of 100 Hz.

    Parameters
    ----------
    gamma : float, optional
        Width of the smoothing, in units of the input current; greater than 0. LIF
        neurons have no sub-threshold tail, so a larger one trains more easily and
        converts less well.
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
        In training, the forward pass is not the rate but what a synapse makes of a
        regular spike train of that rate, read at a random time: the variability that
        the spiking network will have. "alpharc" is an alpha synapse followed by the
        membrane of the next neuron. The gradient is that of the rate.
    tau_s : float, optional
        Time constant of that synapse, in seconds.
    **kwargs
        As for any Keras layer.

    Raises
    ------
    nengo.exceptions.ValidationError
        If a parameter is out of range (a ValueError).

    References
    ----------
    Hunsberger, E., & Eliasmith, C. (2015). Spiking deep networks with LIF neurons.
    arXiv:1510.08829. The idea of training through filtered spikes at a random phase:
    nengo-extras' ``alpharc`` noise model.
    """

    TARGETS = tuple(_CURVES)
    NOISES = (None, "lowpass", "alpha", "alpharc")

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
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.supports_masking = True
        positive = dict(
            gamma=gamma, tau_rc=tau_rc, amplitude=amplitude, gain=gain, tau_s=tau_s
        )
        where = f"SoftLIF {self.name}: "
        for name, value in positive.items():
            check_number(value, where + name, 0, low_open=True)
        check_number(tau_ref, where + "tau_ref", 0)
        check_choice(target, where + "target", self.TARGETS)
        check_choice(noise, where + "noise", self.NOISES)
        if noise == "alpharc" and abs(tau_s - tau_rc) < 1e-4:
            raise ValueError(
                f"SoftLIF {self.name}: noise='alpharc' needs tau_s and tau_rc that "
                f"differ, got {tau_s} and {tau_rc}"
            )
        self.gamma = float(gamma)
        self.tau_rc = float(tau_rc)
        self.tau_ref = float(tau_ref)
        self.amplitude = float(amplitude)
        self.gain = float(gain)
        self.target = target
        self.noise = noise
        self.tau_s = float(tau_s)
        if noise is not None:
            self.seed_generator = _stream()
        # not in call, which Keras traces
        curve = _CURVES[target]
        self._curve = None if curve is None else curve(self.tau_rc, self.tau_ref)

    def call(self, inputs, training=None):
        """Activations for ``inputs``, elementwise."""
        current = self.gain * inputs
        rate = softlif_rate(current, self.gamma, self.tau_rc, self.tau_ref)
        forward = rate if self._curve is None else self._curve(current)
        if self.noise is not None and training:
            period = 1.0 / _where(forward > 0, forward, _ones_like(forward))
            phase = _random_uniform_like(period, self.seed_generator)
            filtered = _filtered_spikes(
                period, phase, self.noise, self.tau_s, self.tau_rc
            )
            forward = _where(forward > 0, filtered, _zeros_like(filtered))
        # without noise on Nengo's curve the two are one tensor, and this is it
        return self.amplitude * (
            rate if forward is rate else rate + _stop_gradient(forward - rate)
        )

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        """All parameters, so that a saved layer loads as it was."""
        config = super().get_config()
        config.update(
            gamma=self.gamma,
            tau_rc=self.tau_rc,
            tau_ref=self.tau_ref,
            amplitude=self.amplitude,
            gain=self.gain,
            target=self.target,
            noise=self.noise,
            tau_s=self.tau_s,
        )
        return config

    @classmethod
    def from_config(cls, config):
        """Also takes the configuration of nengo-extras' layer of the same name."""
        return cls(**softlif_config(config))


def _filtered_spikes(period, phase, noise, tau_s, tau_rc):
    """A regular spike train of unit spikes through a synapse, at a phase in [0, 1).

    With ``h`` the impulse response, ``sum_k h(t + k * period)`` for ``t`` uniform in
    ``[0, period)``: its mean over ``t`` is the rate, ``1 / period``.
    """
    t = phase * period

    def exp_sum(tau):  # of exp(-(t + k p) / tau)
        return _exp(-t / tau) / -_expm1(-period / tau)

    def ramp_sum(tau):  # of (t + k p) exp(-(t + k p) / tau)
        decayed = _exp(-period / tau)
        return exp_sum(tau) * (t + period * decayed / (1.0 - decayed))

    if noise == "lowpass":
        return exp_sum(tau_s) / tau_s
    if noise == "alpha":
        return ramp_sum(tau_s) / tau_s**2
    difference = tau_rc - tau_s
    return (tau_rc / difference**2) * (exp_sum(tau_rc) - exp_sum(tau_s)) - ramp_sum(
        tau_s
    ) / (tau_s * difference)


@_register(package="nengo_permadrop")
class PermanentDropout(keras.layers.Dropout):
    """
    Dropout that stays on at prediction time.

    Parameters
    ----------
    rate : float
        Probability that a unit is dropped, in [0, 1); the others are scaled by
        ``1 / (1 - rate)``.
    noise_shape, seed
        As in `keras.layers.Dropout`.
    **kwargs
        As for any Keras layer.

    Raises
    ------
    nengo.exceptions.ValidationError
        If ``rate`` is out of range (a ValueError).

    References
    ----------
    Gal, Y., & Ghahramani, Z. (2016). Dropout as a Bayesian approximation. ICML.
    """

    def __init__(self, rate, noise_shape=None, seed=None, **kwargs):
        layer = f"PermanentDropout {kwargs.get('name', '')}".strip()
        check_number(rate, f"{layer}: rate", 0, 1, high_open=True)
        super().__init__(rate, noise_shape=noise_shape, seed=seed, **kwargs)

    def call(self, inputs, training=None, mask=None):
        """Drop units, whatever ``training`` says; CANDLE's layer takes a mask, too."""
        return super().call(inputs, training=True)


# the names under which CANDLE and nengo-extras save these layers, and that of the
# activation
for _name, _object in (
    ("PermanentDropout", PermanentDropout),
    ("SoftLIF", SoftLIF),
    ("softlif", softlif),
):
    keras.utils.get_custom_objects().setdefault(_name, _object)
