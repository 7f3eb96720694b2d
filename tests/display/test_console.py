"""Tables and lines in a terminal, and how an ingest is told."""

import pytest

from jetscale.display.console import say, show_ingest, show_table

SUMMARY = {
    "files": 2,
    "jets_read": 100,
    "jets_kept": 78,
    "dropped": {"jet_pt < 140": 20, "label -1 is not in 0..187": 2},
    "skipped": [],
    "unlabelled": False,
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


def test_jets_without_labels_are_called_so(capsys):
    assert "no label column: jets are unlabelled\n" in shown(capsys, unlabelled=True)


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


def test_no_title_cell_or_line_is_markup(capsys):
    show_table("of [red]", ("name", "[b]n[/b]"), [("qcd[/x]", 3), ("[dim]", None)])
    say("a trial did not finish: [Errno 2] [/y]")
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["of", "[red]"] in lines
    assert ["qcd[/x]", "3"] in lines
    assert ["[dim]", "None"] in lines
    assert ["a", "trial", "did", "not", "finish:", "[Errno", "2]", "[/y]"] in lines


@pytest.mark.parametrize("apart", [2, 3])
def test_columns_are_as_far_apart_as_asked(capsys, apart):
    show_table("t", ("a", "b"), [("xx", "yy")], apart=apart)
    assert "xx" + apart * " " + "yy" in capsys.readouterr().out
