"""The report of a study: one HTML file with figures that opens anywhere, without a network.

`decisions` says what may be claimed, the sections fill plain values, `figures` draws, and
``templates/`` holds all of the HTML.

    make_report(runs, title="Quickstart", held_fixed=recipe).write(Path("report.html"))

`search_page` makes such a file of a search over learning rates.
"""

from jetscale.report.page import SECTIONS, Report, make_report
from jetscale.report.tuning import search_page

__all__ = ["SECTIONS", "Report", "make_report", "search_page"]
