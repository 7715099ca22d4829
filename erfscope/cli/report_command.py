"""`erfscope report`."""

from pathlib import Path

import click

from erfscope.cli.output import Output, output_options
from erfscope.cli.parameters import PATH


@click.command("report", context_settings={"show_default": True})
@click.argument("files", type=PATH, nargs=-1)
@click.option(
    "--out", "-o", type=PATH, default=Path("report.html"), metavar="FILE", help="The HTML file to write."
)
@click.option(
    "--crop",
    type=click.IntRange(1),
    metavar="SIDE",
    help="Side of your training crop, px.  [default: the checkpoint's, or the map's shorter side]",
)
@click.option("--overwrite", is_flag=True, help="Replace the report if it exists.")
@output_options
def report_command(
    output: Output, files: tuple[Path, ...], out: Path, crop: int | None, overwrite: bool
) -> None:
    r"""Write one HTML file on the maps FILES (erf.h5): figures, tables, provenance, and which rates to use.

    The file loads nothing from elsewhere. Every number is measured anew; the prediction is the one that was
    recorded with the map.

    \b
    erfscope report one.h5 two.h5 --out both.html --crop 769
    """
    from erfscope.workflows.map_report import write_report

    results = write_report(files or (Path("erf.h5"),), out, crop=crop, overwrite=overwrite)

    def table() -> None:
        for result in results:
            click.echo(f"{result['file']}: {result['advice']['text']}")
            for flag in result["flags"]:
                output.note(f"{result['file']}: {flag}")
        click.echo(str(out))

    output.result({"out": str(out), "results": results}, table)
