"""Tables about jets for a terminal; no arithmetic beyond formatting.

Paths and messages are printed as `rich.text.Text`: brackets in them are no markup.
"""

from typing import Any

from rich.text import Text

from jetscale.display.console import console, table


def show_ingest(summary: dict[str, Any], out: str) -> None:
    """What was read, what was left out and why, and where to look next."""
    if summary["dropped"]:
        dropped = table("Jets left out", "reason", "jets")
        for reason, jets in summary["dropped"].items():
            dropped.add_row(Text(reason), str(jets))
        console.print(dropped)
    for file in summary["skipped"]:
        console.print(Text(f"skipped {file['reason']}"), soft_wrap=True)
    files = f"{summary['files']} file{'s' * (summary['files'] != 1)}"
    told = f"{summary['jets_kept']} of {summary['jets_read']} jets from {files} in {out}"
    console.print(Text(f"{told}; look with: jetscale inspect {out}"), soft_wrap=True)
