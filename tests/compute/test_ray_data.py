import logging

import pytest
import ray
from ray.data.context import DataContext

from jetscale.compute import ray_data
from jetscale.errors import DataError, StorageError, SweepError
from jetscale.jets.ingest.formats.base import BadFile

pytestmark = pytest.mark.filterwarnings("default")  # Ray Data warns of its own settings


def failing(error):
    with ray_data.job("jets cannot be counted"):
        raise error


def task_error(cause):
    return ray.exceptions.RayTaskError("count", "Traceback ...\nmore", cause)


@pytest.mark.parametrize("leaf", [DataError, StorageError, BadFile])
def test_our_errors_arrive_as_they_are(leaf):
    with pytest.raises(leaf, match=r"^a file is damaged$") as stop:
        failing(task_error(leaf("a file is damaged\nadvice of Ray")))
    assert type(stop.value) is leaf


def test_the_cause_of_an_unexpected_error_is_told_not_the_first_line_of_ray():
    with pytest.raises(SweepError, match=r"^jets cannot be counted: list has no name 'x'$"):
        failing(task_error(AttributeError("list has no name 'x'\nadvice")))
    with pytest.raises(SweepError, match=r"^jets cannot be counted: AssertionError$"):
        failing(task_error(AssertionError()))


def test_failures_of_ray_itself_are_one_line():
    with pytest.raises(SweepError, match=r"^jets cannot be counted: node lost$"):
        failing(ray.exceptions.RayError("node lost\nmore"))
    with pytest.raises(ValueError, match="ours"):
        failing(ValueError("ours"))


def test_settings_hold_for_the_length_of_the_job():
    context, logger = DataContext.get_current(), logging.getLogger("ray.data")
    console, file = logging.StreamHandler(), logging.NullHandler()
    console.setLevel(logging.WARNING)
    names = ("enable_progress_bars", "raise_original_map_exception")
    before = [getattr(context, name) for name in names]
    logger.addHandler(console)
    logger.addHandler(file)
    try:
        with ray_data.job("x"):
            assert [getattr(context, name) for name in names] == [False, True]
            assert console.level > logging.CRITICAL
            assert file.level == logging.NOTSET
        assert console.level == logging.WARNING
        assert [getattr(context, name) for name in names] == before
    finally:
        logger.removeHandler(console)
        logger.removeHandler(file)
