"""Pooling by the largest element: refused, or replaced by averages if one says so."""

import numpy as np
import pytest

pytest.importorskip("keras")
from file_models import drawn_weights, saved
from test_file_reading import rows, same_graphs

import nengo_permadrop as npd
from nengo_permadrop.sources.keras.layers import keras

L = keras.layers


def pooled(largest=True):
    kind = "Max" if largest else "Average"
    local, everywhere = (
        getattr(L, name) for name in (f"{kind}Pooling2D", f"Global{kind}Pooling2D")
    )
    layers = [
        L.Conv2D(3, 2, activation="relu"),
        local((3, 2), strides=2, padding="same", name="pool"),
        L.Dropout(0.2),
        L.Conv2D(4, 2, activation="relu"),
        everywhere(name="last"),
        L.Dense(2),
    ]
    return drawn_weights(keras.Sequential([keras.Input((6, 6, 1)), *layers]))


def test_the_largest_is_refused_with_what_to_do(tmp_path):
    model = pooled()
    path = saved(model, tmp_path)[-1][0]
    for each in (model, path):
        with pytest.raises(npd.ConversionError) as info:
            npd.Converter(each)
        said = str(info.value)
        assert "layer 'pool' (MaxPooling2D)" in said
        assert "AveragePooling2D" in said and "max_to_avg_pool=True" in said


def test_averages_in_its_place_are_said(tmp_path):
    model = pooled()
    X = rows(model, 4)
    with pytest.warns(UserWarning, match="'pool', 'last' averages what") as warned:
        conv = npd.Converter(model, max_to_avg_pool=True, seed=0)
    said = [each for each in warned if each.category is UserWarning]
    assert [each.filename for each in said] == [__file__]
    assert conv.verify(X) < 1e-5  # against Keras's layers that average
    assert list(conv.graph.replaced) == ["pool", "last"]
    (said,) = (each for each in conv.report().approximations if "largest" in each)
    assert "'pool', 'last'" in said
    average = npd.read_model(pooled(largest=False))
    assert not average.replaced
    for path, weights in [(model, None), *saved(model, tmp_path)[-2:]]:
        with pytest.warns(UserWarning, match="averages what the model takes"):
            graph = npd.read_model(path, weights=weights, max_to_avg_pool=True)
        for a, b in zip(graph.operations, average.operations, strict=True):
            assert all(
                x is None or (x != y).nnz == 0 if hasattr(x, "nnz") else (x == y).all()
                for x, y in zip(
                    getattr(a, "matrices", ()), getattr(b, "matrices", ()), strict=True
                )
            )
        same_graphs(graph, conv.graph)


def test_models_of_averages_need_no_word(recwarn):
    model = pooled(largest=False)
    conv = npd.Converter(model, max_to_avg_pool=True, seed=0)
    assert not [each for each in recwarn if each.category is UserWarning]
    assert not conv.graph.replaced
    assert conv.verify(rows(model, 2)) < 1e-5


def test_classical_answers_are_those_of_the_largest():
    model = pooled()
    X = rows(model, 2)
    options = dict(n_draws=3, backend="keras", progress=False)
    drawn = npd.sample(model, X, **options).values
    averaged = npd.sample(pooled(largest=False), X, **options).values
    assert np.abs(drawn - averaged).min() > 1e-3
    # as many at a time as fit, which nothing need be converted for
    limited = npd.sample(model, X, max_memory=1e5, **options).values
    assert np.allclose(drawn, limited, atol=1e-5)


def test_a_file_read_for_averages_has_no_classical_answer(tmp_path):
    model = pooled()
    X = rows(model, 2)
    with pytest.warns(UserWarning, match="averages what the model takes"):
        conv = npd.Converter(
            saved(model, tmp_path)[-1][0], max_to_avg_pool=True, seed=0
        )
    assert conv.verify(X) < 1e-5
    with pytest.raises(npd.ConversionError, match="the largest, aren't known"):
        npd.sample(conv.model, X, n_draws=2, backend="keras", progress=False)
