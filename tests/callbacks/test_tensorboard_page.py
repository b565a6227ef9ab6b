"""The charts as a user sees them: a real TensorBoard in a real browser."""

import keras
import numpy as np
import pytest
from tensorboard import program

from keras_bnsmooth.callbacks import (
    ActivationProbe,
    ICSProbe,
    LandscapeProbe,
    SharpnessProbe,
)
from tests.callbacks import browser

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        bool(browser.missing()), reason=f"not installed: {', '.join(browser.missing())}"
    ),
]

# Every element of the page, those within shadow trees included.
ELEMENTS = """
    const found = [];
    const walk = root => {
        for (const element of root.querySelectorAll('*')) {
            found.push(element);
            if (element.shadowRoot) walk(element.shadowRoot);
        }
    };
    walk(document);
"""


def run(logdir, name, seed):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 4)), rng.normal(size=(64, 2))
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(
                8,
                activation="tanh",
                kernel_initializer=keras.initializers.GlorotUniform(seed),
                name="hidden",
            ),
            keras.layers.Dense(2, name="outputs"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.2), "mse")
    log_dir = logdir / name
    callbacks = [
        probe((x, y), every=2, log_dir=log_dir)
        for probe in (LandscapeProbe, ICSProbe, ActivationProbe, SharpnessProbe)
    ]
    model.fit(x, y, batch_size=8, epochs=5, verbose=0, callbacks=callbacks)


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    logdir = tmp_path_factory.mktemp("runs")
    run(logdir, "first", seed=1)
    run(logdir, "second", seed=2)
    tensorboard = program.TensorBoard()
    tensorboard.configure(
        argv=[None, f"--logdir={logdir}", "--port=0", "--load_fast=false"]
    )
    return tensorboard.launch()


def test_bands_of_two_runs_are_on_the_page(url, tmp_path):
    with browser.browser() as page:
        page.open(f"{url}#custom_scalars")
        # A margin chart fills one area for each run.
        areas = page.until(
            ELEMENTS
            + """
            const areas = found.filter(e => e.tagName == 'path' &&
                getComputedStyle(e).fill != 'none' &&
                e.getBoundingClientRect().width > 100);
            const cards = found.filter(e =>
                e.tagName == 'TF-CUSTOM-SCALAR-MARGIN-CHART-CARD');
            return cards.length == 2 && areas.length >= 4 && areas.length;
            """
        )
        titles = page.run(ELEMENTS + "return found.map(e => e.textContent).join(' ')")
        page.screenshot(tmp_path / "custom_scalars.png")
    assert areas == 4
    assert "Loss along the gradient" in titles
    assert "Change of the gradient" in titles


def test_curves_are_in_scalars(url, tmp_path):
    with browser.browser() as page:
        page.open(f"{url}#timeseries")
        page.until(
            """
            const tags = ['activations', 'beta', 'cosine', 'gradient_norm', 'l2'];
            return tags.every(tag => document.body.innerText.includes(tag));
            """
        )
        page.screenshot(tmp_path / "time_series.png")
