"""Drivers killed at every stage of a sweep: the next call does what is missing, once."""

import signal

import pytest
from fixtures.waiting import PATIENCE, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.long]


def wait_for_line(faulty, driver, text):
    """Return once the log has a text."""

    def said() -> bool:
        told = faulty.log.read_text()
        assert text in told or driver.poll() is None, told
        return text in told

    wait_until(said, f"no {text!r} in the log")


@pytest.mark.long
def test_a_driver_killed_at_any_stage_loses_nothing(faulty, undisturbed, gate):
    """While preparing, pretraining, recording and fine-tuning, one call after another."""
    with faulty.driving() as driver:
        wait_for_line(faulty, driver, "preparing streams")
        driver.send_signal(signal.SIGKILL)
    for stage, count in (("step", 0), ("records", 1), ("step", 2), ("evaluation", 4)):
        gate.close(stage, faulty.records, count)
        with faulty.driving("--checkpoint-seconds", "0") as driver:
            gate.wait_until_held(stage, lambda: driver.poll() is None)
            driver.send_signal(signal.SIGKILL)
            driver.wait()
            gate.wait_until_gone()
        gate.open()
        before = faulty.numbers()
        assert len(before) >= count
        assert before.items() <= undisturbed.items()
    with faulty.driving() as driver:
        assert driver.wait(timeout=PATIENCE) == 0
    assert faulty.numbers() == undisturbed
    trained = len(undisturbed) - len(before)
    assert f"{len(undisturbed)} of {len(undisturbed)} runs done, {trained} trained now" in (
        faulty.log.read_text()
    )


@pytest.mark.long
def test_a_second_driver_at_the_same_time_is_refused_and_the_first_goes_on(
    faulty, undisturbed, gate
):
    gate.close("step", faulty.records, 1)
    with faulty.driving() as driver:
        gate.wait_until_held("step", lambda: driver.poll() is None)
        first, faulty.log = faulty.log, faulty.log.with_name("second")
        with faulty.driving() as second:
            assert second.wait(timeout=PATIENCE) == 2
        line = faulty.log.read_text().strip().splitlines()[-1]
        assert line.startswith("jetscale: study folder")
        assert "in use by another `jetscale run`" in line
        gate.open()
        assert driver.wait(timeout=PATIENCE) == 0
    assert "Traceback" not in first.read_text()
    assert faulty.numbers() == undisturbed
