"""The batch of a trained run is the one that training saw."""

import json

import numpy as np
import pytest

from apps import data
from apps.errors import UserError
from apps.theory.trained_run import first_batch, load_run

VGG = {"dataset": "digits", "data_dir": None, "batch_size": 8, "seed": 3}


def test_the_batch_is_augmented_as_in_training():
    digits = data.load("digits")
    moments = digits.channel_moments()
    images = digits.x_train, digits.y_train, 8, 3, *moments
    x, y = first_batch({**VGG, "augment": True})
    expected, labels = next(data.Batches(*images, augment=True).stream())
    np.testing.assert_array_equal(x, expected)
    np.testing.assert_array_equal(y, labels)
    plain, _ = first_batch({**VGG, "augment": False})
    np.testing.assert_array_equal(plain, data.Batches(*images)(step=0)[0])
    assert not np.array_equal(x, plain)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_regression_is_in_the_precision_of_the_run(dtype):
    x, y = first_batch({"samples": 6, "dim": 2, "seed": 4, "dtype": dtype})
    rng = np.random.default_rng(4)
    matrix, inputs = rng.standard_normal((2, 2)), rng.standard_normal((6, 2))
    assert x.dtype == y.dtype == dtype
    np.testing.assert_array_equal(x, inputs.astype(dtype))
    np.testing.assert_array_equal(y, (inputs @ matrix.T).astype(dtype))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "truncated or damaged"),
        ("[1]", "instead of a JSON object"),
        ('{"learning_rate": 1}', "no entry 'flags'"),
        (json.dumps({"flags": VGG}), "no --augment"),
        (json.dumps({"flags": {"seed": 0}}), "no --samples"),
    ],
)
def test_a_config_that_is_not_of_a_run_is_one_line(tmp_path, text, message):
    (tmp_path / "config.json").write_text(text)
    (tmp_path / "model.keras").touch()
    with pytest.raises(UserError, match=message) as caught:
        load_run(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_damaged_model_is_not_called_missing(tmp_path):
    flags = {"samples": 6, "dim": 2, "seed": 4, "dtype": "float32"}
    (tmp_path / "config.json").write_text(json.dumps({"flags": flags}))
    (tmp_path / "model.keras").write_bytes(b"no zip")
    with pytest.raises(UserError, match=r"model\.keras is damaged, so that Keras"):
        load_run(tmp_path)
