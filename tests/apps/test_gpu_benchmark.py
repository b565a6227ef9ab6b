import os

import keras

from apps.benchmarks.timing import gpu_utilization
from tests.apps.run_app import error_of, run_app

SMALL = ("--width=2", "--depth=11", "--batch_size=4", "--steps=2", "--landscapes=1")


def test_it_prints_the_rates_of_training_and_probing():
    # What is quick to start on each backend.
    choice = "on" if keras.backend.backend() == "jax" else "off"
    done = run_app("benchmarks.gpu", *SMALL, f"--compile={choice}")
    assert done.returncode == 0, done.stderr
    assert f"training, compile {choice}" in done.stdout
    assert f"landscape, compile {choice}" in done.stdout


def test_a_wrong_choice_is_named():
    done = run_app("benchmarks.gpu", "--compile=maybe")
    assert "received maybe" in error_of(done)


def test_utilization_is_the_mean_of_what_nvidia_smi_prints(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text(
        "#!/bin/sh\necho 40\necho [N/A]\necho 80\ntouch $0.done\nsleep 100\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with gpu_utilization() as utilization:
        while not (tmp_path / "nvidia-smi.done").exists():
            pass
    assert str(utilization) == "utilization 60 %"


def test_without_nvidia_smi_it_is_unknown(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with gpu_utilization() as utilization:
        pass
    assert str(utilization) == "utilization unknown"
