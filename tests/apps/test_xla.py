"""`--xla=on` on the CPU: every norm, both programs."""

import numpy as np
import pytest

from keras_bnsmooth.models import NORMS
from keras_bnsmooth.records import json_lines
from tests.apps.run_app import run_app

NETWORKS = {
    "train_vgg": ("--dataset=digits", "--depth=11", "--width=4"),
    "train_dln": (),
}
LEARNING_RATES = {"train_vgg": 1e-3, "train_dln": 1e-6}


@pytest.mark.slow
@pytest.mark.parametrize("app", NETWORKS)
@pytest.mark.parametrize("norm", NORMS)
def test_the_first_losses_are_those_without_xla(tmp_path, app, norm):
    losses = {}
    for xla in ("on", "off"):
        workdir = tmp_path / xla
        done = run_app(
            app,
            *NETWORKS[app],
            f"--norm={norm}",
            f"--xla={xla}",
            # Small steps: at larger ones rounding grows tenfold every few steps.
            f"--learning_rate={LEARNING_RATES[app]}",
            "--steps=20",
            "--metrics_every=1",
            f"--workdir={workdir}",
        )
        assert done.returncode == 0, done.stderr
        rows = json_lines.read(workdir / "metrics.jsonl")
        losses[xla] = [row["loss"] for row in rows]
    assert len(losses["on"]) == 20
    assert np.isfinite(losses["on"]).all()
    if norm not in ("noise", "noisy_bn"):
        np.testing.assert_allclose(losses["on"], losses["off"], rtol=1e-4)
