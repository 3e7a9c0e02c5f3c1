"""The recalibration of a study; the rest of the module is tested with its report."""

from types import SimpleNamespace

import numpy as np
import pytest

from nengo_permadrop import PredictiveSamples
from nengo_permadrop.datasets.base import Split
from nengo_permadrop.study import uncertainty


def test_rows_without_spread_are_left_out_with_a_warning(rng):
    values = rng.standard_normal((200, 6, 1))
    target = 3 * rng.standard_normal((6, 1))
    validation = Split({"input": np.zeros((6, 1))}, target, {})
    dataset = SimpleNamespace(validation=validation, in_units=lambda values: values)
    whole = uncertainty.fit(PredictiveSamples(values), dataset)

    more = np.concatenate([values, np.full((200, 1, 1), 0.25)], axis=1)
    row = Split({"input": np.zeros((7, 1))}, np.append(target, [[9.0]], axis=0), {})
    dataset.validation = row
    with pytest.warns(UserWarning, match="all draws of 1 of 7 validation rows"):
        found = uncertainty.fit(PredictiveSamples(more), dataset)
    assert np.allclose(found.scale, whole.scale)
