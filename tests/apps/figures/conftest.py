import pytest

from tests.apps.figures.run_directories import complete_set


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """Runs that every figure can be drawn from."""
    return complete_set(tmp_path_factory.mktemp("runs"))
