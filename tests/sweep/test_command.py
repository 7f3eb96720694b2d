"""Runs that a command trains, from the job of a worker to their records."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fixtures.waiting import wait_until

from jetscale.errors import SweepError
from jetscale.executor import in_process
from jetscale.mixtures.assemble import prepare_in_process
from jetscale.mixtures.inputs import ensure_shards, stream_plans
from jetscale.mixtures.stream import INDEX, open_stream
from jetscale.planning import plan_runs
from jetscale.planning.feed import Listed
from jetscale.planning.identity import recipe_of
from jetscale.store.copies import put_folder
from jetscale.store.home import Home, StudyFolder
from jetscale.store.record import make_table
from jetscale.store.records import RecordStore, RunState
from jetscale.study import Command
from jetscale.sweep.command import check_workers
from jetscale.sweep.worker import Job, run_job
from jetscale.training import command
from jetscale.training.loop import Evicted

pytestmark = pytest.mark.slow

TRAINER = Path(__file__).parents[2] / "sweeps" / "trainers" / "summed.py"
OPTIONS = (
    "--width={width} --epochs={epochs} --batch={batch_size} --rate={learning_rate} --seed={seed} "
    "--train={train} --validation={validation} --test={test} --trunk={trunk} "
    "--save-trunk={save_trunk} --checkpoint={checkpoint} --out={out}"
)
REST = "{train} {out} {trunk} {save_trunk} {checkpoint}"


def make_job(given, tmp_path, run, **options):
    recipe = replace(given.recipe, trainer=Command(run=run, **options))
    study = replace(given, seeds=(1,), data_sizes=(20,), recipe=recipe)
    plans = stream_plans(study, ensure_shards(study, tmp_path, in_process, lambda *_: None))
    streams = prepare_in_process(plans, tmp_path / "streams")
    folder = StudyFolder(tmp_path / "study")
    RecordStore(folder).prepare()
    return Job(
        study=study, folder=folder, streams=streams, recipe=recipe_of(study), runs=plan_runs(study)
    )


@pytest.fixture
def job(given, tmp_path):
    return make_job(given, tmp_path, f"{sys.executable} {TRAINER} {OPTIONS}")


@pytest.fixture
def scripted(given, tmp_path):
    """A function that makes a job of one scratch run whose command is a Python text."""

    def make(text, **options):
        script = tmp_path / "script.py"
        before = "import json, os, signal, sys, time\n"
        before += "train, out, trunk, save, kept = sys.argv[1:]\n"
        script.write_text(before + textwrap.dedent(text))
        job = make_job(given, tmp_path, f"{sys.executable} {script} {REST}", **options)
        return replace(job, runs=tuple(run for run in job.runs if run.mixture.is_scratch))

    return make


def why(job):
    (row,) = RecordStore(job.folder).status(job.runs)
    return row.state, row.why


def attempt(job):
    return job.folder.attempt(job.runs[0].key)


def test_runs_are_trained_and_every_run_gets_a_complete_record(job):
    assert run_job(job) == {"trained": 3, "failed": 0}
    store = RecordStore(job.folder, runs=job.runs)
    records = {run.key: store.read(run.key) for run in job.runs}
    trunk, scratch, tuned = (
        next(r for r in records.values() if wanted(r))
        for wanted in (
            lambda r: r.kind == "pretrain",
            lambda r: r.mixture == "scratch",
            lambda r: r.trunk,
        )
    )
    # 2 numbers for each of the 13 features, 8 hidden units, 10 or 27 classes
    assert scratch.params == tuned.params == 27 * 8 + 9 * 10 == scratch.params_non_embedding
    assert trunk.params == 27 * 8 + 9 * 27
    assert scratch.flops == 6 * scratch.params * scratch.examples_seen == scratch.flops_padded
    assert scratch.flops_6nd == 6 * scratch.params * scratch.constituents
    assert (tuned.pretraining_flops, tuned.pretraining_examples) == (trunk.flops, trunk.examples)
    assert (trunk.loss, trunk.validation_loss, trunk.scores) == (None, None, {})
    assert scratch.loss != tuned.loss
    assert 0 <= scratch.scores["accuracy"] <= 1
    assert scratch.training_loss == scratch.curve["training_loss"][-1][1]
    assert (scratch.tokens, scratch.ranks, scratch.stack) == (None, 1, 1)
    assert scratch.versions == {"numpy": np.__version__}
    assert scratch.recipe["trainer"]["version"] == 1
    assert "version" not in scratch.recipe["training"]
    left = job.folder.trunk(trunk.key)
    assert trunk.trunk_sha256 == hashlib.sha256(left.read_bytes()).hexdigest()
    assert not list((job.folder.path / "attempts").iterdir())
    assert run_job(job) == {"trained": 0, "failed": 0}
    frame = make_table(records.values())
    assert frame["params"].tolist() == [306, 306]
    assert frame["loss"].dtype == frame["training_loss"].dtype == float


def test_runs_share_files_that_hold_the_jets_of_the_stream(job):
    run_job(job)
    files = sorted(job.folder.home.files.iterdir())
    names = [path.name.rsplit("-", 1)[0] for path in files]
    assert names == ["pretrain-qcd-50", "test-10", "train-0-20", "validation-10"]
    rows = open_stream(job.streams["train-0"]).read(20)
    sys.path.insert(0, str(TRAINER.parent))
    try:
        from summed import read
    finally:
        sys.path.pop(0)
    x, labels, classes = read(str(files[2]))
    assert np.array_equal(labels, rows.labels)
    assert classes == 10
    expected = [
        rows.values[a:b, 0].sum() for a, b in zip(rows.offsets, rows.offsets[1:], strict=False)
    ]
    assert np.allclose(x[:, 0] * 50, expected, atol=1e-4)


def test_a_trunk_that_was_lost_is_made_again(job):
    run_job(job)
    trunk = next(run for run in job.runs if run.kind == "pretrain")
    user = next(run for run in job.runs if run.trunk)
    before = RecordStore(job.folder).read(user.key).loss
    job.folder.trunk(trunk.key).write_bytes(b"other")
    RecordStore(job.folder).storage.delete(f"records/{user.key}.json")
    assert run_job(job) == {"trained": 2, "failed": 0}
    assert RecordStore(job.folder).read(user.key).loss == before


def test_a_pretraining_without_a_trunk_fails(given, tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import sys\nopen(sys.argv[1], 'w').write('{}')\n")
    run = f"{sys.executable} {script} {{out}} {{train}} {{save_trunk}} {{trunk}}"
    job = make_job(given, tmp_path, run)
    job = replace(job, runs=tuple(run for run in job.runs if run.kind == "pretrain"))
    assert run_job(job) == {"trained": 0, "failed": 1}
    assert "left no" in why(job)[1]
    assert "{save_trunk}" in why(job)[1]


def test_a_command_that_fails_leaves_its_last_line_and_fails_alone(scripted):
    job = scripted("print('warming up')\nsys.exit('no such optimiser: adamx')")
    assert run_job(job) == {"trained": 0, "failed": 1}
    state, line = why(job)
    log = job.folder.log(job.runs[0].key)
    assert state is RunState.FAILED
    assert f"its command ended with exit code 1, log {log}: no such optimiser: adamx" in line
    assert job.runs[0].key in line
    assert log.read_text() == "warming up\nno such optimiser: adamx\n"


def test_a_command_that_is_killed_says_by_what(scripted):
    job = scripted("os.kill(os.getpid(), signal.SIGSEGV)")
    run_job(job)
    assert "was ended by SIGSEGV" in why(job)[1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not a JSON object"),
        ("[1]", "is not a JSON object"),
        ("{}", "has no 'loss', the mean loss of the test jets"),
        ('{"loss": "1.5"}', 'loss is "1.5", needs a finite number'),
        ('{"loss": 1, "losses": 2}', "unknown name 'losses'; did you mean 'loss'?"),
        ('{"loss": 1, "params": 0}', "params is 0, needs a whole number above zero"),
        ('{"loss": 1, "params": true}', "params is true, needs a whole number"),
        ('{"loss": 1, "flops": -1.0}', "flops is -1.0, needs a finite number above zero"),
        ('{"loss": 1, "scores": {"auc": NaN}}', "needs finite numbers by name"),
        ('{"loss": 1, "scores": {"loss": 2}}', "'loss' is no score"),
        ('{"loss": 1, "curve": {"training_loss": [[1]]}}', "needs points [step, loss]"),
        ('{"loss": 1, "curve": {"loss": [[1, 2]]}}', "needs points [step, loss]"),
    ],
)
def test_a_wrong_result_is_one_line_that_names_run_and_file(scripted, content, message):
    job = scripted(f"open(out, 'w').write({content!r})")
    assert run_job(job) == {"trained": 0, "failed": 1}
    line = why(job)[1]
    assert message in line
    assert str(attempt(job).out) in line
    assert job.runs[0].key in line


def test_a_result_that_is_missing_is_named(scripted):
    job = scripted("pass")
    run_job(job)
    assert f"its command left no {attempt(job).out}; write the result there" in why(job)[1]


def test_a_folder_in_the_place_of_a_result_is_a_failure_each_time(scripted):
    job = scripted("os.makedirs(f'{out}/part')")
    for _ in range(2):
        assert run_job(job) == {"trained": 0, "failed": 1}
        assert f"its command left no {attempt(job).out}" in why(job)[1]


def test_a_loss_that_is_not_finite_diverged_as_for_our_own_engine(scripted):
    job = scripted("json.dump({'loss': float('nan')}, open(out, 'w'))")
    assert run_job(job) == {"trained": 0, "failed": 1}
    (row,) = RecordStore(job.folder).status(job.runs)
    assert row.failure.kind == "Diverged"
    assert "loss is nan" in row.why


def test_what_a_result_need_not_say_is_planned_or_unknown(scripted):
    job = scripted("json.dump({'loss': 2}, open(out, 'w'))")
    assert run_job(job) == {"trained": 1, "failed": 0}
    (run,) = job.runs
    record = RecordStore(job.folder, runs=job.runs).read(run.key)
    assert (record.params, record.steps, record.loss) == (run.params, run.steps, 2)
    assert record.params_non_embedding == run.params_non_embedding
    assert (record.training_loss, record.validation_loss, record.curve) == (None, None, {})
    assert 0 < record.flops <= record.flops_padded


def test_a_command_that_cannot_be_started_stops_the_job_with_one_line(given, tmp_path):
    job = make_job(given, tmp_path, f"no-such-program {REST}")
    with pytest.raises(SweepError, match=r"'no-such-program' cannot be started on .*no such prog"):
        run_job(job)
    assert not RecordStore(job.folder).keys()
    broken = tmp_path / "broken"
    broken.write_text("neither script nor program")
    broken.chmod(0o755)
    with pytest.raises(SweepError, match=r"cannot be started on .*Exec format error"):
        run_job(make_job(given, tmp_path, f"{broken} {REST}"))


class Stopping(Listed):
    """A feed that says stop once a file is there."""

    path: Path

    def stop(self):
        return self.path.exists()


def stopped(job, path):
    feed = Stopping([job.runs])
    feed.path = path
    with pytest.raises(Evicted):
        run_job(job, feed)


WAITS = """
there = os.path.join(kept, "state")
if os.path.exists(there):
    json.dump({"loss": 1.0, "steps": int(open(there).read())}, open(out, "w"))
    sys.exit()
def told(*_):
    open(there, "w").write("7")
    json.dump({"loss": 9.0}, open(out, "w"))
    sys.exit(3)
signal.signal(signal.SIGTERM, told)
open(os.path.join(kept, "waits"), "w").close()
time.sleep(600)
"""


def test_a_command_told_to_stop_is_evicted_and_goes_on_from_its_checkpoint(scripted):
    job = scripted(WAITS)
    stopped(job, attempt(job).checkpoint / "waits")
    assert why(job) == (RunState.EVICTED, "evicted at its command")
    spent = json.loads(attempt(job).spent.read_text())["seconds"]
    assert run_job(job) == {"trained": 1, "failed": 0}
    record = RecordStore(job.folder, runs=job.runs).read(job.runs[0].key)
    assert (record.loss, record.steps) == (1.0, 7)
    assert record.timings["total"] > spent > 0
    assert not attempt(job).path.exists()


def test_a_command_that_will_not_stop_is_killed_with_all_that_it_started(scripted, monkeypatch):
    monkeypatch.setattr(command, "GRACE", 0.2)
    job = scripted(
        """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        import subprocess
        child = subprocess.Popen(["sleep", "600"])
        open(os.path.join(kept, "pids"), "w").write(f"{os.getpid()} {child.pid}")
        time.sleep(600)
        """
    )
    file = attempt(job).checkpoint / "pids"
    stopped(job, file)
    assert not any(map(alive, file.read_text().split()))


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("whom", ["worker", "guard", "both"])
def test_a_command_dies_with_whoever_started_it(tmp_path, whom):
    file = tmp_path / "pids"
    slow = tmp_path / "slow.py"
    slow.write_text(
        "import os, pathlib, time\n"
        f"pathlib.Path({str(file)!r}).write_text(f'{{os.getppid()}} {{os.getpid()}}')\n"
        "time.sleep(600)\n"
    )
    code = (
        "import sys; from pathlib import Path; from jetscale.training.command import run_command; "
        f"run_command([sys.executable, {str(slow)!r}], Path({str(tmp_path)!r}), "
        f"Path({str(tmp_path / 'log')!r}))"
    )
    worker = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    wait_until(lambda: file.is_file() and len(file.read_text().split()) == 2, "no command")
    guard, child = map(int, file.read_text().split())
    for pid in {"worker": [worker.pid], "guard": [guard], "both": [guard, worker.pid]}[whom]:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not alive(child), "the command lives")
    assert worker.wait(60) == (1 if whom == "guard" else -signal.SIGKILL)


def test_what_interrupts_the_worker_ends_the_command(scripted):
    job = scripted(WAITS)
    file = attempt(job).checkpoint / "waits"

    def interrupt():
        while not file.exists():
            time.sleep(0.01)
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run_job(job)
    thread.join()
    assert (attempt(job).checkpoint / "state").read_text() == "7"


def test_a_run_is_not_stalled_while_its_command_lives(scripted):
    job = scripted("time.sleep(1.2)\njson.dump({'loss': 1}, open(out, 'w'))")
    beats, store = [], RecordStore(job.folder)
    ended = threading.Event()

    def look():
        while not ended.wait(0.2):
            beats.append(store.status(job.runs)[0])

    thread = threading.Thread(target=look)
    thread.start()
    run_job(job)
    ended.set()
    thread.join()
    running = [row for row in beats if row.state is RunState.RUNNING]
    assert running
    assert running[0].why == "its command"


@pytest.mark.long
def test_root_files_are_given_to_those_who_want_them(scripted):
    pytest.importorskip("uproot")
    job = scripted(
        """
        import uproot
        with uproot.open(train) as file:
            names, jets = json.loads(str(file["classes"])), file["tree"].num_entries
        json.dump({"loss": 1, "scores": {"jets_read": jets, "classes": len(names)}}, open(out, "w"))
        """,
        files="root",
    )
    assert run_job(job) == {"trained": 1, "failed": 0}, why(job)
    scores = RecordStore(job.folder, runs=job.runs).read(job.runs[0].key).scores
    assert (scores["jets_read"], scores["classes"]) == (20, 10)


def test_a_command_has_one_worker(job):
    check_workers(job.study, None)
    check_workers(job.study, 1)
    with pytest.raises(SweepError, match="--workers-per-run 2: a command trains each run"):
        check_workers(job.study, 2)


def test_results_at_an_address_are_trained_from_a_working_copy(given, tmp_path, monkeypatch):
    monkeypatch.setenv("JETSCALE_CACHE", str(tmp_path / "cache"))
    home = Home.at(f"memory://{tmp_path.name}/commands")
    run = f"{sys.executable} {TRAINER} {OPTIONS}"
    recipe = replace(given.recipe, trainer=Command(run=run))
    study = replace(given, seeds=(1,), data_sizes=(20,), recipe=recipe)
    plans = stream_plans(study, ensure_shards(study, home.path, in_process, lambda *_: None))
    streams = prepare_in_process(plans, home.streams)
    for folder in streams.values():
        put_folder(home, folder, INDEX)
    runs = plan_runs(study)
    job = Job(
        study=study,
        folder=home.study(study),
        streams=streams,
        recipe=recipe_of(study),
        runs=runs[:2],
        home=home,
    )
    assert job.folder.home == home
    assert run_job(job) == {"trained": 2, "failed": 0}
    monkeypatch.setenv("JETSCALE_CACHE", str(tmp_path / "other"))  # another machine
    home = Home.at(home.address)
    other = replace(job, folder=home.study(study), home=home, runs=runs)
    assert run_job(other) == {"trained": 1, "failed": 0}
    assert {path.name.rsplit("-", 1)[0] for path in home.files.iterdir()} == {
        "test-10",
        "train-0-20",
        "validation-10",
    }
    (trunk,) = (run.key for run in runs if run.kind == "pretrain")
    assert home.study(study).trunk(trunk).is_file()
