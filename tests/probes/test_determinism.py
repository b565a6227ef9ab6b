import importlib

import numpy as np
import pytest

from keras_bnsmooth import probes
from tests.probes import example_models

landscape_module = importlib.import_module("keras_bnsmooth.probes.landscape")


@pytest.mark.parametrize("always_alike", [True, False])
def test_differences_that_repeat_are_rounding(monkeypatch, always_alike):
    model, (x, y) = example_models.mlp()
    r = probes.landscape(model, x, y, [0.1])
    losses = iter([1.1, 1.1 if always_alike else 1.2])

    def measure(*arguments):
        values = {**vars(r), "loss": 1.0, "losses": np.array([next(losses)])}
        return landscape_module.Landscape(**values)

    monkeypatch.setattr(landscape_module, "measure_landscape", measure)
    if always_alike:
        landscape_module.check_landscape(model, (x, y, None), 1)
        return
    with pytest.raises(ValueError, match="changed between two evaluations"):
        landscape_module.check_landscape(model, (x, y, None), 1)
