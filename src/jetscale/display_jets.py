"""Tables about jets for a terminal; no arithmetic beyond formatting."""

from typing import Any

from jetscale.display import console, table


def show_ingest(summary: dict[str, Any], out: str) -> None:
    """What was read, what was left out and why, and where to look next."""
    if summary["dropped"]:
        dropped = table("Jets left out", "reason", "jets")
        for reason, jets in summary["dropped"].items():
            dropped.add_row(reason, str(jets))
        console.print(dropped)
    for file in summary["skipped"]:
        console.print(f"skipped {file['reason']}", soft_wrap=True)
    console.print(
        f"{summary['jets_kept']} of {summary['jets_read']} jets from {summary['files']} files in "
        f"{out}; look with: jetscale inspect {out}",
        soft_wrap=True,
    )
