"""The streams of a job as a worker reads them: once each, and fetched where it lacks them."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jetscale.errors import DataError
from jetscale.mixtures.ragged import Ragged
from jetscale.mixtures.stream import INDEX, Stream, open_stream
from jetscale.store.copies import fetch_folder
from jetscale.store.home import Home

_HELD = 6  # streams whose jets a worker keeps in memory


@dataclass(slots=True)
class Inputs:
    """Streams of a job: each is read once, up to the most jets that a run wanted of it."""

    paths: Mapping[str, Path]
    home: Home | None = None
    _jets: dict[str, Ragged] = field(default_factory=dict)
    _streams: dict[str, Stream] = field(default_factory=dict)

    def open(self, name: str) -> Stream:
        """A stream; raises as `jetscale.mixtures.stream.open_stream`."""
        if name not in self._streams:
            path = self.paths[name]
            if self.home:  # the working copy of this machine
                path = self.home.streams / path.name
                fetch_folder(self.home, path, INDEX)
            self._streams[name] = open_stream(path)
        return self._streams[name]

    def read(self, name: str, jets: int) -> Ragged:
        """The first jets of a stream; raises DataError for a damaged one."""
        held = self._jets.pop(name, None)
        if held is None or len(held) < jets:
            try:
                held = self.open(name).read(jets)
            except DataError:
                if self.home is None:
                    raise
                held = self._read_again(self.home, name, jets)
        self._jets[name] = held  # the last one used is the last one to go
        for oldest in list(self._jets)[:-_HELD]:
            del self._jets[oldest]
        return held.head(jets)

    def _read_again(self, home: Home, name: str, jets: int) -> Ragged:
        """Jets of a stream that is fetched anew: the copy of this machine is damaged."""
        folder = self._streams.pop(name).folder if name in self._streams else None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        try:
            return self.open(name).read(jets)
        except DataError:
            # so is the one at the address: whoever prepares streams next puts it there again
            if folder is not None:
                home.storage.delete(f"{home.name_of(folder)}/{INDEX}")
            raise
