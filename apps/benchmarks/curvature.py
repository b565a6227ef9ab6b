"""Cost of curvature: products with the Hessian, the sharpness probe, and a peer.

    python -m apps.benchmarks.curvature
    KERAS_BACKEND=torch python -m apps.benchmarks.curvature

A VGG with batch normalization on a batch of CIFAR-10's shape. Times are in evaluations
of loss and gradient, compiled the same way. The peer is curvlinops with SciPy's `eigsh`
on the same network, weights and batch in PyTorch; it is measured on the torch backend,
if it is installed (`pip install curvlinops-for-pytorch`).
"""

import functools
import importlib.util

import keras
import numpy as np
from absl import flags

from apps import program
from apps.benchmarks import workload
from apps.benchmarks.timing import medians, time_call
from keras_bnsmooth import autodiff, probes
from keras_bnsmooth.probes.arguments import to_tensors

FLAGS = flags.FLAGS

workload.define_flags(rounds=9)
flags.DEFINE_bool(
    "jit",
    keras.backend.backend() == "jax",
    "Compile the model with jit_compile: XLA, which JAX depends on.",
)

_BATCH_SIZE = 128
_REPEATS = 5  # evaluations per measurement
_TOLERANCE = 0.01


def contestants(model, x, y):
    """Returns a dict from name to (function to time, evaluations in it)."""
    batch = to_tensors(model, x, y)
    value_and_grad = autodiff.compiled(model, autodiff.value_and_grad)
    single = autodiff.compiled(model, _multiply)
    *_, shared = autodiff.linearize(model, *batch)
    vector = [keras.ops.ones_like(v) for v in model.trainable_variables]

    def repeat(evaluate):
        for _ in range(_REPEATS):
            # Devices compute asynchronously: wait for the first layer's part, which is
            # computed last.
            keras.ops.convert_to_numpy(evaluate()[0])

    def sharpness(products, tolerance=0.0):
        # One of the products is for the curvature along the gradient.
        probes.sharpness(model, x, y, iterations=products - 1, tolerance=tolerance)

    return {
        "one loss and gradient": (
            lambda: repeat(lambda: value_and_grad(*batch)[1]),
            _REPEATS,
        ),
        "a product with the Hessian, on its own": (
            lambda: repeat(lambda: single(*batch, vector)),
            _REPEATS,
        ),
        "a product that shares the gradient": (
            lambda: repeat(lambda: shared(vector)),
            _REPEATS,
        ),
        "sharpness, ten products": (lambda: sharpness(10), 1),
        "critical learning rate": (
            lambda: probes.critical_learning_rate(model, x, y),
            1,
        ),
        f"sharpness to {_TOLERANCE:.0%}, both ends": (
            lambda: sharpness(100, _TOLERANCE),
            1,
        ),
    }


def _multiply(model, weights, state, x, y, sample_weight, vector):
    return autodiff.hessian_vector_product(
        model, weights, vector, state, x, y, sample_weight
    )


class Peer:
    """Hessian of the same network in PyTorch, by curvlinops and SciPy.

    Args:
        model: The Keras model.
        x: Images, [batch, height, width, channels].
        y: Labels.
    """

    def __init__(self, model, x, y):
        import torch
        from curvlinops import HessianLinearOperator

        network = _to_torch(model)
        images = torch.from_numpy(np.array(x.transpose(0, 3, 1, 2)))
        self._operator = HessianLinearOperator(
            network,
            torch.nn.CrossEntropyLoss(),
            [p for p in network.parameters() if p.requires_grad],
            [(images, torch.from_numpy(y.astype("int64")))],
            check_deterministic=False,
        ).to_scipy()
        self.products = 0

    def eigenvalues(self, which, count):
        """Returns eigenvalues by SciPy's `eigsh`; see there."""
        from scipy.sparse.linalg import LinearOperator, eigsh

        self.products = 0

        def multiply(vector):
            self.products += 1
            return self._operator @ vector.astype(np.float32)

        counting = LinearOperator(
            self._operator.shape, matvec=multiply, dtype=np.float32
        )
        start = np.random.default_rng(0).standard_normal(counting.shape[0], np.float32)
        return eigsh(
            counting,
            k=count,
            which=which,
            tol=_TOLERANCE,
            v0=start,
            return_eigenvectors=False,
        )


def _to_torch(model):
    """Returns a VGG with batch normalization as a PyTorch module in training mode."""
    import torch

    def tensor(variable):
        return torch.nn.Parameter(torch.from_numpy(np.array(variable.numpy())))

    modules = []
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            # The paper's convolutions keep the size of the image.
            kernel = tensor(layer.kernel).permute(3, 2, 0, 1).contiguous()
            module = torch.nn.Conv2d(
                *kernel.shape[1::-1], 3, padding=1, bias=layer.use_bias
            )
            module.weight = torch.nn.Parameter(kernel.detach())
        elif isinstance(layer, keras.layers.Dense):
            kernel = tensor(layer.kernel).T.contiguous()
            module = torch.nn.Linear(*kernel.shape[::-1], bias=layer.use_bias)
            module.weight = torch.nn.Parameter(kernel.detach())
        elif isinstance(layer, keras.layers.BatchNormalization):
            rank = len(layer.input.shape)
            of_rank = torch.nn.BatchNorm2d if rank == 4 else torch.nn.BatchNorm1d
            module = of_rank(
                layer.gamma.shape[0], eps=layer.epsilon, track_running_stats=False
            )
            module.weight, module.bias = tensor(layer.gamma), tensor(layer.beta)
        elif isinstance(layer, keras.layers.MaxPooling2D):
            module = torch.nn.MaxPool2d(layer.pool_size, ceil_mode=True)
        elif isinstance(layer, keras.layers.ReLU):
            module = torch.nn.ReLU()
        elif isinstance(layer, keras.layers.Flatten):
            module = torch.nn.Flatten()  # of one pixel, so the order does not matter
        else:
            continue  # the input
        if getattr(layer, "use_bias", False):
            module.bias = tensor(layer.bias)
        modules.append(module)
    return torch.nn.Sequential(*modules).train()


def main():
    """Prints the costs, and the values of both."""
    *_, batches = workload.random_images(_BATCH_SIZE, _BATCH_SIZE)
    x, y = batches(0)
    model = workload.build(FLAGS.jit, metrics=())
    timed = contestants(model, x, y)
    peer = None
    if keras.backend.backend() == "torch" and importlib.util.find_spec("curvlinops"):
        peer = Peer(model, x, y)
        timed["curvlinops and eigsh, largest"] = (
            lambda: peer.eigenvalues("LA", 1),
            1,
        )
        timed["curvlinops and eigsh, both ends"] = (
            lambda: peer.eigenvalues("BE", 2),
            1,
        )
    seconds = medians(
        {
            name: functools.partial(time_call, function)
            for name, (function, _) in timed.items()
        },
        FLAGS.rounds,
    )
    gradient = seconds["one loss and gradient"] / _REPEATS
    print(
        f"{workload.describe()}, batch {_BATCH_SIZE}, on "
        f"{keras.backend.backend()}{' with jit_compile' if FLAGS.jit else ''}"
    )
    for name, (_, evaluations) in timed.items():
        time = seconds[name] / evaluations
        print(f"  {name:40} {time * 1e3:8.1f} ms  {time / gradient:7.2f}")
    r = probes.sharpness(model, x, y, iterations=100, tolerance=_TOLERANCE)
    print(
        f"  sharpness {r.sharpness:.6g} +- {r.error_bound:.2g}, lowest eigenvalue "
        f"{r.lowest_eigenvalue:.6g} +- {r.lowest_error_bound:.2g}, "
        f"{r.iterations} iterations"
    )
    if peer is None:
        return
    for name, which, count in (("largest", "LA", 1), ("both ends", "BE", 2)):
        values = " and ".join(f"{v:.6g}" for v in peer.eigenvalues(which, count)[::-1])
        print(f"  curvlinops, {name}: {values}, {peer.products} products")


if __name__ == "__main__":
    program.run(main)
