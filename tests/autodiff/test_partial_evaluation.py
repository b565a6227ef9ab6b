import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow
tf = pytest.importorskip("tensorflow")


def compile_function(function):
    return tf.function(function, autograph=False)


def test_the_first_part_is_evaluated_once():
    from keras_bnsmooth.autodiff.partial_evaluation import split

    def function(first, last):
        a, b = first
        (c,) = last
        exponential = tf.exp(a)
        return {"a": exponential, "b": b + 1}, [exponential * c + b, c]

    first = [tf.constant([0.0, 1.0]), tf.constant(5.0)]
    prepare, finish = split(
        function, first, [tf.constant([1.0, 1.0])], compile_function
    )
    for a in ([0.0, 1.0], [2.0, 3.0]):
        result, intermediate = prepare([tf.constant(a), tf.constant(5.0)])
        np.testing.assert_allclose(result["a"], np.exp(a), rtol=1e-6)
        np.testing.assert_allclose(result["b"], 6)
        for c in ([1.0, 1.0], [4.0, -2.0]):
            product, same = finish([tf.constant(c)], intermediate)
            np.testing.assert_allclose(product, np.exp(a) * c + 5, rtol=1e-6)
            np.testing.assert_allclose(same, c)


def test_a_function_that_changes_a_variable_is_not_split():
    from keras_bnsmooth.autodiff.partial_evaluation import split

    counter = tf.Variable(0)

    def function(first, last):
        counter.assign_add(1)
        return first[0], [first[0] * last[0]]

    one = [tf.constant(1.0)]
    assert split(function, one, one, compile_function) is None
    assert counter.numpy() == 0


def test_gradients_that_wait_for_others():
    from keras_bnsmooth.autodiff.partial_evaluation import split

    def function(first, last):
        (x,), (v,) = first, last
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = tf.reduce_sum(tf.math.rsqrt(x))
            gradient = inner.gradient(y, x)
        return gradient, outer.gradient(gradient, x, output_gradients=v)

    x, v = tf.constant([1.0, 4.0]), tf.constant([2.0, 3.0])
    prepare, finish = split(function, [x], [v], compile_function)
    gradient, intermediate = prepare([x])
    np.testing.assert_allclose(gradient, -0.5 * x**-1.5, rtol=1e-6)
    product = finish([v], intermediate)
    np.testing.assert_allclose(product, 0.75 * x**-2.5 * v, rtol=1e-6)
