import importlib

import numpy as np
import pytest

from keras_bnsmooth import probes
from tests.probes import example_models

landscape_module = importlib.import_module("keras_bnsmooth.probes.landscape")
shift_module = importlib.import_module("keras_bnsmooth.probes.internal_covariate_shift")


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


def test_what_magnifies_rounding_is_not_resolved(monkeypatch):
    model, (x, y) = example_models.mlp()
    assert probes.landscape(model, x, y, [0.1]).resolved.all()
    monkeypatch.setattr(landscape_module, "rounding_noise", lambda *arguments: 1e3)
    assert probes.landscape(model, x, y, [0.1]).resolved.all()
    # Without its noise, a distance as long as the gradient would pass for curvature.
    landscape_module._magnifying.add(model)
    r = probes.landscape(model, x, y, [0.1])
    assert not r.resolved.any()
    assert np.isnan(r.beta)


@pytest.mark.parametrize(
    ("cosines", "error"),
    [([0.9, 0.9], "rounding alone"), ([0.9, 0.8], "changed between two evaluations")],
)
def test_covariate_shift_that_rounding_hides_is_refused(monkeypatch, cosines, error):
    model, (x, y) = example_models.mlp()
    results = [
        shift_module.InternalCovariateShift(["a"], np.ones(1), np.array([cosine]))
        for cosine in cosines
    ]
    monkeypatch.setattr(
        shift_module, "measure_covariate_shift", lambda *args, **kwargs: results.pop(0)
    )
    with pytest.raises(ValueError, match=error):
        shift_module.check_covariate_shift(model, (x, y, None), {})
