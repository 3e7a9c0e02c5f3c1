"""
PyTorch modules by every road to ONNX, converted and verified.

Each of the thirty modules of tests/torch_models.py is exported by both exporters of
torch.onnx, for several opsets, in training mode (batch normalisation in evaluation
mode) and in evaluation mode, and converted. In training mode masks and draws must be
those of the module itself.
"""

import argparse
import logging
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from torch.nn.modules.batchnorm import _BatchNorm

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import torch_models  # noqa: E402

import nengo_permadrop as npd  # noqa: E402

OPSETS = {False: (9, 13, 17), True: (18, 20, 23)}


def exported(module, examples, path, dynamo, opset, training):
    """Export a module; batch normalisation stays as it is at prediction time."""
    module.train(training)
    for part in module.modules():
        if isinstance(part, _BatchNorm):
            part.eval()
    if dynamo:
        rows = ({0: torch.export.Dim.AUTO},) * len(examples)
        options = {"dynamic_shapes": rows, "verbose": False}
    else:
        names = [f"x{number}" for number in range(len(examples))]
        options = {
            "training": torch.onnx.TrainingMode.PRESERVE,
            "input_names": names,
            "dynamic_axes": {name: {0: "rows"} for name in names},
        }
    torch.onnx.export(
        module, tuple(examples), path, dynamo=dynamo, opset_version=opset, **options
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="of modules; by default all")
    names = parser.parse_args().names or list(torch_models.MODELS)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    counts = {"converted": 0, "not exported": 0, "failed": 0}
    for name in names:
        module, _, shapes = torch_models.made(name)
        X = torch_models.rows(shapes)
        examples = [torch.from_numpy(np.repeat(x[:1], 2, axis=0)) for x in X]
        own = npd.Converter(module, example_inputs=[x[:1] for x in X], seed=3)
        draws = drawn(own, X)
        for dynamo, opsets in OPSETS.items():
            for opset in opsets:
                for training in (True, False):
                    road = f"{name}, dynamo={dynamo}, opset {opset}, {training=}"
                    with tempfile.TemporaryDirectory() as folder:
                        path = str(Path(folder, "model.onnx"))
                        try:
                            exported(module, examples, path, dynamo, opset, training)
                        except Exception as error:
                            counts["not exported"] += 1
                            print(f"{road}: not exported ({str(error)[:80]!r})")
                            continue
                        try:
                            check(path, X, own, draws if training else None)
                            counts["converted"] += 1
                        except Exception as error:
                            counts["failed"] += 1
                            print(f"{road}: {type(error).__name__}: {error}")
        print(name, counts, flush=True)
    return 1 if counts["failed"] else 0


def drawn(model, X):
    """Two draws of two rows, on the batched backend."""
    X = [x[:2] for x in X]
    outputs = getattr(model, "outputs", None) or npd.read_model(model).outputs
    return [
        npd.sample(
            model,
            X,
            2,
            output=output,
            presentation_time=0.03,
            settle=0.02,
            seed=5,
            progress=False,
        ).values
        for output in outputs
    ]


def check(path, X, own, draws):
    conv = npd.Converter(path, seed=3)
    assert conv.verify(X) < 1e-4
    if draws is None:
        return
    assert len(conv.dropouts) == len(own.dropouts)
    for mine, other in zip(conv.dropouts, own.dropouts):
        np.testing.assert_array_equal(mine.drawn(), other.drawn())
        assert (mine.rate, mine.kind) == (other.rate, other.kind)
    # the newer exporter folds batch normalisation into the weights before it, which
    # rounds them otherwise: spikes then come a step earlier or later
    if len(conv.graph.statistics) == len(own.graph.statistics):
        for mine, other in zip(drawn(path, X), draws, strict=True):
            np.testing.assert_array_equal(mine, other)


if __name__ == "__main__":
    sys.exit(main())
