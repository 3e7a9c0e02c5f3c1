"""
The predictive distribution of a Combo network, live in Nengo GUI.

Open it with ``nengo examples/gui_combo.py`` (add ``-b nengo_permadrop`` to run it on
the batched simulator) and press play. A small Combo network is trained on a generated
screen of drug pairs, which takes some seconds, and converted to spikes. Its dropout is
redrawn while it runs; each redraw gives one draw of the growth that it predicts. The
picture compares them with the draws of the Keras network. Beside it are the spikes of
the last layer.

The sliders move the cell line and both drugs along the two main directions of their
features, in standard deviations. After a move, the comparison starts over.
"""

import nengo
import numpy as np

import nengo_permadrop as npd
from nengo_permadrop import datasets, models
from nengo_permadrop.live.gui import DistributionView

REDRAW = 0.2  # seconds

dataset = datasets.load("combo-small", n_cells=30, n_drugs=20, n_test=100)
kmodel = models.for_dataset(dataset, units=40)
models.train(kmodel, dataset, epochs=5)


def main_directions(features, n=2):
    """The first principal components, a standard deviation long: (n_features, n)."""
    _, scale, directions = np.linalg.svd(features, full_matrices=False)
    return directions[:n].T * (scale[:n] / np.sqrt(len(features)))


directions = {name: main_directions(x) for name, x in dataset.train.inputs.items()}

model = npd.Converter(kmodel, redraw=REDRAW, seed=0, label="Combo, spiking")


def slider(i, name):
    """Moves an input along its main directions; its place goes to `position`, too."""
    node = nengo.Node([0.0, 0.0], label=name)
    transform = directions[name]
    nengo.Connection(node, model.inputs[name], transform=transform, synapse=None)
    nengo.Connection(node, position[2 * i : 2 * i + 2], synapse=None)
    return node


def shorten_labels(network):
    """Of cell_encoder/cell_encoder_hidden1_softlif, leave cell_hidden1."""
    for ensemble in network.ensembles:
        name = ensemble.label.rpartition("/")[2].removesuffix("_softlif")
        ensemble.label = name.replace("_encoder", "")
    for node in network.nodes:  # of output.bias, bias
        node.label = node.label.rpartition(".")[2]


shorten_labels(model)
with model:
    position = nengo.Node(size_in=6, label="position")
    cell, drug1, drug2 = (slider(i, name) for i, name in enumerate(directions))

    def classical(position):
        """The Keras network's draws where the sliders are."""
        places = np.split(position, 3)
        X = {
            name: (directions[name] @ place)[np.newaxis]
            for name, place in zip(directions, places)
        }
        samples = npd.sample(kmodel, X, n_draws=500, backend="keras", progress=False)
        return samples.values[:, 0]

    distribution = DistributionView(
        model.output,
        classical,
        window=REDRAW,
        settle=round(model.settling_time, 3),
        observation=position,
        label="predictive distribution",
        title="Predicted growth (standardised)",
    )

if __name__ == "__main__":
    print(f"{model.label}: it settles in {model.settling_time:.3f} s.")
    print("Open this file in Nengo GUI: nengo examples/gui_combo.py")
