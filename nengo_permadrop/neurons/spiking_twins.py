"""The spiking twins of rate neuron types."""

import nengo
from nengo.exceptions import ValidationError

from nengo_permadrop.neurons.loihi import LoihiLIFRate
from nengo_permadrop.neurons.softlif import SoftLIF
from nengo_permadrop.support.optional import require

_TWINS = {}


def register_spiking(rate_type, target="nengo"):
    """
    Register how a rate neuron type becomes a spiking one.

    Parameters
    ----------
    rate_type : type
        The `nengo.neurons.NeuronType` subclass; subclasses need their own entry,
        because a twin of the parent could be silently wrong for them.
    target : {"nengo", "loihi"}, optional
        Where the spiking network will run.

    Returns
    -------
    decorator : callable
        For a function that takes the rate neuron instance and returns the spiking one.
    """

    def decorator(function):
        _TWINS[rate_type, target] = function
        return function

    return decorator


def spiking(neuron_type, target="nengo"):
    """
    The spiking neuron type whose mean rate is a rate neuron's, or nearly so.

    Parameters
    ----------
    neuron_type : `nengo.neurons.NeuronType`
        A rate type; or a spiking type of the target, which is returned as it is.
    target : {"nengo", "loihi"}, optional
        "loihi" gives nengo-loihi's types (and imports it), whose rates are those of the
        chip, quantised to whole time steps.

    Returns
    -------
    spiking_type : `nengo.neurons.NeuronType`

    Raises
    ------
    nengo.exceptions.ValidationError
        If the target is unknown, or the type has no twin there.

    Examples
    --------
    >>> import nengo_permadrop as npd
    >>> npd.spiking(npd.SoftLIF(gamma=0.02, amplitude=0.01))
    LIF(amplitude=0.01)
    """
    targets = list(dict.fromkeys(where for _, where in _TWINS))
    if target not in targets:
        raise ValidationError(
            f"unknown target {target!r}; use one of {', '.join(targets)}",
            attr="target",
        )
    twin = _TWINS.get((type(neuron_type), target))
    if twin is not None:
        return twin(neuron_type)
    known = sorted(cls.__name__ for cls, where in _TWINS if where == target)
    raise ValidationError(
        f"{neuron_type} has no spiking twin for target {target!r}; known there: "
        f"{', '.join(known)}. Register one with nengo_permadrop.neurons."
        "register_spiking.",
        attr="neuron_type",
    )


def exact_spiking(rate_type):
    """
    Neurons that send regular spikes at exactly the rates of a rate neuron type.

    For layers whose current is constant, as the first one's is while an observation is
    shown: what computes such a current can compute the rate, too, and needs no neuron
    that has only nearly the same one. In hardware this is done by the host, which turns
    observations into spikes anyway.

    Parameters
    ----------
    rate_type : `nengo.neurons.NeuronType`

    Returns
    -------
    spiking_type : `nengo.neurons.NeuronType`
        `nengo.RegularSpiking`; or the twin that `spiking` gives, where a constant
        current gives that exactly these rates already, as it does with `nengo.LIF` of
        `nengo.LIFRate` and `nengo.SpikingRectifiedLinear`. Types that only other
        packages know have their twins, too.

    Raises
    ------
    nengo.exceptions.ValidationError
        If the type has no twin.
    """
    names = _INEXACT.get(type(rate_type))
    if names is None:
        return spiking(rate_type)
    base_type = type(rate_type)(**{name: getattr(rate_type, name) for name in names})
    return nengo.RegularSpiking(base_type, amplitude=rate_type.amplitude)


# Parameters, but for the amplitude, of types whose twins have nearly their rates
_INEXACT = {
    SoftLIF: ("gamma", "tau_rc", "tau_ref"),
    LoihiLIFRate: ("tau_rc", "tau_ref"),
}


def _same(neuron_type):
    return neuron_type


for _spiking_type in (
    nengo.LIF,
    nengo.AdaptiveLIF,
    nengo.SpikingRectifiedLinear,
    nengo.Izhikevich,
    nengo.RegularSpiking,
    nengo.StochasticSpiking,
    nengo.PoissonSpiking,
):
    register_spiking(_spiking_type)(_same)


@register_spiking(SoftLIF)
@register_spiking(LoihiLIFRate)
@register_spiking(nengo.LIFRate)
def _lif(neuron_type):
    return nengo.LIF(
        tau_rc=neuron_type.tau_rc,
        tau_ref=neuron_type.tau_ref,
        amplitude=neuron_type.amplitude,
    )


@register_spiking(nengo.AdaptiveLIFRate)
def _adaptive_lif(neuron_type):
    return nengo.AdaptiveLIF(
        tau_n=neuron_type.tau_n,
        inc_n=neuron_type.inc_n,
        tau_rc=neuron_type.tau_rc,
        tau_ref=neuron_type.tau_ref,
        amplitude=neuron_type.amplitude,
    )


@register_spiking(nengo.RectifiedLinear)
def _spiking_relu(neuron_type):
    return nengo.SpikingRectifiedLinear(amplitude=neuron_type.amplitude)


@register_spiking(nengo.Sigmoid)
@register_spiking(nengo.Tanh)
def _regular(neuron_type):
    return nengo.RegularSpiking(neuron_type)


@register_spiking(SoftLIF, target="loihi")
@register_spiking(LoihiLIFRate, target="loihi")
@register_spiking(nengo.LIFRate, target="loihi")
@register_spiking(nengo.LIF, target="loihi")
def _loihi_lif(neuron_type):
    return require("nengo_loihi").neurons.LoihiLIF(
        tau_rc=neuron_type.tau_rc,
        tau_ref=neuron_type.tau_ref,
        amplitude=neuron_type.amplitude,
    )


@register_spiking(nengo.RectifiedLinear, target="loihi")
@register_spiking(nengo.SpikingRectifiedLinear, target="loihi")
def _loihi_relu(neuron_type):
    return require("nengo_loihi").neurons.LoihiSpikingRectifiedLinear(
        amplitude=neuron_type.amplitude
    )
