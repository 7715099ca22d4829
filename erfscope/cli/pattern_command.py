"""`erfscope pattern`."""

from pathlib import Path
from typing import Any

import click

from erfscope.cli.output import Output, output_options, print_table
from erfscope.cli.parameters import PATH


@click.command("pattern")
@click.argument("files", type=PATH, nargs=-1)
@output_options
def pattern_command(output: Output, files: tuple[Path, ...]) -> None:
    """Say in one word what each map FILE (erf.h5) looks like.

    The words are star, grid, patch-partitioned, local, asymmetric-gaussian, gaussian and diffuse. -v prints
    the scores of all.
    """
    from erfscope.workflows.maps import load_erf
    from erfscope.workflows.measurements import classify_pattern

    results: list[dict[str, Any]] = [
        {"file": str(file), **classify_pattern(load_erf(file)).summary()}
        for file in files or (Path("erf.h5"),)
    ]

    def table() -> None:
        print_table(("file", "pattern", "patch size", "scores"), [_row(each, output) for each in results])
        for result in results:
            for flag in result["flags"]:
                output.note(f"{result['file']}: {flag}")

    output.result({"results": results}, table)


def _row(result: dict[str, Any], output: Output) -> tuple[str, ...]:
    scores = sorted(result["scores"].items(), key=lambda item: -item[1])
    shown = scores if output.verbosity > 0 else scores[:3]
    size = result["patch_size_px"]
    return (
        result["file"],
        result["pattern"],
        "–" if size is None else f"{size} px",
        ", ".join(f"{name} {score:.2f}" for name, score in shown),
    )
