"""Of several drivers of one results folder one prepares at a time; no Ray is needed to see that."""

from types import SimpleNamespace

import pytest

from jetscale.errors import DataError
from jetscale.store.home import Home
from jetscale.store.local import locked
from jetscale.sweep import prepare


def test_jets_and_streams_are_prepared_while_others_wait(study, tmp_path, monkeypatch):
    home = Home(tmp_path, "memory://prepared")

    def keep_shards(*_):
        with pytest.raises(BlockingIOError), locked(home.preparing_lock, wait=False):
            pytest.fail("another driver would make the same folders")
        raise DataError("seen")

    monkeypatch.setattr(prepare, "keep_shards", keep_shards)
    with pytest.raises(DataError, match="seen"):
        prepare.prepare_streams(study, home, SimpleNamespace(local=False), lambda *_: None)
    with locked(home.preparing_lock, wait=False):
        assert [path.name for path in tmp_path.iterdir()] == ["preparing.lock"]
