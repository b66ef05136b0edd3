"""Shares of the work, as they are asked for and as launchers give them."""

import pytest

from paircomp.errors import ConfigError
from paircomp.runtime.shards import ALL, Shard, launched_shard, local_rank, parse_shard, scheduled_shard

ARRAY = {"SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "7",
         "SLURM_ARRAY_TASK_STEP": "2", "SLURM_ARRAY_TASK_COUNT": "4"}  # fmt: skip


def test_a_shard_is_read_from_its_written_form() -> None:
    assert parse_shard("2/7") == Shard(2, 7)
    assert (Shard(2, 7).label, str(Shard(2, 7)), Shard(2, 7).whole, ALL.whole) == ("2of7", "2/7", False, True)


@pytest.mark.parametrize("text", ["", "3", "1/0", "3/3", "-1/3", "1/3/5", "a/b", "1.0/2", "²/3"])
def test_what_is_no_shard_is_refused_with_the_form_that_is_one(text: str) -> None:
    with pytest.raises(ConfigError, match="expected i/n"):
        parse_shard(text)


def test_launchers_of_torch_say_rank_and_world_size() -> None:
    found = launched_shard({"RANK": "1", "WORLD_SIZE": "4", "SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "2"})
    assert found is not None
    assert (found.shard, found.said) == (Shard(1, 4), "RANK=1, WORLD_SIZE=4")


def test_srun_says_it_too_and_a_batch_script_does_not() -> None:
    found = launched_shard({"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "8"})
    assert found is not None
    assert found.shard == Shard(3, 8)
    assert launched_shard({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}) is None
    assert launched_shard({"RANK": "1"}) is None


def test_a_rank_that_is_none_is_named() -> None:
    with pytest.raises(ConfigError, match="RANK: expected a whole number, got 'one'"):
        launched_shard({"RANK": "one", "WORLD_SIZE": "2"})
    with pytest.raises(ConfigError, match="got 2/2"):
        launched_shard({"RANK": "2", "WORLD_SIZE": "2"})


def test_a_job_array_counts_from_any_number_in_any_step() -> None:
    found = scheduled_shard(ARRAY)
    assert found is not None
    assert found.shard == Shard(2, 4)
    assert scheduled_shard({"SLURM_JOB_ID": "1"}) is None


def test_a_job_array_with_gaps_is_refused() -> None:
    with pytest.raises(ConfigError, match="the job array has gaps"):
        scheduled_shard({**ARRAY, "SLURM_ARRAY_TASK_COUNT": "3"})
    with pytest.raises(ConfigError, match="the job array has gaps"):
        scheduled_shard({**ARRAY, "SLURM_ARRAY_TASK_ID": "4"})


def test_a_launcher_within_a_task_divides_the_share_of_the_task() -> None:
    shares = set()
    for task in (1, 3, 5, 7):
        for rank in range(3):
            surroundings = {**ARRAY, "SLURM_ARRAY_TASK_ID": str(task), "RANK": str(rank), "WORLD_SIZE": "3"}
            found = scheduled_shard(surroundings)
            assert found is not None
            shares.add(found.shard)
    assert shares == {Shard(index, 12) for index in range(12)}


def test_the_place_on_this_machine_counts_only_under_a_launcher() -> None:
    assert local_rank({"RANK": "9", "WORLD_SIZE": "16", "LOCAL_RANK": "1"}) == 1
    assert local_rank({"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "8", "SLURM_LOCALID": "3"}) == 3
    assert local_rank({"LOCAL_RANK": "1"}) is None
    assert local_rank({}) is None
