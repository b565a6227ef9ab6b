"""What `fit` trains on is what probes measure on, in every form in which data come.

The expected losses are computed in NumPy, and those of `fit` itself are compared too.
"""

import keras
import numpy as np
import pytest
from keras import layers, ops
from packaging import version

from keras_bnsmooth import probes
from keras_bnsmooth.callbacks import LandscapeProbe

BACKEND = keras.backend.backend()
RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 3)).astype("float32")
Y = RNG.normal(size=(6, 1)).astype("float32")
WEIGHTS = np.linspace(0, 2, 6).astype("float32")
KERNEL = np.array([[0.5], [-1.0], [2.0]], "float32")
SQUARES = np.square(X @ KERNEL - Y)[:, 0]


class Batches(keras.utils.PyDataset):
    def __init__(self, batch):
        super().__init__()
        self.batch = batch

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.batch


def dense(**arguments):
    return layers.Dense(
        1,
        use_bias=False,
        kernel_initializer=lambda shape, dtype: ops.convert_to_tensor(KERNEL, dtype),
        **arguments,
    )


def compiled(inputs, outputs, loss="mse", kind=keras.Model):
    model = kind(inputs, outputs)
    model.compile(keras.optimizers.SGD(0.1), loss)
    return model


def linear():
    inputs = keras.Input((3,))
    return compiled(inputs, dense()(inputs))


def check(model, data, expected, fit, **arguments):
    """Compares the loss of the first step with that of the probe, and with NumPy."""
    probe = LandscapeProbe(data, every=1, step_sizes=[0.1], **arguments)
    loss = model.fit(**fit, **arguments, callbacks=[probe], verbose=0).history["loss"]
    assert probe.history["loss"][0] == pytest.approx(expected, rel=1e-5)
    assert loss[0] == pytest.approx(expected, rel=1e-5)


def tensors(*arrays):
    return tuple(map(ops.convert_to_tensor, arrays))


def tf_dataset(*batch):
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensors(batch if len(batch) > 1 else batch[0])


def data_loader(*batch):
    torch = pytest.importorskip("torch")
    samples = torch.utils.data.TensorDataset(*map(torch.as_tensor, batch))
    return torch.utils.data.DataLoader(samples, batch_size=6)


def data_frames(x, y):
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(x, columns=list("abc")), pandas.Series(y[:, 0])


def sparse(x, y):
    scipy_sparse = pytest.importorskip("scipy.sparse")
    return scipy_sparse.csr_matrix(x), y


ARRAYS = {
    "numpy": (X, Y),
    "float64": (X.astype("float64"), Y.astype("float64")),
    "tensors": tensors(X, Y),
    "integers": (np.round(X).astype("int64"), np.round(Y).astype("int32")),
}


@pytest.mark.parametrize("form", ["arrays", "weighted", "list"])
@pytest.mark.parametrize("batch", ARRAYS.values(), ids=ARRAYS)
def test_arrays(batch, form):
    x, y = (ops.convert_to_numpy(part).astype("float32") for part in batch)
    squares = np.square(x @ KERNEL - y)[:, 0]
    fit = dict(zip("xy", batch, strict=True))
    if form == "weighted":
        fit["sample_weight"] = WEIGHTS
        check(linear(), (*batch, WEIGHTS), np.mean(WEIGHTS * squares), fit)
        model = linear()
        r = probes.landscape(model, *batch, [0.1], sample_weight=WEIGHTS)
        assert r.loss == pytest.approx(np.mean(WEIGHTS * squares), rel=1e-5)
    else:
        data = list(batch) if form == "list" else batch
        check(linear(), data, np.mean(squares), fit)


old_keras = pytest.mark.skipif(
    version.parse(keras.__version__) < version.parse("3.14"),
    reason="fit does not slice sparse matrices",
)


@pytest.mark.parametrize(
    "convert", [data_frames, pytest.param(sparse, marks=old_keras)]
)
def test_data_frames_and_sparse_matrices(convert):
    x, y = convert(X * (X > 0), Y)
    expected = np.mean(np.square((X * (X > 0)) @ KERNEL - Y))
    check(linear(), (x, y), expected, {"x": x, "y": y})
    r = probes.landscape(linear(), x, y, [0.1])
    assert r.loss == pytest.approx(expected, rel=1e-5)


DATASETS = [tf_dataset, data_loader, lambda *batch: Batches(batch)]


@pytest.mark.parametrize(
    "dataset", DATASETS, ids=["tf.data", "DataLoader", "PyDataset"]
)
@pytest.mark.parametrize("weighted", [False, True])
def test_datasets(dataset, weighted):
    batch = (X, Y, WEIGHTS) if weighted else (X, Y)
    expected = np.mean(WEIGHTS * SQUARES if weighted else SQUARES)
    check(linear(), dataset(*batch), expected, {"x": dataset(*batch)})
    check(linear(), lambda step: batch, expected, {"x": dataset(*batch)})


def test_ragged():
    tf = pytest.importorskip("tensorflow")
    tokens = [[1, 2, 0], [2], [0, 0]]
    x, y = tf.ragged.constant(tokens), np.zeros((3, 1), "float32")
    table = np.arange(3, dtype="float32")[:, None]

    def model():
        inputs = keras.Input((None,), dtype="int32", ragged=BACKEND == "tensorflow")
        embedding = layers.Embedding(
            3,
            1,
            embeddings_initializer=lambda shape, dtype: ops.convert_to_tensor(table),
        )
        return compiled(inputs, layers.GlobalMaxPooling1D()(embedding(inputs)))

    check(model(), (x, y), np.mean(np.square([2, 2, 0])), {"x": x, "y": y})


class OwnLoss(keras.Model):
    """Trains on inputs alone, a dict or an array."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
        return ops.mean(ops.square(y_pred))


@pytest.mark.parametrize("given", ["dict", "function", "PyDataset", "tf.data", "tuple"])
@pytest.mark.parametrize("named", [True, False])
def test_inputs_alone(given, named):
    inputs = {"a": keras.Input((3,), name="a")} if named else keras.Input((3,))
    batch = {"a": X} if named else X
    model = compiled(
        inputs, dense()(inputs["a"] if named else inputs), None, kind=OwnLoss
    )
    data = {
        "dict": batch,
        "function": lambda step: batch,
        "PyDataset": Batches(batch),
        "tf.data": None if given != "tf.data" else tf_dataset(batch),
        "tuple": (batch,),
    }[given]
    fit = {"x": data if given in ("PyDataset", "tf.data") else batch}
    check(model, data, np.mean(np.square(X @ KERNEL)), fit)


NODES, EDGES = 9, 14
GRAPH = {
    "nodes": RNG.normal(size=(NODES, 3)).astype("float32"),
    "source": RNG.integers(0, NODES, EDGES).astype("int32"),
    "target": RNG.integers(0, NODES, EDGES).astype("int32"),
    "graph": np.repeat(np.arange(3), 3).astype("int32"),
}
TARGETS = RNG.normal(size=(3, 1)).astype("float32")


class OfGraphs(keras.Model):
    """Sums over the nodes of each graph what reaches them along edges."""

    def __init__(self):
        super().__init__()
        self.dense = dense()

    def call(self, x):
        sent = ops.take(self.dense(x["nodes"]), x["source"], axis=0)
        received = ops.segment_sum(sent, x["target"], num_segments=NODES)
        return ops.segment_sum(received, x["graph"], num_segments=3)


def of_graphs():
    nodes = GRAPH["nodes"] @ KERNEL
    out = np.zeros((3, 1))
    for source, target in zip(GRAPH["source"], GRAPH["target"], strict=True):
        out[GRAPH["graph"][target]] += nodes[source]
    return np.mean(np.square(out - TARGETS))


def in_form(given, batch):
    """Returns one batch as data of a probe, in the form that is asked for."""
    if given == "tf.data":
        return tf_dataset(*batch)
    forms = {
        "tuple": batch,
        "function": lambda step: batch,
        "PyDataset": Batches(batch),
    }
    return forms[given]


@pytest.mark.parametrize("given", ["tuple", "function", "PyDataset", "tf.data"])
def test_joined_graphs(given):
    batch = (GRAPH, TARGETS)
    data = in_form(given, batch)
    model = OfGraphs()
    model.compile(keras.optimizers.SGD(0.01), "mse")
    check(model, data, of_graphs(), {"x": Batches(batch)})
    r = probes.landscape(model, *batch, [0.1])
    assert np.isfinite(r.losses).all()


@pytest.mark.parametrize("given", ["tuple", "PyDataset"])
def test_side_input_of_one_row(given):
    class Scaled(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = dense()

        def call(self, x):
            features, scale = x
            return self.dense(features) * scale

    model = Scaled()
    model.compile(keras.optimizers.SGD(0.01), "mse")
    batch = ((X, np.full((1, 1), 3.0, "float32")), Y)
    data = batch if given == "tuple" else Batches(batch)
    expected = np.mean(np.square(3 * X @ KERNEL - Y))
    check(model, data, expected, {"x": Batches(batch)})


LABELS = np.array([0.05, 0.95, 0.9999999, 0.0, 1.0, 0.4], "float32")
CLASS_WEIGHT = {0: 0.25, 1: 4.0}


@pytest.mark.parametrize("given", ["tuple", "function", "PyDataset", "tf.data"])
def test_class_weights_of_rounded_labels(given):
    batch = (X, LABELS[:, None])
    data = in_form(given, batch)
    weights = np.array([0.25, 4, 4, 0.25, 4, 0.25])
    expected = np.mean(weights * np.square(X @ KERNEL - LABELS[:, None])[:, 0])
    fit = dict(zip("xy", batch, strict=True))
    check(linear(), data, expected, fit, class_weight=CLASS_WEIGHT)


def two_outputs():
    inputs = keras.Input((3,))
    return compiled(inputs, [dense()(inputs), dense()(inputs)], ["mse", "mse"])


def test_class_weights_with_several_outputs_in_the_words_of_keras():
    model = two_outputs()
    probe = LandscapeProbe((X, (Y, Y)), every=1, class_weight=CLASS_WEIGHT)
    with pytest.raises(ValueError, match="only supported for Models with a single"):
        model.fit(X, [Y, Y], callbacks=[probe], verbose=0)


def test_one_weight_per_sample_for_several_outputs():
    expected = 2 * np.mean(WEIGHTS * SQUARES)
    fit = {"x": X, "y": [Y, Y], "sample_weight": WEIGHTS}
    check(two_outputs(), (X, [Y, Y], WEIGHTS), expected, fit)


def test_arrays_are_rounded_to_floatx():
    # Computed in float64, the loss of these arrays would be 1 instead of 0.
    kind = "float64" if BACKEND == "tensorflow" else "float32"
    inputs = keras.Input((3,), dtype=kind)
    model = compiled(
        inputs, dense(dtype=kind)(inputs), keras.losses.MeanSquaredError(dtype=kind)
    )
    x = np.zeros((2, 3))
    x[:, 0] = 2 + 2e-8
    x *= 1e8
    y = np.full((2, 1), 1e8)
    for batch in ((x, y), tensors(x, y) if BACKEND == "tensorflow" else (x, y)):
        assert probes.landscape(model, *batch, [1e-20]).loss == 0.0
    fit = {"x": x, "y": y, "epochs": 0}
    model.fit(**fit, verbose=0)
    assert model.evaluate(x, y, verbose=0) == 0.0


@pytest.mark.parametrize(
    "weights", [[1, 2], "a", 3, {0: "x"}, {0: None}, {"a": 1}, {0.5: 1}, {0: [1, 2]}]
)
def test_class_weights_of_a_wrong_type_are_refused(weights):
    with pytest.raises(ValueError, match="class_weight must be a dict from class"):
        LandscapeProbe((X, Y), every=1, class_weight=weights)
