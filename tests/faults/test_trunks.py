"""Trunks, checkpoints and records that are lost or damaged: what needs them is trained again."""

import re

import pytest
from fixtures.waiting import PATIENCE

pytestmark = [pytest.mark.integration, pytest.mark.long]


def work(faulty):
    """Train what is missing in a process without Ray; returns how many runs that were."""
    with faulty.driving(command="work") as worker:
        assert worker.wait(timeout=PATIENCE) == 0, faulty.log.read_text()
    return int(re.search(r"(\d+) trained here", faulty.log.read_text())[1])


def lose(faulty, *runs):
    for run in runs:
        (faulty.records / f"{run.key}.json").unlink()


def flip(path, place=-100):
    """Change one byte of a file."""
    content = bytearray(path.read_bytes())
    content[place] ^= 0x55
    path.write_bytes(content)


@pytest.mark.long
def test_lost_and_damaged_trunks_and_records_are_made_again_once(faulty, undisturbed):
    trunks = [run for run in faulty.planned if run.kind == "pretrain"]
    followers = [run for run in faulty.planned if run.trunk == trunks[0].key]
    assert work(faulty) == len(faulty.planned)
    assert faulty.numbers() == undisturbed
    trunk = faulty.store.trunk(trunks[0].key)

    trunk.unlink()
    assert work(faulty) == 0  # nobody needs it

    lose(faulty, followers[0])
    assert work(faulty) == 2  # the trunk, once, and what starts from it
    assert faulty.numbers() == undisturbed

    lose(faulty, followers[0])
    flip(trunk)
    assert work(faulty) == 2
    assert faulty.numbers() == undisturbed

    lose(faulty, *followers)
    torn = faulty.records / f"{trunks[0].key}.json"
    torn.write_bytes(torn.read_bytes()[:200])
    assert work(faulty) == 1 + len(followers)
    assert faulty.numbers() == undisturbed

    record = faulty.records / f"{followers[0].key}.json"
    record.write_bytes(b"\0" * 500)
    assert work(faulty) == 1
    assert faulty.numbers() == undisturbed
    assert set(faulty.states()) == {"done"}


@pytest.mark.long
def test_a_sweep_makes_a_damaged_trunk_again_and_goes_back_a_checkpoint(faulty, undisturbed, gate):
    """In a call of `jetscale run`; the last checkpoint of a killed run is damaged."""
    assert work(faulty) == len(faulty.planned)
    trunk = next(run for run in faulty.planned if run.kind == "pretrain")
    lose(faulty, *[run for run in faulty.planned if run.trunk == trunk.key])
    flip(faulty.store.trunk(trunk.key))
    gate.close("evaluation", faulty.records, 0)
    with faulty.driving("--checkpoint-seconds", "0") as driver:
        gate.wait_until_held("evaluation", lambda: driver.poll() is None)
        driver.kill()
        driver.wait()
        gate.wait_until_gone()
    gate.open()
    saved = sorted(
        (faulty.store.folder.path / "checkpoints").glob("*.pt"), key=lambda p: p.stat().st_mtime
    )
    assert len(saved) >= 2
    flip(saved[-1])
    with faulty.driving() as driver:
        assert driver.wait(timeout=PATIENCE) == 0
    assert faulty.numbers() == undisturbed
    assert not list((faulty.store.folder.path / "checkpoints").glob("*.pt"))
