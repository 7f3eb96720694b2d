"""The pages in docs/ tell the truth: commands parse, links lead somewhere, and they build."""

import re
import subprocess
import sys

import pytest
from fixtures.commands import ROOT, blocks_of, commands_of, parsed

from jetscale.cli import cli
from jetscale.report import SECTIONS

FOLDER = ROOT / "docs"
PAGES = {path.name: path.read_text() for path in sorted(FOLDER.glob("*.md"))}
SHOWN = [(page, line) for page, text in PAGES.items() for line in commands_of(text)]
JETSCALE = [
    (page, line[line.index("jetscale ") :])
    for page, line in SHOWN
    if re.match(r"(\w+=\S+ )*jetscale ", line)
]
INLINE = [(p, c) for p, text in PAGES.items() for c in re.findall(r"`(jetscale \w[^`]*)`", text)]
LINKS = [(p, to) for p, text in PAGES.items() for to in re.findall(r"\]\(([^):]+)\)", text)]
PATHS = r"`((?:sweeps|analysis|benchmarks|cluster|tests)/[\w./-]+)`|literalinclude\} \.\./(\S+)"


def headings(text: str) -> set[str]:
    """Anchors of the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_there_are_pages_with_commands():
    assert {"index.md", "tutorial.md", "api.md"} <= PAGES.keys()
    assert {command.split()[1] for _, command in JETSCALE} >= {"plan", "work", "fit", "ingest"}
    assert not [name for name, text in PAGES.items() if "@@" in text]


@pytest.mark.parametrize(("page", "command"), JETSCALE)
def test_every_command_parses(page, command):
    sweep = parsed(command).params.get("sweep")
    written = re.findall(r"%%writefile (\S+)", PAGES[page])
    assert sweep is None or str(sweep) in written or (ROOT / sweep).is_file()


@pytest.mark.parametrize(("page", "command"), INLINE)
def test_commands_in_a_sentence_have_these_options(page, command):
    _, name, *words = command.split()
    known = {option for param in cli.commands[name].params for option in param.opts} | {"--help"}
    assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize(("page", "target"), LINKS)
def test_every_link_leads_to_a_page_and_its_heading(page, target):
    name, _, anchor = target.partition("#")
    text = PAGES[name or page]
    assert not anchor or anchor in headings(text)


def test_every_file_that_is_named_exists():
    named = {one or other for text in PAGES.values() for one, other in re.findall(PATHS, text)}
    assert len(named) > 5
    assert not [name for name in named if not (ROOT / name).exists()]


def test_every_page_is_in_the_table_of_contents():
    (contents,) = [body for kind, body in blocks_of(PAGES["index.md"]) if kind == "{toctree}"]
    assert {f"{line}.md" for line in contents.split()[1:]} == PAGES.keys() - {"index.md"}


def test_the_report_is_read_section_by_section():
    titles = re.findall(r"^## (.+)$", PAGES["report.md"], re.MULTILINE)
    assert titles == [section.title for section in SECTIONS]


def test_code_that_is_only_shown_runs():
    shown = [body for text in PAGES.values() for kind, body in blocks_of(text) if kind == "python"]
    assert shown
    for body in shown:
        exec(body, {"__file__": str(ROOT / "sweeps" / "composition.py")})


@pytest.mark.slow
def test_the_model_of_the_pages_is_an_architecture(tmp_path, monkeypatch):
    from jetscale.jets.schema import FEATURE_SETS
    from jetscale.models.inputs import feature_inputs
    from jetscale.models.protocol import architecture_named
    from jetscale.study import ModelSize

    blocks = blocks_of(PAGES["own_model.md"])
    body = next(body for _, body in blocks if body.startswith("%%writefile mymodel.py"))
    (tmp_path / "model_of_the_pages.py").write_text(body.partition("\n")[2])
    monkeypatch.syspath_prepend(tmp_path)
    model = architecture_named("model_of_the_pages:build")
    size, inputs = ModelSize(width=8, layers=1, heads=1), feature_inputs(FEATURE_SETS["kin"])
    found = model.parameters(size, inputs, 10)
    assert found.total == (len(inputs) + 1) * 8 + 9 * 8 + 9 * 10
    flops = {"jets": 1, "constituents": 0, "constituents_squared": 0}
    per_jet = model.training_flops(size, inputs, 10, **flops)
    flops |= {"jets": 0, "constituents": 1}
    assert (per_jet, model.training_flops(size, inputs, 10, **flops) > 0) == (6 * 8 * 10, True)


@pytest.mark.long
@pytest.mark.integration
def test_the_pages_build_without_a_warning(tmp_path):
    for package in ("sphinx", "myst_nb", "furo"):
        pytest.importorskip(package)
    build = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    done = subprocess.run(
        [*build, "-d", tmp_path / "trees", FOLDER, tmp_path / "html"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "NOT ANSWERED" in (tmp_path / "html" / "tutorial.html").read_text()
