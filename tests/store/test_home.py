from pathlib import Path

from jetscale.store.home import Home, StudyFolder


def test_every_name_lies_in_the_results_folder(study):
    home = Home(Path("runs"))
    for path in (home.shards, home.streams, home.database, home.artifacts, home.identity):
        assert path.parent == Path("runs")
    assert home.study(study) == StudyFolder(Path("runs/tiny"))


def test_every_name_of_a_study_is_its_own(study):
    folder = Home(Path("runs")).study(study)
    names = [
        folder.measures,
        folder.map,
        folder.driver_lock,
        folder.mirror_lock,
        folder.ray,
        folder.checkpoint("k"),
        folder.trunk("k"),
    ]
    assert len(set(names)) == len(names)
    assert all(path.is_relative_to(folder.path) for path in names)
