"""
How many draws, how long a presentation, and how much dropout
=============================================================

Three numbers decide what a predictive distribution costs and what it is worth. This
page measures them on the diabetes network of the study; its code is a pattern to
measure them on yours.
"""

import logging

import matplotlib.pyplot as plt
import numpy as np

import nengo_permadrop as npd
from nengo_permadrop import datasets, models
from nengo_permadrop.metrics.ks import ks_pvalue, ks_statistic

logging.getLogger("tensorflow").setLevel(logging.ERROR)
data = datasets.load("diabetes", seed=0)


def trained(rate):
    """The study's network with a dropout rate."""
    kmodel = models.for_dataset(data, seed=0, rate=rate)
    models.train(kmodel, data, epochs=60, seed=0)
    return kmodel


kmodel = trained(rate=0.1)
conv = npd.Converter(kmodel)
X = data.test.take(slice(30)).inputs

# %%
# How many draws
# --------------
#
# The mean, the standard deviation and the quantiles of ``n`` draws scatter around those
# of the distribution, with :math:`1/\\sqrt{n}`. The classical network draws faster than
# it can be looked at, so take 2000 draws, cut them into sets of ``n``, and see how far
# the sets are apart.

many = npd.sample(kmodel, X, n_draws=2000, backend="keras", seed=1, progress=False)
std = many.std()
counts = np.array([10, 20, 50, 100, 200, 500])
statistics = {
    "mean": lambda draws: draws.mean(axis=1),
    "standard deviation": lambda draws: draws.std(axis=1, ddof=1),
    "5% quantile": lambda draws: np.quantile(draws, 0.05, axis=1),
}

fig, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
for name, statistic in statistics.items():
    errors = []
    for n in counts:
        sets = many.values[: 2000 // n * n].reshape(-1, n, *many.values.shape[1:])
        errors.append(np.mean(statistic(sets).std(axis=0) / std))
    ax.loglog(counts, errors, "o-", label=name)
    print(f"error of the {name} of 100 draws: {errors[3]:.2f} standard deviations")
ax.set(xlabel="draws", ylabel="error (standard deviations)")
ax.legend()

# %%
# A hundred draws give the mean to a tenth of a standard deviation, and the standard
# deviation itself to about 7%. That is enough to rank observations by their
# uncertainty; a 5% quantile needs four times as many for the same error as the mean.
#
# The same holds for tests of agreement. What shift of a distribution does a KS test of
# ``n`` against ``n`` draws notice?

rng = np.random.RandomState(0)
shifts = np.linspace(0, 0.6, 13)
fig, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
for n in (30, 100, 300, 1000):
    one, other = rng.normal(size=(2, n, 400))
    power = []
    for shift in shifts:
        pvalues = ks_pvalue(ks_statistic(one, other + shift), n, n)
        power.append(np.mean(pvalues <= 0.05))
    ax.plot(shifts, power, "o-", label=f"{n} draws")
ax.axhline(0.05, color="0.35", linestyle="--", linewidth=1)
ax.set(xlabel="shift (standard deviations)", ylabel="p-values under 0.05")
ax.legend()

# %%
# One test of 100 draws rarely sees a shift of 0.1 standard deviations; a test of 1000
# draws often does. "They agree" always means: so many draws showed no difference.
#
# How long a presentation
# -----------------------
#
# Two parts of a presentation do different things. What is not read (``settle``) lets
# the network forget the state that it started from; what is read averages the noise of
# the spikes away. Both are measured against a network of rate neurons with the same
# masks, so that only the spikes make a difference.

rates = npd.Converter(kmodel, neurons="rate")
options = {"n_draws": 50, "seed": 0, "progress": False}
expected = npd.sample(rates, X, presentation_time=0.02, settle=0.015, **options)


def difference(settle, read):
    """Mean and standard deviation over draws of what spikes change, in sd."""
    spiking = npd.sample(
        conv, X, presentation_time=settle + read, settle=settle, **options
    )
    error = (spiking.values - expected.values) / std
    return np.sqrt(np.mean(error.mean(axis=0) ** 2)), np.mean(error.std(axis=0))


settles = np.array([0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06])
reads = np.array([0.01, 0.02, 0.04, 0.06, 0.1, 0.2, 0.4])
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
bias = [difference(settle, 0.06)[0] for settle in settles]
left.plot(1000 * settles, bias, "o-")
left.axvline(1000 * conv.settling_time, color="0.35", linestyle="--", linewidth=1)
left.set(xlabel="settle (ms)", ylabel="bias (standard deviations)", ylim=(0, None))
noise = [difference(0.04, read)[1] for read in reads]
right.loglog(1000 * reads, noise, "o-")
right.set(xlabel="time that is read (ms)", ylabel="noise (standard deviations)")

# %%
# The dashed line is ``conv.settling_time``, which is computed from the synapses and
# needs no measurement: 39 ms for two layers, 92 ms for the six of Combo. Later there is
# nothing more to gain. The noise of the spikes adds to the spread of the masks by the
# sum of squares: a tenth of a standard deviation widens the distribution by half a
# percent.
#
# How much dropout
# ----------------
#
# The dropout rate is chosen for the classical network: it decides how wide the
# distribution is and how well the network learns. The spiking network follows.

for rate in (0.02, 0.1, 0.3, 0.5):
    kmodel = trained(rate)
    options = {"n_draws": 100, "progress": False}
    classical = npd.sample(kmodel, X, backend="keras", seed=1, **options)
    spiking = npd.sample(npd.Converter(kmodel), X, seed=0, **options)
    agreement = npd.ks_agreement(spiking, classical)
    print(
        f"rate {rate:.2f}: r2 {models.r2(kmodel, data.test):.2f}, "
        f"mean standard deviation {classical.std().mean():.2f} (classical) "
        f"{spiking.std().mean():.2f} (spiking), "
        f"{agreement.rejection_rate():.0%} of p-values under 0.05"
    )

# %%
# Little dropout is the hard case for spikes: the distribution is narrow, and the same
# noise and bias are more of its standard deviations. The target here is standardised: a
# spread of 1 would be that of the data.

plt.show()
