r"""
Why permanent dropout, and why spikes
=====================================

What the distribution of a network's answers is good for, what it costs, and how spiking
neurons come to draw from the same one. The pictures are those with which Wycoff,
Balaprakash & Xia introduced the method at ICONS 2019, from runs of this package.

Dropout that stays on
---------------------

Dropout silences some units of a network at random, others at each pass. It was invented
for training; leave it on when the network predicts, and the network answers differently
each time. Where it has learned little, the answers scatter: Gal & Ghahramani (2016)
showed that they are draws from an approximate Bayesian posterior.

Here is a network that has learned a noisy sine, from data with a gap.
"""

import logging

import matplotlib.pyplot as plt
import nengo
import numpy as np

import nengo_permadrop as npd
from nengo_permadrop import plots
from nengo_permadrop.keras_layers import PermanentDropout, SoftLIF, keras
from nengo_permadrop.study import study

logging.getLogger("tensorflow").setLevel(logging.ERROR)
keras.utils.set_random_seed(0)
rng = np.random.RandomState(0)
x = np.concatenate([rng.uniform(-1, -0.2, 400), rng.uniform(0.5, 1, 200)])[:, None]
y = np.sin(4 * x) + 0.1 * rng.normal(size=x.shape)

kmodel = keras.Sequential([keras.Input((1,))])
for layer in ("first", "second"):
    kmodel.add(
        keras.layers.Dense(
            100,
            kernel_initializer="he_normal",
            bias_initializer=keras.initializers.Constant(0.2),
        )
    )
    kmodel.add(SoftLIF(name=layer))
    kmodel.add(PermanentDropout(0.1))
kmodel.add(keras.layers.Dense(1))
kmodel.compile(loss="mse", optimizer=keras.optimizers.Adam(0.003))
kmodel.fit(x, y, epochs=60, batch_size=32, verbose=0)

X = np.linspace(-1.3, 1.3, 60)[:, None]
classical = npd.sample(kmodel, X, n_draws=200, backend="keras", seed=1, progress=False)


def show(samples, ax, title):
    """The middle 90% and 50% of the answers, and their mean."""
    for low, high, alpha in ((0.05, 0.95, 0.25), (0.25, 0.75, 0.4)):
        ax.fill_between(
            X[:, 0],
            samples.quantile(low)[:, 0],
            samples.quantile(high)[:, 0],
            color=plots.COLORS[0],
            alpha=alpha,
            linewidth=0,
        )
    ax.plot(X, samples.mean(), color=plots.COLORS[0])
    ax.plot(x, y, ".", color="0.3", markersize=2)
    ax.set(title=title, xlabel="input", ylim=(-2.5, 2.5))


fig, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
show(classical, ax, "200 passes of a network with dropout left on")

# %%
# The band is wider in the gap and outside of the data, and so it says where not to rely
# on the mean. It took 200 passes for each point: that is the price. A spiking chip such
# as Loihi computes a pass for little energy, if the passes can be moved there.
#
# From activations to spikes
# --------------------------
#
# A LIF (leaky integrate-and-fire) neuron under a constant input current :math:`j` fires
# at the rate
#
# .. math:: \frac{1}{\tau_{ref} + \tau_{RC} \log(1 + \frac{\nu}{\rho(j - \nu)})}
#
# with :math:`\rho(x) = \max(0, x)`. Its slope is infinite at the threshold, which
# gradient descent can't use. SoftLIF (Hunsberger & Eliasmith, 2015) takes
# :math:`\rho(x) = \gamma \log(1 + e^{x / \gamma})` instead: smooth, and the closer to
# LIF, the smaller :math:`\gamma` is.

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
plots.plot_softlif(gamma=(0.02, 0.1), ax=left)
plots.plot_softlif_derivative(gamma=(0.02, 0.1), ax=right)

# %%
# The network above was trained with SoftLIF. Its weights go as they are into a network
# of LIF neurons, which does not compute a rate but fires spikes at it:

net = nengo.Network(seed=0)
with net:
    shown = nengo.Node(0.2)
    conv = npd.Converter(kmodel)
    nengo.Connection(shown, conv.input, synapse=None)
    spikes = nengo.Probe(conv.layers["first"], sample_every=0.001)
    answer = nengo.Probe(conv.output)
with nengo.Simulator(net, progress_bar=False) as sim:
    sim.run(0.2)

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
step, neuron = np.nonzero(sim.data[spikes])
left.plot(sim.trange()[step], neuron, "|", color="0.2", markersize=3)
left.set(title="spikes of the first layer", xlabel="time (s)", ylabel="neuron")
right.plot(sim.trange(), sim.data[answer], color=plots.COLORS[1])
right.axvspan(0.04, 0.2, color="0.9")
right.set(title="answer; read in the grey part", xlabel="time (s)")

# %%
# The spiking network's distribution
# ----------------------------------
#
# Each draw is a presentation of the input to a network with new dropout masks; the
# answer is the mean of the output after the network has settled.

spiking = npd.sample(conv, X, n_draws=200, seed=0, progress=False)
fig, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
show(spiking, ax, "200 draws of the spiking network")

# %%
# The band has the same form, though not in every detail: this little network was
# trained for seconds, and near a neuron's threshold SoftLIF and LIF differ.
# :doc:`/fidelity` shows what takes such differences away.
#
# Do they agree?
# --------------
#
# The two-sample Kolmogorov-Smirnov (KS) statistic is the largest distance between the
# distribution functions of the two sets of draws. Its p-value is the probability of a
# distance at least as large between two sets from one distribution.
#
# The authors' study asks that question on real data: train a network, convert it, and
# draw 100 times from both for each of 100 observations. Here it is on the diabetes
# data, as ``nengo-permadrop study`` does it.

result = study("diabetes", n_draws=100, observations=100, seed=0, progress=False)
print(result.verdict().words)

# %%
# The means of both networks agree:

fig, ax = plt.subplots(figsize=(4.5, 4), layout="constrained")
plots.plot_means(result.samples_classical, result.samples_spiking, ax=ax)

# %%
# If all observations have the same distribution in both networks, the p-values are
# uniform. They look as flat as those of the control, the classical network against
# itself:

fig, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
plots.plot_pvalue_histogram(
    result.agreement,
    result.control,
    labels=("spiking against classical", "classical against itself"),
    ax=ax,
)

# %%
# And where the KS statistic is largest, the two distribution functions still look
# close. Of 100 observations one is always the worst, so what its statistic has to be
# compared with is the *largest* of 100 such statistics, on the right.

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
plots.plot_ecdfs(
    result.samples_spiking,
    result.samples_classical,
    result.agreement.most_extreme.index,
    labels=("spiking", "classical"),
    ax=left,
)
plots.plot_most_extreme(result.agreement, ax=right)
plt.show()

# %%
# How to read these pictures is said in :doc:`/agreement`; what to do when the networks
# don't agree, in :doc:`/disagrees`.
