"""What a type checker tells users of the library."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)


@pytest.fixture
def mypy(tmp_path):
    """Checks Python code as a user's file, with this project's settings."""

    def check(code):
        file = tmp_path / "example.py"
        file.write_text(code)
        done = subprocess.run(
            [sys.executable, "-m", "mypy", "--config-file=pyproject.toml", file],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode in (0, 1), done.stderr
        return done.stdout

    return check


def test_accepts_the_examples_of_the_readme(mypy):
    assert EXAMPLES
    for example in EXAMPLES:
        assert "Success" in mypy(example), example


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("LandscapeProbe((0, 0), every=9, stepsizes=[1.0])", "stepsizes"),
        ("ICSProbe((0, 0), every=9, workdir='runs')", "workdir"),
        ("ActivationProbe((0, 0), every=9, layer=['bn'])", "layer"),
    ],
)
def test_reports_a_misspelt_argument_of_a_probe(mypy, call, error):
    found = mypy(f"import keras_bnsmooth as kb\n\nkb.{call}\n")
    assert f'Unexpected keyword argument "{error}"' in found
    assert "Found 1 error" in found
