"""ONNX models, operator by operator and opset by opset."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402
from onnx_models import (  # noqa: E402
    ACTIVATIONS,
    Graph,
    activated,
    rows,
    whole,
    worded,
)

import nengo_permadrop as npd  # noqa: E402
from nengo_permadrop.graph.dropouts import alpha_terms  # noqa: E402
from nengo_permadrop.sources.forward import GraphForward  # noqa: E402
from nengo_permadrop.sources.onnx.model import OLDEST_OPSET  # noqa: E402

NEWEST = onnx.defs.onnx_opset_version()


def answers(model, X, **options):
    """What the graph of a model computes, by NumPy, after its links."""
    graph = npd.read_model(model, **options)
    assert not graph.links
    return GraphForward(graph)([X])[0]


def expected(model, X):
    return ReferenceEvaluator(model).run(None, {"x": X})[0]


@pytest.mark.parametrize("opset", [9, 11, 12, 13, 18, 19, 23, NEWEST])
def test_opsets_say_the_same_in_their_words(opset):
    """Attributes that became inputs, and dropout with and without a training_mode."""
    assert OLDEST_OPSET == 9
    conv = npd.Converter(worded(opset), neurons="rate", seed=1)
    assert conv.verify(rows(3, 6, 5)) < 1e-5
    assert conv.links == {conv.model.outputs[0]: "softmax"}
    (dropout,) = conv.dropouts
    assert (dropout.path, dropout.rate) == ("dropout_6", 0.25)


def test_opsets_have_one_graph():
    first, *others = (npd.read_model(worded(opset)) for opset in (9, 10, 13, 18))
    X = rows(3, 6, 5)
    for graph in others:
        np.testing.assert_array_equal(
            GraphForward(graph)([X]), GraphForward(first)([X])
        )


@pytest.mark.parametrize("opset", [8, NEWEST + 1])
def test_other_opsets_are_refused(opset):
    model = Graph(3).add("Relu").model()
    model.opset_import[0].version = opset
    with pytest.raises(npd.ConversionError, match=f"opset {opset}.*from 9 to {NEWEST}"):
        npd.read_model(model)


@pytest.mark.parametrize("operator", ACTIVATIONS)
def test_activations(operator):
    model, X = activated(operator, **ACTIVATIONS[operator]), rows(4)
    np.testing.assert_allclose(answers(model, X), expected(model, X), atol=1e-6)
    assert npd.Converter(model, neurons="rate").verify(X) < 1e-5


def several(*parts, shape, opset=17, **options):
    """A model of nodes one behind the other; arrays become initializers."""
    graph = Graph(*shape, opset=opset, **options)
    for operator, *others, attributes in parts:
        names = [
            (
                each
                if isinstance(each, str)
                else graph.constant(each, np.asarray(each).dtype)
            )
            for each in others
        ]
        graph.add(operator, *names, **attributes)
    return graph.model()


def weights(*shape):
    return np.random.RandomState(2).normal(size=shape).astype(np.float32)


CONV = {"strides": [2, 3]}
POOL = {"kernel_shape": [3, 2], "strides": [2, 2]}
PADS = {"pads": [1, 0, 1, 1]}
GRID = (2, 8, 7)
LINEAR = {
    "conv same upper": (
        GRID,
        ("Conv", weights(3, 2, 2, 3), {**CONV, "auto_pad": "SAME_UPPER"}),
    ),
    "conv same lower": (
        GRID,
        ("Conv", weights(3, 2, 2, 3), {**CONV, "auto_pad": "SAME_LOWER"}),
    ),
    "conv groups": (
        (4, 7),
        ("Conv", weights(6, 2, 3), {"group": 2, "auto_pad": "VALID"}),
    ),
    "conv pads": (GRID, ("Conv", weights(3, 2, 2, 3), {**PADS, "dilations": [2, 1]})),
    "transposed": (
        (4, 3, 3),
        (
            "ConvTranspose",
            weights(4, 3, 3, 3),
            weights(3),
            {"strides": [2, 2], "pads": [1, 0, 0, 1], "output_padding": [1, 0]},
        ),
    ),
    **{
        f"average {ceil}{count}": (
            GRID,
            (
                "AveragePool",
                {**POOL, **PADS, "ceil_mode": ceil, "count_include_pad": count},
            ),
        )
        for ceil in (0, 1)
        for count in (0, 1)
    },
    "average same": (GRID, ("AveragePool", {**POOL, "auto_pad": "SAME_UPPER"})),
    "global": (GRID, ("GlobalAveragePool", {}), ("Flatten", {})),
    "matmul": ((2, 3), ("MatMul", weights(3, 4), {}), ("Add", weights(4), {})),
    "matmul of a vector": ((3,), ("MatMul", weights(3), {})),
    "gemm": ((3,), ("Gemm", weights(3, 4), weights(4), {"alpha": 0.5, "beta": 2.0})),
    "reshape": ((2, 3, 4), ("Reshape", np.array([0, -1]), {})),
    "transpose": ((2, 3, 4), ("Transpose", {"perm": [0, 3, 1, 2]})),
    "gather": ((2, 4), ("Gather", np.array([2, 0]), {"axis": 2})),
    "tile": ((2, 4), ("Tile", np.array([1, 3, 2]), {})),
    "expand": ((1, 4), ("Expand", np.array([1, 3, 1]), {})),
    "concat": ((4,), ("Concat", "x", {"axis": 1}), ("Neg", {})),
    "depth to space": ((8, 2, 3), ("DepthToSpace", {"blocksize": 2})),
    "in another order": ((8, 2, 3), ("DepthToSpace", {"blocksize": 2, "mode": "CRD"})),
    "reflected": ((2, 4), ("Pad", np.array([0, 0, 2, 0, 1, 1]), {"mode": "reflect"})),
    "backward": (
        (5,),
        ("Slice", np.array([-1]), np.array([-100]), np.array([1]), np.array([-2]), {}),
    ),
    "sums": ((3,), ("Sum", "x", "x", {}), ("Mean", "x", {}), ("Div", weights(3), {})),
    "bounds": (
        (3,),
        ("Max", np.float32(-0.3), {}),
        ("Min", np.float32(0.4), {}),
        ("Clip", np.float32(-0.2), {}),
    ),
    "slopes": ((3, 2, 2), ("PRelu", weights(3, 1, 1), {})),
    "silu": ((3,), ("Sigmoid", {}), ("Mul", "x", {})),
    "exponential": ((3,), ("Mul", np.float32(0.1), {}), ("Abs", {})),
}


@pytest.mark.parametrize("name", LINEAR)
def test_operators(name):
    """Against onnx's reference evaluator."""
    shape, *parts = LINEAR[name]
    model, X = several(*parts, shape=shape), rows(*shape)
    found, wanted = answers(model, X), expected(model, X)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, atol=2e-6)


def test_many_rows_of_a_model_for_few():
    """A model for three rows at a time verifies with seven."""
    parts = ("Reshape", np.array([3, 24]), {}), ("Relu", {})
    model = several(*parts, shape=(2, 3, 4), rows=3)
    assert npd.Converter(model, neurons="rate").verify(rows(2, 3, 4, n=7)) < 1e-6


def test_groups_of_a_transposed_convolution():
    """Which the reference evaluator doesn't have (onnx 1.23.2): it says so."""
    options = {"group": 2, "strides": [2, 2]}
    model = several(("ConvTranspose", weights(4, 3, 3, 3), options), shape=(4, 3, 3))
    X, wanted = rows(4, 3, 3), []
    for group in range(2):
        part = slice(2 * group, 2 * group + 2)
        one = several(
            ("ConvTranspose", weights(4, 3, 3, 3)[part], {"strides": [2, 2]}),
            shape=(2, 3, 3),
        )
        wanted.append(expected(one, X[:, part]))
    np.testing.assert_allclose(answers(model, X), np.hstack(wanted), atol=1e-6)


def test_an_evaluator_that_fails_is_told_of():
    parts = ("Pad", np.array([0, 0, -1, 0, 1, 1]), {}), ("Relu", {})
    conv = npd.Converter(several(*parts, shape=(2, 4)), neurons="rate")
    with pytest.raises(npd.ConversionError, match="reference evaluator .*onnxruntime"):
        conv.verify(rows(2, 4))


REFUSED = {
    "relu of a product": (("Sigmoid", {}), ("Mul", "v0_0", {}), "mul_1.*both depend"),
    "quotient": (("Div", "x", {}), "div_0.*divides by what depends"),
    "largest": (("Max", "x", {}), "max_0.*largest"),
    "pool": (("MaxPool", {"kernel_shape": [2]}), "maxpool_0.*max_to_avg_pool=True"),
    "norm": (
        ("LayerNormalization", weights(4), {}),
        "layernormalization_0.*batch normalisation",
    ),
    "softmax": (("Softmax", {}), ("Relu", {}), "softmax_0.*Only an output"),
    "axis": (("Softmax", {"axis": 1}), "softmax_0.*axis 1"),
    "log": (("LogSoftmax", {}), "logsoftmax_0.*Return a softmax"),
    "rows": (("Transpose", {"perm": [1, 0, 2]}), "transpose_0.*observations"),
    "merged": (("Reshape", np.array([-1, 4]), {}), "reshape_0.*observations"),
    "mean of rows": (("ReduceMean", {"axes": [0]}), "reducemean_0.*observations"),
    "whole": (("Cast", {"to": 7}), "cast_0.*rounds"),
    "foreign": (("Thing", {"domain": "a.b"}), "thing_0.*a.b.Thing"),
    "compared": (("Greater", "x", {}), "greater_0.*compares"),
    "interpolated": (
        ("Resize", "", np.float32([1, 1, 2]), {"mode": "linear"}),
        "resize_0.*interpolates",
    ),
    "unknown weights": (("MatMul", "x", {}), "matmul_0.*depend on an input"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_the_nodes_name(name):
    *parts, match = REFUSED[name]
    with pytest.raises(npd.ConversionError, match=f"(?s){match}"):
        npd.read_model(several(*parts, shape=(2, 4)))


def test_averages_in_place_of_the_largest():
    parts = ("MaxPool", {**POOL, **PADS}), ("GlobalMaxPool", {}), ("Flatten", {})
    model = several(*parts, shape=GRID)
    with pytest.warns(UserWarning, match="max_to_avg_pool"):
        conv = npd.Converter(model, neurons="rate", max_to_avg_pool=True)
    assert conv.verify(rows(*GRID)) < 1e-6
    assert set(conv.approximations) == {"maxpool_0", "globalmaxpool_1"}


def with_dropout(how, opset=17, rate=0.3):
    graph, inputs = Graph(4, opset=opset).linear(4, 6).add("Relu"), ()
    ratio = graph.constant(rate)
    if how == "input":
        graph.add("Dropout", ratio, "mode")
        inputs = [helper.make_tensor_value_info("mode", TensorProto.BOOL, [])]
    elif how == "constant":
        value = numpy_helper.from_array(np.array(True))
        graph.nodes.append(helper.make_node("Constant", [], ["on"], value=value))
        graph.add("Dropout", ratio, "on")
    elif how is None:
        graph.add("Dropout", ratio)
    else:
        graph.add("Dropout", ratio, graph.constant(how, bool))
    return graph.linear(6, 2).model(inputs=inputs)


@pytest.mark.parametrize("opset", [12, 13, NEWEST])
@pytest.mark.parametrize(
    "how, counts",
    [
        (None, (1, 0, 0)),  # what dropout= says
        ("input", (1, 0, 0)),  # so, too: the file doesn't say
        (True, (1, 1, 0)),
        ("constant", (1, 1, 0)),
        (False, (0, 0, 0)),
    ],
)
def test_training_mode(how, counts, opset):
    model = with_dropout(how, opset)
    for dropout, count in zip(("permanent", "off", "all-off"), counts):
        conv = npd.Converter(model, dropout=dropout, neurons="rate", seed=1)
        assert [each.rate for each in conv.dropouts] == [0.3] * count
        assert list(conv.inputs) == ["x"]
        assert conv.verify(rows(4)) < 1e-6


def test_dropout_by_name():
    model = with_dropout(True)
    conv = npd.Converter(model, dropout={"dropout_2": "off"})
    assert not conv.dropouts


def test_rate_of_one_and_unknown_rates_are_refused():
    with pytest.raises(npd.ConversionError, match="dropout_2.*rate 1"):
        npd.read_model(with_dropout(None, rate=1.0))
    graph = Graph(4).add("Dropout", "ratio")
    inputs = [helper.make_tensor_value_info("ratio", TensorProto.FLOAT, [])]
    with pytest.raises(npd.ConversionError, match="dropout_0.*ratio"):
        npd.read_model(graph.model(inputs=inputs))


def test_a_model_is_left_as_it_is():
    model = with_dropout(True)
    before = model.SerializeToString()
    conv = npd.Converter(model, neurons="rate", seed=1)
    conv.verify(rows(4))
    assert model.SerializeToString() == before


def test_functions_of_a_model_are_followed():
    body = [
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Dropout", ["b"], ["c"]),
    ]
    opsets = [helper.make_opsetid("", 17)]
    function = helper.make_function("own", "Block", ["a"], ["c"], body, opsets)
    graph = Graph(4).linear(4, 6).add("Block", domain="own").linear(6, 2)
    model = graph.model()
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("own", 1))
    (dropout,) = npd.Converter(model).dropouts
    assert dropout.rate == 0.5


def test_second_outputs_of_dropout_are_refused():
    graph = Graph(4).add("Dropout", outputs=2)
    graph.last = "v0_1"
    graph.add("Cast", to=1).linear(4, 2)
    with pytest.raises(npd.ConversionError, match="gemm_2|cast_1"):
        npd.read_model(graph.model())


def test_types_other_than_single_and_double_precision_are_refused():
    with pytest.raises(npd.ConversionError, match="input 'x'.*float"):
        npd.read_model(Graph(3, dtype=TensorProto.FLOAT16).add("Relu").model())
    graph = Graph(3)
    half = numpy_helper.from_array(np.ones(3, np.float16), "half")
    graph.constants.append(half)
    with pytest.raises(npd.ConversionError, match="tensor 'half'.*FLOAT16"):
        npd.read_model(graph.add("Mul", "half").model())


def test_sizes_that_a_file_only_claims_take_no_memory():
    graph = Graph(3)
    huge = whole(graph, 10**6, 10**6)
    graph.add("ConstantOfShape", inputs=[huge])
    big = graph.last
    graph.add("Add", big, inputs=["x", big])
    with pytest.raises(npd.ConversionError, match="constantofshape_0.*connections"):
        npd.read_model(graph.model())


def noisy(graph, rate, shape, scale, shift=0.0):
    """A mask that PyTorch's exporter draws, times a number, and one added to it."""
    keep = graph.constant(1.0 - rate)
    graph.add("Shape", inputs=["x"], end=1)
    sizes = graph.constant(shape, np.int64)
    graph.add("Concat", sizes, axis=0).add("ConstantOfShape")
    graph.add("RandomUniformLike").add("Less", keep).add("Cast", to=1)
    mask = graph.last
    graph.add("Mul", graph.constant(scale))
    if shift:
        graph.add("Add", graph.constant(shift))
    return mask


def test_channels_that_are_dropped_by_random_numbers():
    graph = Graph(3, 4)
    noisy(graph, 0.25, [3, 1], 1 / 0.75)
    graph.add("Mul", inputs=["x", graph.last]).add("Relu")
    conv = npd.Converter(graph.model(), neurons="rate", seed=1)
    assert conv.verify(rows(3, 4)) < 1e-6
    (dropout,) = conv.dropouts
    assert (dropout.rate, dropout.kind) == (0.25, "bernoulli")
    mask = dropout.drawn().reshape(3, 4)
    np.testing.assert_array_equal(mask, np.broadcast_to(mask[:, :1], mask.shape))


def test_alpha_dropout_of_random_numbers():
    s, a, b = alpha_terms(0.1)
    graph = Graph(6)
    mask = noisy(graph, 0.1, [6], a)
    graph.add("Mul", inputs=["x", graph.last])
    kept = graph.last
    graph.add("Mul", inputs=[mask, graph.constant(-a * s)])
    graph.add("Add", graph.constant(a * s + b))
    graph.add("Add", inputs=[kept, graph.last]).add("Relu")
    conv = npd.Converter(graph.model(), neurons="rate", seed=1)
    assert conv.verify(rows(6)) < 1e-6
    (dropout,) = conv.dropouts
    assert (dropout.rate, dropout.kind) == (0.1, "alpha")


def test_random_numbers_that_are_no_dropout_are_refused():
    graph = Graph(4)
    noisy(graph, 0.25, [4], 2.0)
    graph.add("Mul", inputs=["x", graph.last]).add("Relu")
    with pytest.raises(npd.ConversionError, match="relu_.*random numbers"):
        npd.read_model(graph.model())


def test_one_mask_for_all_rows_is_refused():
    graph = Graph(4)
    keep, scale = graph.constant(0.75), graph.constant(1 / 0.75)
    graph.add("RandomUniform", inputs=[], shape=[4]).add("Less", keep)
    graph.add("Cast", to=1).add("Mul", scale)
    graph.add("Mul", inputs=["x", graph.last])
    with pytest.raises(npd.ConversionError, match="mul_4.*one mask"):
        npd.read_model(graph.model())


def test_softplus_of_several_nodes_is_a_link():
    """As PyTorch's newer exporter writes it: x itself, where it is large."""
    graph = Graph(4).linear(4, 2)
    x, limit = graph.last, graph.constant(20.0)
    graph.add("Softplus")
    soft = graph.last
    graph.add("Greater", inputs=[x, limit])
    graph.add("Where", inputs=[graph.last, x, soft])
    model = graph.model()
    conv = npd.Converter(model, neurons="rate")
    assert list(conv.links.values()) == ["softplus"]
    assert conv.verify(rows(4)) < 1e-6
