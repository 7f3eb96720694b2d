"""The report of a study: one HTML file with figures that opens anywhere, without a network.

`decisions` says what may be claimed, the sections fill plain values, `figures` draws, and
``templates/`` holds all of the HTML.

    make_report(runs, title="Quickstart", held_fixed=recipe).write(Path("report.html"))
"""

from jetscale.report.page import SECTIONS, Report, make_report

__all__ = ["SECTIONS", "Report", "make_report"]
