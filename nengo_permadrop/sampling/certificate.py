"""What a converted network is good for: certificates, from pairs of draws."""

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.metrics.certificate import certificate_of, checked_levels
from nengo_permadrop.metrics.differences import LEAST_DRAWS
from nengo_permadrop.sampling.pairs import check_spiking, paired_samples
from nengo_permadrop.support.inputs import match_inputs
from nengo_permadrop.support.validation import check_integer, check_seed


def certify(
    conv,
    X,
    *,
    n_draws=200,
    presentation_time=None,
    settle=None,
    seed=0,
    backend="batched",
    alpha=0.05,
    power=0.5,
    confidence=0.9,
    output=None,
    dt=0.001,
    executor=None,
    progress=False,
    max_memory=None,
    backend_options=None,
):
    """
    At how many draws the spiking network's difference would be seen.

    A converted network never has quite the predictive distribution of the classical
    one, and enough draws show it. How many it takes says what the network is good for:
    with far fewer, nobody can tell the two apart. Both networks are sampled with the
    same masks; from the differences of their answers it is predicted how often
    two-sample Kolmogorov-Smirnov tests of *independent* draws would reject (see
    `nengo_permadrop.metrics.certificate`). No targets are needed, and no model: the
    classical network is the one of rate neurons that `.Converter.verify` compares with
    the model.

    Parameters
    ----------
    conv : `.Converter`
        Of spiking neurons. It is certified as it is: with its calibration, target,
        synapse, firing rates and gates.
    X : array_like, list of array_like or {str: array_like}
        Observations as `.sample` takes them, at least 2, better 30 or more. Give others
        than those that the network was calibrated or tuned with.
    n_draws : int, optional
        Pairs of draws of each observation, at least 20.
    presentation_time, settle : float, optional
        As you will give them to `.sample`; by default what the network needs.
    seed : int, optional
        Decides masks, initial states and all that is simulated.
    backend : str, optional
        What simulates the spiking network, as in `.sample`.
    alpha : float, optional
        Level of each test.
    power : float, optional
        The mean rejection rate, over observations and outputs, at which the difference
        counts as seen.
    confidence : float, optional
        Of the interval.
    output, dt, executor, max_memory, backend_options
        As in `.sample`.
    progress : bool, optional
        Show progress bars.

    Returns
    -------
    certificate : `.Certificate`

    Raises
    ------
    nengo.exceptions.ValidationError
        If ``conv`` isn't a converter of spiking neurons, if there are too few draws or
        observations, all draws of an observation are the same, or an argument is out of
        its range.

    Examples
    --------
    ::

        conv = npd.Converter(kmodel, scale_firing_rates=200)
        certificate = npd.certify(conv, X)
        print(certificate)
        certificate.rejection_rate(1000)  # of tests with 1000 draws a side
    """
    check_spiking(conv)
    check_integer(n_draws, "n_draws", LEAST_DRAWS)
    levels = checked_levels(alpha, power, confidence)
    seed = check_seed(seed)
    rows = match_inputs(X, conv.graph.input_shapes)
    if len(rows[0]) < 2:
        raise ValidationError(
            "at least 2 observations are needed to tell how they differ, better 30; "
            f"got {len(rows[0])}",
            attr="X",
        )
    spiking, classical = paired_samples(
        conv,
        X,
        n_draws,
        presentation_time=presentation_time,
        settle=settle,
        seed=seed,
        backend=backend,
        output=output,
        dt=dt,
        executor=executor,
        progress=progress,
        max_memory=max_memory,
        backend_options=backend_options,
    )
    kept = ("presentation_time", "settle", "dt", "simulated_time")
    options = {name: _plain(spiking.meta[name]) for name in kept}
    options.update(backend=backend, outputs=list(spiking.output_names))
    return certificate_of(spiking, classical, seed=seed, options=options, **levels)


def _plain(number):
    return number.item() if isinstance(number, np.generic) else number
