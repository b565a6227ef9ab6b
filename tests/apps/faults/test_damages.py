import pytest

from tests.apps.faults.damages import try_damage


@pytest.mark.parametrize("first", range(0, 100, 20))
def test_a_damaged_run_is_read_or_named_in_one_line(first, tmp_path):
    for seed in range(first, first + 20):
        found = try_damage(seed, tmp_path / str(seed))
        failed = {
            key: value
            for key, value in found.items()
            if value not in ("works", "one line")
        }
        assert not failed, f"seed {seed}: {failed}"
