"""How an ingest is told in a terminal."""

import pytest

from jetscale.display.console import show_ingest

SUMMARY = {
    "files": 2,
    "jets_read": 100,
    "jets_kept": 78,
    "dropped": {"jet_pt < 140": 20, "label -1 is not in 0..187": 2},
    "skipped": [],
}


def shown(capsys, out="jets/s", **changes):
    show_ingest(SUMMARY | changes, out)
    return capsys.readouterr().out


def test_what_was_left_out_and_why(capsys):
    rows = [line.split() for line in shown(capsys).splitlines()]
    assert ["jet_pt", "<", "140", "20"] in rows
    assert ["label", "-1", "is", "not", "in", "0..187", "2"] in rows
    assert "78 of 100 jets from 2 files in jets/s; look with: jetscale inspect jets/s" in (
        " ".join(row) for row in rows
    )


def test_nothing_left_out_needs_no_table(capsys):
    assert len(shown(capsys, dropped={}).splitlines()) == 1


@pytest.mark.parametrize(
    "path", ["/tmp/a[b]c", "/tmp/[/x]y", "/tmp/[red]", "/tmp/:smile:", "a\\[b]"]
)
def test_paths_are_no_markup(capsys, path):
    skipped = [{"name": "c", "reason": f"{path}/c: not a readable HDF5 file"}]
    out = shown(capsys, path, skipped=skipped)
    assert f"files in {path}; look with: jetscale inspect {path}\n" in out
    assert f"skipped {path}/c: not a readable HDF5 file\n" in out


def test_reasons_are_no_markup(capsys):
    assert "column [/x] 3" in " ".join(shown(capsys, dropped={"column [/x]": 3}).split())


def test_long_paths_stay_on_their_line(capsys):
    path = "/data/" + 60 * "long/"
    assert shown(capsys, path, dropped={}).count("\n") == 1
