"""
Your own Keras model
====================

From a Keras model to the predictive distribution of its spiking version. Put your own
training in the place of ``train``. The neurons that get the inputs have exactly the
activation's rates: without that, ``sample`` warns that the means will be off.

Prints what became of the model, and mean and standard deviation of the answers of both
networks, for some inputs.
"""

import numpy as np

import nengo_permadrop as npd
from nengo_permadrop.keras_layers import PermanentDropout, SoftLIF, keras


def train():
    """A network with permanent dropout, trained on a noisy sine."""
    keras.utils.set_random_seed(0)
    rng = np.random.RandomState(0)
    x = rng.uniform(-1, 1, size=600)
    y = np.sin(4 * x) + 0.1 * rng.normal(size=x.shape)

    kmodel = keras.Sequential([keras.Input((1,), name="x")])
    for _ in range(2):
        kmodel.add(
            keras.layers.Dense(
                100,
                kernel_initializer="he_normal",
                bias_initializer=keras.initializers.Constant(0.2),
            )
        )
        kmodel.add(SoftLIF())
        kmodel.add(PermanentDropout(0.1))
    kmodel.add(keras.layers.Dense(1, name="y"))
    kmodel.compile(loss="mse", optimizer="adam")
    kmodel.fit(x[:, np.newaxis], y, epochs=30, verbose=0)
    return kmodel


def main(n_draws=30):
    kmodel = train()
    conv = npd.Converter(kmodel, first_layer="exact")
    X = np.linspace(-1, 1, 9)[:, np.newaxis]
    print(f"largest difference from Keras, without spikes: {conv.verify(X):.1e}")

    print(conv.report(X), end="\n\n")

    options = {"n_draws": n_draws, "progress": False}
    spiking = npd.sample(conv, X, seed=0, **options)
    classical = npd.sample(kmodel, X, backend="keras", seed=1, **options)
    columns = [X, spiking.mean(), spiking.std(), classical.mean(), classical.std()]
    print("    x  spiking mean, std   classical mean, std")
    for x, *values in np.hstack(columns):
        print(
            f"{x:5.2f}  {values[0]:6.2f} {values[1]:8.2f}  {values[2]:10.2f} ", end=""
        )
        print(f"{values[3]:8.2f}")


if __name__ == "__main__":
    main()
