"""Results as the text of their command and as HTML."""

import pandas as pd
import pytest

import jetscale as js
from jetscale.cli import main
from jetscale.display import console, shown
from jetscale.shown import Shown


@pytest.fixture(scope="module")
def runs():
    rows = [
        (name, n, d, seed, height * (0.5 + 9 * n**-0.4 + 9 * d**-0.4) * (1 + 0.01 * seed))
        for name, height in (("<b>", 1.0), ("q[1]", 0.9))
        for n in (1e3, 1e4, 1e5)
        for d in (1e3, 1e4, 1e5)
        for seed in (0, 1)
    ]
    return pd.DataFrame(rows, columns=["mixture", "params", "examples", "seed", "loss"])


def test_every_result_has_what_prints_it():
    import jetscale.classifiers.apply
    import jetscale.classifiers.export
    import jetscale.questions
    import jetscale.studies  # noqa: F401

    assert {kind.__name__ for kind in Shown.__subclasses__()} == set(shown.SHOW)
    assert all(hasattr(kind, "to_frame") for kind in Shown.__subclasses__())


@pytest.mark.long
def test_print_gives_the_text_of_the_command(runs, tmp_path, capsys):
    runs.to_csv(path := tmp_path / "runs.csv", index=False)
    with pytest.raises(SystemExit, match="0"):
        main(["allocate", "--runs", str(path), "--budget", "1e9"])
    command = [line.rstrip() for line in capsys.readouterr().out.strip().splitlines()]
    print(js.allocate(path, 1e9))
    assert capsys.readouterr().out.splitlines() == command


def test_text_is_as_wide_as_the_terminal(runs, monkeypatch):
    long = runs.replace("<b>", 30 * "long")
    for width in (60, 100):
        monkeypatch.setattr(console._terminal, "width", width)
        text = str(js.paired(long))
        assert max(map(len, text.splitlines())) <= width
        assert "\x1b" not in text


def test_html_has_tables_and_no_markup_of_names(runs):
    page = js.paired(runs)._repr_html_()
    assert page.count("<table") == page.count("</table>") == 1
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert "loss of q[1] minus &lt;b&gt;" in page
    assert "<th" in page
    assert "95% intervals over model sizes" in page


def test_a_score_is_named_in_text_and_html(runs):
    scores = js.table(runs.assign(rejection=2 / runs["loss"]), metric="rejection")
    found = js.paired(scores)
    assert found.quantity == "1/rejection"
    assert "Measured: 1/rejection of q[1]" in str(found)
    assert "1/rejection of q[1]" in found._repr_html_()
    assert console._quantity.get() == "loss"
