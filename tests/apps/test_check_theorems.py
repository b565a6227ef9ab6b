import json

import keras
import pytest

from keras_bnsmooth.models import SquaredError, dln
from tests.apps.run_app import error_of, run_app


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    return tmp_path_factory.mktemp("theory")


@pytest.fixture(scope="module")
def checked(output):
    arguments = ("--instances=3", "--seed=240", f"--output={output}")
    return run_app("check_theorems", *arguments)


@pytest.mark.tensorflow
def test_table_json_pictures_and_page(checked, output):
    assert checked.returncode == 0, checked.stderr
    assert "Theorem 4.1      equality, gradient at z" in checked.stdout
    found = json.loads((output / "theorems.json").read_text())
    assert found["instances"] == 3
    assert {row["statement"] for row in found["results"]} == {
        "Theorem 4.1",
        "Theorem 4.2",
        "Observation 4.3",
        "Theorem 4.4",
        "Lemma 4.5",
        "Theorem C.1",
        "Fact C.1",
        "Fact C.2",
    }
    assert all(row["instances"] == 3 for row in found["results"])
    pictures = {path.stem for path in output.glob("*.png")}
    assert pictures == {
        "theorem_4_1",
        "theorem_4_2",
        "theorem_4_4",
        "lemma_4_5",
        "theorem_c_1",
    }
    page = (output / "README.md").read_text()
    for row in found["results"]:
        assert row["form"].replace("|", "\\|") in page
    for stem in pictures:
        assert f"({stem}.png)" in page


@pytest.mark.tensorflow
def test_a_trained_network(checked, output, tmp_path):
    run = tmp_path / "small_dln"
    run.mkdir()
    model = dln(depth=3, dim=4, norm="bn", seed=1)
    model.compile("sgd", SquaredError())
    model.save(run / "model.keras")
    flags = {"samples": 40, "dim": 4, "seed": 1, "dtype": "float64"}
    (run / "config.json").write_text(json.dumps({"flags": flags}))
    arguments = (f"--model={run}", "--curvature_units=1", f"--output={output}")
    done = run_app("check_theorems", *arguments)
    assert done.returncode == 0, done.stderr
    assert "linear2_bn" in done.stdout
    found = json.loads((output / "network_small_dln.json").read_text())
    assert [row["m"] for row in found["layers"]] == [40, 40, 40]
    page = (output / "README.md").read_text()
    assert "### small_dln" in page
    assert "Every form" in page


@pytest.mark.tensorflow
def test_a_bad_number_is_named():
    done = run_app("check_theorems", "--instances=0")
    assert done.returncode == 1
    assert "--instances=0" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.tensorflow
def test_a_missing_run_is_one_line(tmp_path):
    done = run_app("check_theorems", "--model=missing", f"--output={tmp_path}")
    assert "--model=missing is no finished run" in error_of(done)


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="has them")
def test_other_backends_are_refused_in_one_line():
    assert "the theorems need the TensorFlow backend" in error_of(
        run_app("check_theorems")
    )
