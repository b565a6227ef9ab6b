import keras
import numpy as np
import pytest

from keras_bnsmooth.callbacks.batch_source import batch_source, class_weights

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
    assert x is X and y is Y and sample_weight is None
    assert batch_source((X, Y, Y)).take(0)[2] is Y
    assert batch_source((X,)).take(0) == (X, None, None)


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


def test_class_weights():
    weights = class_weights(np.array([0, 1, 2]), {0: 2.0, 2: 3.0})
    np.testing.assert_array_equal(weights, [2, 1, 3])
    one_hot = np.eye(3)[[2, 0]]
    np.testing.assert_array_equal(class_weights(one_hot, {2: 5.0}), [5, 1])
    np.testing.assert_array_equal(class_weights(np.array([[1], [0]]), {1: 5.0}), [5, 1])
    source = batch_source((X, Y), {1: 2.0})
    np.testing.assert_array_equal(source.take(0)[2], [1, 2, 1, 1, 1])
    with pytest.raises(ValueError, match="not both"):
        batch_source((X, Y, Y), {1: 2.0}).take(0)


@pytest.mark.parametrize(
    "data", [iter([(X, Y)]), ((X, Y) for _ in range(2))], ids=["iterator", "generator"]
)
def test_rejects_what_ends(data):
    with pytest.raises(ValueError, match="data must be restartable"):
        batch_source(data)


@pytest.mark.parametrize("data", [X, None, 3, keras.Model], ids=str)
def test_rejects_other_types(data):
    with pytest.raises(ValueError, match="data must be"):
        batch_source(data)


def test_rejects_what_is_not_a_batch():
    with pytest.raises(ValueError, match="at step 4 they yielded ndarray"):
        batch_source(lambda step: X).take(4)
    with pytest.raises(ValueError, match="no batch at step 2"):
        batch_source(NoBatches()).take(2)


def test_a_function_that_ends_does_not_end_the_epoch():
    batches = iter([(X, Y)])
    source = batch_source(lambda step: next(batches))
    source.take(0)
    with pytest.raises(ValueError, match="ended at step 1"):
        source.take(1)
