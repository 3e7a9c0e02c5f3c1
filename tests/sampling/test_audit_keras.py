"""npd.audit of Keras models and their files."""

import numpy as np
import pytest

pytest.importorskip("keras")
from kmodels import layers  # noqa: E402

import nengo_permadrop as npd  # noqa: E402
from nengo_permadrop.sources.keras.layers import PermanentDropout, keras  # noqa: E402

X = np.random.RandomState(0).randn(6, 4).astype(np.float32)
KERAS2 = keras.__version__.startswith("2.")


def model(dropout, training=None):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,), name="x")
    hidden = layers.Dense(64, activation="relu")(inputs)
    hidden = dropout(hidden) if training is None else dropout(hidden, training=training)
    made = keras.Model(inputs, layers.Dense(1)(hidden))
    if KERAS2:  # or all that is compiled from here on would draw the same masks
        import tensorflow

        tensorflow.random.set_seed(None)
    return made


def found(audit):
    return [each.test for each in audit.findings]


def test_permanent_dropout_is_alive():
    audit = npd.audit(model(PermanentDropout(0.5)), X)
    assert audit.ok, str(audit)
    assert set(audit.pvalues) == {"calls", "rows", "reference"}


def test_plain_dropout_is_lost():
    assert found(npd.audit(model(layers.Dropout(0.5)), X)) == ["differ"]


def test_training_true_is_lost_in_predict_of_keras_3():
    audit = npd.audit(model(layers.Dropout(0.5), training=True), X)
    if KERAS2:
        assert audit.ok, str(audit)
        return
    assert found(audit) == ["differ"]
    assert "asked as model(x), its draws do differ" in audit.findings[0].cause


def test_masks_that_rows_share():
    audit = npd.audit(model(PermanentDropout(0.5, noise_shape=(1, 64))), X)
    assert "rows" in found(audit)


@pytest.mark.parametrize("ending", [".h5", ".keras"])
def test_files(tmp_path, ending):
    """A false alarm has a probability of 1 in 1000."""
    path = str(tmp_path / f"model{ending}")
    model(PermanentDropout(0.5)).save(path)
    processes = ending == ".h5"  # which takes long
    audit = npd.audit(path, X, n_draws=40, processes=processes)
    assert audit.ok, str(audit)
    tested = {"calls", "sessions", "rows", "reference"}
    tested |= {"processes"} if processes else set()
    assert set(audit.pvalues) == tested, audit.not_tested


def test_a_seed_in_the_file_is_replayed(tmp_path):
    path = str(tmp_path / "model.keras")
    model(PermanentDropout(0.5, seed=3)).save(path)
    audit = npd.audit(path, X, n_draws=20, processes=False)
    assert "sessions" in found(audit)
    assert audit.not_tested["processes"] == "it was said not to"


def test_several_inputs():
    inputs = [keras.Input((4,), name="a"), keras.Input((4,), name="b")]
    both = layers.Concatenate()(inputs)
    both = layers.Dense(1)(PermanentDropout(0.5)(layers.Dense(40)(both)))
    two = keras.Model(inputs, both)
    assert npd.audit(two, {"b": X, "a": X}).ok
    assert npd.audit(two, [X, X]).ok
    with pytest.raises(ValueError, match="a, b"):
        npd.audit(two, X)
