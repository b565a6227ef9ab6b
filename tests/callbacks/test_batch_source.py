import keras
import numpy as np
import pytest

from keras_bnsmooth.callbacks.batch_source import batch_source

X = np.arange(10).reshape(5, 2)
Y = np.arange(5)


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 5

    def __getitem__(self, index):
        return X[index : index + 1], Y[index : index + 1]


class NoBatches:
    def __iter__(self):
        return iter(())


def taken(source, steps):
    return [int(np.ravel(source.take(step)[1])[0]) for step in steps]


def test_one_batch_is_the_batch_of_every_step():
    x, y, sample_weight = batch_source((X, Y)).take(3)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)
    assert sample_weight is None
    np.testing.assert_array_equal(batch_source((X, Y, Y)).take(0)[2], Y)
    assert batch_source((X,)).take(0)[1:] == (None, None)


def test_function_of_the_step():
    source = batch_source(lambda step: (X, Y + step))
    assert source.peek(7)[1][0] == 7
    assert taken(source, [0, 7]) == [0, 7]


def test_py_dataset_gives_the_batch_of_the_step():
    assert taken(batch_source(Batches()), [0, 3, 7]) == [0, 3, 2]


def test_tf_data_in_turn_from_the_start_again():
    tf = pytest.importorskip("tensorflow")
    source = batch_source(tf.data.Dataset.from_tensor_slices((X, Y)).batch(2))
    assert int(source.peek(0)[1][0]) == 0
    assert taken(source, [0, 10, 20, 30]) == [0, 2, 4, 0]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([0, 1, 2], [2, 1, 3]),
        ([[1], [0]], [1, 2]),
        ([[0, 0, 1.0], [1.0, 0, 0]], [3, 2]),  # one-hot
        ([0.05, 1.95, 0.9999999, -0.2], [2, 3, 1, 2]),  # `fit` rounds
    ],
)
@pytest.mark.parametrize("as_function", [False, True])
def test_class_weights(labels, expected, as_function):
    labels = np.array(labels)
    batch = (X[: len(labels)], labels)
    data = (lambda step: batch) if as_function else batch
    _, _, sample_weight = batch_source(data, {0: 2.0, 2: 3.0}).take(0)
    np.testing.assert_array_equal(sample_weight, expected)


@pytest.mark.parametrize("as_function", [False, True])
@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ((X, Y, Y), "`class_weight` and `sample_weight`"),
        ((X, [Y, Y]), "only supported for Models with a single output"),
    ],
)
def test_class_weights_are_refused_in_the_words_of_keras(batch, message, as_function):
    data = (lambda step: batch) if as_function else batch
    with pytest.raises(ValueError, match=message):
        batch_source(data, {1: 2.0}).take(0)


@pytest.mark.parametrize(
    "data", [iter([(X, Y)]), ((X, Y) for _ in range(2))], ids=["iterator", "generator"]
)
def test_rejects_what_ends(data):
    with pytest.raises(ValueError, match="data must be restartable"):
        batch_source(data)


@pytest.mark.parametrize("data", [None, 3, keras.Model], ids=str)
def test_rejects_other_types(data):
    with pytest.raises(ValueError, match="data must be"):
        batch_source(data)


def test_rejects_what_is_not_a_batch():
    with pytest.raises(ValueError, match="Data is expected to be in format"):
        batch_source(lambda step: (X, Y, Y, Y)).take(4)
    with pytest.raises(ValueError, match="no batch at step 2"):
        batch_source(NoBatches()).take(2)


def test_a_function_that_ends_does_not_end_the_epoch():
    batches = iter([(X, Y)])
    source = batch_source(lambda step: next(batches))
    source.take(0)
    with pytest.raises(ValueError, match="ended at step 1"):
        source.take(1)
