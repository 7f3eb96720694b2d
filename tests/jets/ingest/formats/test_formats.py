import subprocess
import sys

import pytest

from jetscale.errors import DataError
from jetscale.jets.ingest.formats import FORMATS, NAMES, format_named
from jetscale.jets.schema import CORPORA, JET_COLUMNS


def test_every_format_has_a_corpus_and_columns_of_the_schema():
    formats = [*FORMATS.values(), format_named("omnilearned", "top")]
    for format in formats:
        assert format.corpus in CORPORA
        assert set(format.jet_columns) <= set(JET_COLUMNS)
        assert {"jet_pt", "jet_energy", "jet_nparticles", "jet_label"} <= set(format.jet_columns)
    assert {f.corpus for f in formats} == set(CORPORA)
    assert len(NAMES) == 8


def test_names():
    with pytest.raises(DataError, match="unknown format 'jetclas2'; did you mean 'jetclass2'"):
        format_named("jetclas2")
    with pytest.raises(DataError, match="format jetnet knows its corpus; leave out 'top'"):
        format_named("jetnet", "top")


@pytest.mark.slow
def test_the_room_is_imported_without_the_extras():
    code = (
        "import sys, jetscale.jets.ingest.ingest as i; "
        "print({'h5py','uproot','awkward'} & {*sys.modules})"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"
