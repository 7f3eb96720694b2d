"""Whose weights are kept, and where: models beside the records of their runs.

Those that a study keeps because they are the best of a mixture lie in a folder of their own: a
better run takes their place. Of two runs the better one has the lower validation loss, and at equal
losses the lower key, so that all workers agree. No lock is needed: a worker writes its weights if
all others there are worse, and whoever has written a record then removes all weights but those of
the best one.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from jetscale.planning.run import Run
from jetscale.store.home import StudyFolder
from jetscale.store.local import sha256_of, storage_error
from jetscale.store.record import Record
from jetscale.store.records import RecordStore
from jetscale.study import Study
from jetscale.words import counted


def rank(record: Record) -> tuple[float, str]:
    """What orders fine-tuning records, the best first."""
    loss = record.validation_loss
    return (float("inf") if loss is None else loss), record.key


def is_wanted(study: Study, store: RecordStore, run: Run, loss: float) -> bool:
    """Whether the weights of a run that reached a validation loss are to be kept."""
    if isinstance(study.keep, tuple):
        return any(run.is_called(name) for name in study.keep)
    if study.keep != "best":
        return study.keep == "all"
    rivals = _replaceable(store, run).values()
    return all((loss, run.key) < rank(record) for record in rivals if record.model_sha256)


def model_path(study: Study, folder: StudyFolder, run: Run) -> Path:
    """Where the weights of a run go that is trained now."""
    return folder.model(run.key, best=study.keep == "best")


def clear_worse(study: Study, store: RecordStore, record: Record) -> None:
    """Remove all weights of a mixture but the best, here and at the address.

    ``record`` is that of a run that has just finished: its own may be worse than others that came
    while it was at the end.
    """
    if study.keep != "best" or record.model_sha256 is None:
        return
    rivals = _replaceable(store, store.planned[record.key]) | {record.key: record}
    best = min((r for r in rivals.values() if r.model_sha256), key=rank)
    for key in rivals.keys() - {best.key}:
        # one whose record names no weights has an old file there, of before it was removed
        path = store.folder.model(key, best=True)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(path, error) from error
        store.storage.delete(store.folder.name_of(path))


def _replaceable(store: RecordStore, run: Run) -> dict[str, Record]:
    """Records of the other planned runs of its mixture whose weights are there as the best."""
    there = (Path(name).stem for name in store.storage.names("best"))
    same = [
        key
        for key in there
        if key != run.key
        and (other := store.planned.get(key))
        and other.mixture.name == run.mixture.name
    ]
    found = {key: store.read(key) for key in same}
    return {key: record for key, record in found.items() if record is not None}


def find_model(store: RecordStore, record: Record) -> Path | None:
    """The file of weights that a run left, fetched from the address where it is not here.

    None where there is none, or none with the SHA-256 of its record.
    """
    if record.model_sha256 is None:
        return None
    for best in (False, True):
        path = store.folder.model(record.key, best=best)
        if sha256_of(path) == record.model_sha256:
            return path
        if store.folder.fetch(path) and sha256_of(path) == record.model_sha256:
            return path
    return None


def kept_keys(store: RecordStore) -> set[str]:
    """Keys of the runs with a file of weights, without reading one."""
    names = (name for folder in ("models", "best") for name in store.storage.names(folder))
    return {Path(name).stem for name in names}


def best_of(records: Sequence[Record]) -> dict[str, Record]:
    """The best of the fine-tuning records of each mixture."""
    ordered = sorted((r for r in records if r.kind == "finetune"), key=rank, reverse=True)
    return {record.mixture: record for record in ordered}


def unkept(study: Study, store: RecordStore, records: Mapping[str, Record]) -> list[Record]:
    """Finished runs whose weights the study asks to keep, and which left none.

    They were trained when it asked for others, and are not trained again for that. What a command
    leaves is its own business.
    """
    if study.recipe.trainer is not None:
        return []
    planned = (records[key] for key in store.planned if key in records)  # in the order of the plan
    tuned = [record for record in planned if record.kind == "finetune"]
    wanted = {"none": [], "all": tuned, "best": list(best_of(tuned).values())}
    if isinstance(study.keep, tuple):
        asked = [key for key, r in store.planned.items() if any(map(r.is_called, study.keep))]
        chosen = [record for record in tuned if record.key in asked]
    else:
        chosen = wanted[study.keep]
    there = kept_keys(store) if chosen else set()
    return [record for record in chosen if not record.model_sha256 or record.key not in there]


def about_unkept(study: Study, store: RecordStore, records: Mapping[str, Record]) -> str:
    """What to say of `unkept` after a sweep; empty where there is nothing."""
    if not (without := unkept(study, store, records)):
        return ""
    name = store.planned[without[0].key].name
    asked = f"keep={study.keep!r} asks for the weights of {counted(len(without), 'finished run')}"
    return f"{asked} that left none, the first {name}: {how_to_get(study, store, without[0])}"


def how_to_get(study: Study, store: RecordStore, record: Record) -> str:
    """What to do for weights that a finished run did not leave."""
    if "trainer" in record.recipe:
        return "a command trained it: let it write its weights where you want them"
    named = isinstance(study.keep, tuple) and store.planned[record.key].is_called
    asked = study.keep == "all" or (named and any(map(named, study.keep)))
    first = "" if asked else f"set keep={(record.key[:8],)!r} in the study, "
    return (
        f"a finished run is not trained again for its weights: {first}remove its record "
        f"{store.folder.shown(store.folder.record(record.key))} and run the sweep again"
    )
