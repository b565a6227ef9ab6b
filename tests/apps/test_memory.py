import pytest

from apps import memory
from apps.errors import UserError
from keras_bnsmooth.models import dln, vgg


def test_what_exceeds_the_memory_is_refused(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 10**9)
    memory.check(10**9, "it", "lower it")
    with pytest.raises(UserError, match=r"it needs at least 2\.0 GB .* lower it"):
        memory.check(2 * 10**9, "it", "lower it")


def test_this_machine_has_memory():
    assert 10**8 < memory.available() < 10**14


@pytest.mark.parametrize("depth", [11, 16])
@pytest.mark.parametrize(("width", "classes"), [(1, 3), (16, 10), (8, 1000)])
def test_a_vgg_takes_what_is_said_at_least(depth, width, classes):
    model = vgg((32, 32, 3), classes, depth=depth, width=width)
    weights = 4 * model.count_params()
    outputs = [layer.output for layer in model.layers if layer.name == "conv1_1"]
    activations = 4 * 5 * (32 * 32 * width + classes)
    assert outputs[0].shape[1:] == (32, 32, width)
    least = memory.of_vgg((32, 32, 3), classes, width, batch_size=5)
    assert least < 2 * weights + activations
    # Close enough to refuse what cannot work.
    assert least > 0.4 * (2 * weights + activations)


def test_a_deep_linear_network_takes_what_is_said():
    model = dln(depth=7, dim=5)
    numbers = 2 * model.count_params() + 5 * 5
    arrays = 2 * 30 * 5  # inputs and targets
    outputs = sum(30 * layer.output.shape[1] for layer in model.layers[1:])
    expected = 8 * (numbers + arrays + outputs)
    assert memory.of_dln(7, 5, 30, "float64") == expected
