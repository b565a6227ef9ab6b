import keras
import numpy as np
import pytest

from keras_bnsmooth.layers import LpNormalization
from keras_bnsmooth.models import dln, vgg
from tests.layers import normalization_reference as reference

P = {"l1": 1, "l2": 2, "linf": np.inf}


@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("norm", P)
def test_the_norm_is_taken_before_or_after_centering(norm, centered):
    model = dln(depth=1, dim=3, norm=norm, seed=0, norm_after_centering=centered)
    x = np.random.default_rng(0).normal(1, 1, (16, 3)).astype("float32")
    a = x @ keras.ops.convert_to_numpy(model.get_layer("linear1").kernel)
    mean, p_norm = reference.statistics(a.astype("float64"), P[norm], centered)
    expected = reference.normalize(a, mean, p_norm, epsilon=1e-3)
    outputs = keras.ops.convert_to_numpy(model(x, training=True))
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)


def test_every_normalization_of_the_vgg_takes_it_there():
    model = vgg((4, 4, 1), depth=11, width=1, norm="l1", norm_after_centering=True)
    norms = [la for la in model.layers if isinstance(la, LpNormalization)]
    assert len(norms) == 10
    assert all(layer.norm_after_centering for layer in norms)


@pytest.mark.parametrize("build", [dln, vgg])
@pytest.mark.parametrize("norm", ["none", "bn", "noisy_bn", "noise"])
def test_the_option_is_refused_where_it_has_no_effect(build, norm):
    with pytest.raises(ValueError, match=f"l1, l2, linf; received norm='{norm}'"):
        build(norm=norm, norm_after_centering=True)
