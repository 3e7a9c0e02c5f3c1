"""Draws on Loihi, or nengo-loihi's emulator of it."""

import contextlib
import logging

from nengo.exceptions import ValidationError

from nengo_permadrop.backends.base import Backend, register_backend
from nengo_permadrop.backends.nengo_loihi.runner import LoihiRunner
from nengo_permadrop.backends.nengo_loihi.trial import measured
from nengo_permadrop.backends.precision import precision_stays
from nengo_permadrop.neurons.loihi import fires_twice_a_step
from nengo_permadrop.support.optional import require

logger = logging.getLogger(__name__)


@register_backend
class NengoLoihiBackend(Backend):
    """
    One replica after the other on nengo_loihi.Simulator.

    The network is built once where that is possible, and each draw's masks are written
    into its weights. Neurons on the chip start at rest, as the chip has it; those of
    the first layer, off the chip, start at a voltage that is random for each replica.
    """

    name = "nengo_loihi"
    target = "loihi"
    one_by_one = True
    gates = True
    windows = True
    fixed_weights = True
    options = ("target", "hardware_options", "n_chips")

    def version(self):
        return require("nengo_loihi").__version__

    def check(self, problem):
        model = problem.model
        if getattr(model, "target", "loihi") != "loihi":
            raise ValidationError(
                f"{model} was converted for Nengo, and Loihi has neither its neurons "
                "nor its synapses; use Converter(kmodel, target='loihi')",
                attr="model",
            )
        target = problem.options.get("target")
        if target not in (None, "sim", "loihi"):
            raise ValidationError(
                f"target must be 'sim' or 'loihi', got {target!r}",
                attr="backend_options",
            )
        _check_step(model, problem.dt)
        with precision_stays():
            used = measured(problem)
        logger.info("%s", used)
        used.check(problem.options.get("n_chips", 1))
        return used.facts()

    @contextlib.contextmanager
    def session(self, problem):
        with precision_stays():
            runner = LoihiRunner(problem)

        def answer(replicas):
            with precision_stays():
                return runner(replicas)

        yield answer


def _check_step(model, dt):
    """Raise if the chip would lose spikes of neurons that are kept off it."""
    for ensemble in getattr(model, "off_chip", ()):
        if fires_twice_a_step(ensemble.neuron_type, dt):
            raise ValidationError(
                f"{ensemble} may spike twice in a time step of {dt} s, and the chip "
                "hears one spike a step; use dt=0.001, which it was converted for",
                attr="dt",
            )
