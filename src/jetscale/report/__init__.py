"""The report of a study: one HTML file with figures that opens anywhere, without a network.

It leads with what is measured, then shows what the fitted laws add, and prints every caveat the
analysis raised: a quantity the runs do not determine is shown with its interval and the reason.

    make_report(runs, title="Quickstart", held_fixed=controls).write(Path("report.html"))

`decisions` says what may be claimed, the sections (`measured`, `laws`, `method`) fill plain values,
`figures` draws, and ``templates/`` holds all of the HTML.
"""

from jetscale.report.page import SECTIONS, Report, make_report

__all__ = ["SECTIONS", "Report", "make_report"]
