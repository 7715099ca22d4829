"""`erfscope compare`."""

from pathlib import Path
from typing import Any

import click

from erfscope.cli.output import Output, output_options, print_table
from erfscope.cli.parameters import PATH


@click.command("compare")
@click.argument("files", type=PATH, nargs=-1, required=True)
@click.option("--out", "-o", type=PATH, metavar="FILE", help="Draw the maps to this PNG, PDF or SVG file.")
@click.option("--overwrite", is_flag=True, help="Replace the figure if it exists.")
@output_options
def compare_command(output: Output, files: tuple[Path, ...], out: Path | None, overwrite: bool) -> None:
    r"""Compare the maps FILES to the first of them: numbers and blocks, with significance.

    Every map is scaled to the same sum. Where two maps are of the same images, the images' part in both
    cancels out of the errors. p-values are two-sided, one for each number; blocks are tested together, at
    a false-discovery rate of 5 %.

    \b
    erfscope compare rates-12.h5 rates-15.h5 --out compared.pdf
    """
    from erfscope.workflows.compare_maps import compare_files

    document = compare_files(files, out, overwrite=overwrite)

    def table() -> None:
        _print_maps(document["maps"])
        for pair in document["pairs"]:
            name, against = (document["maps"][pair[which]]["file"] for which in ("second", "first"))
            _print_pair(pair, f"{name} − {against}")
            for flag in pair["flags"]:
                output.note(f"{name} − {against}: {flag}")
        if out is not None:
            click.echo(str(out))

    output.result(document, table)


_COLUMNS = {
    "effective diameter (px)": "effective_diameter_px",
    "center of mass y (px)": "center_of_mass_y_px",
    "x (px)": "center_of_mass_x_px",
    "side of 50 % (px)": "side50_px",
    "95 % above background (px)": "side95_above_background_px",
}


def _print_maps(maps: list[dict[str, Any]]) -> None:
    rows = []
    for each in maps:
        images, effective = each["images"], each["effective_images"]
        count = "–" if images is None else f"{images} ({effective:.1f})" if effective else str(images)
        cells = [_number(each[key], each["stderr"][key]) for key in _COLUMNS.values()]
        area = each["area_ratio50"]
        rows.append((each["file"], count, *cells, "–" if area is None else f"{area:.1%}"))
    print_table(("file", "images (effective)", *_COLUMNS, "area of 50 %"), rows)


def _print_pair(pair: dict[str, Any], title: str) -> None:
    kind = "paired by images" if pair["paired"] else "unpaired"
    rows = []
    for label, key in _COLUMNS.items():
        found = pair["scalars"][key]
        t, p_value = found["t"], found["p_value"]
        label = "center of mass x (px)" if key == "center_of_mass_x_px" else label
        cells = ("–", "–") if t is None else (f"{t:+.1f}", f"{p_value:.2g}")
        rows.append((label, _number(found["difference"], found["stderr"], sign="+"), *cells))
    print_table((f"{title}, {kind}", "difference", "t", "p"), rows)
    blocks = pair["blocks"]
    if blocks is not None:
        share = blocks["share_significant"]
        differ = "significance unknown" if share is None else f"{share:.0%} of {blocks['tested']} differ"
        click.echo(
            f"blocks of {blocks['block_px']} px: {differ}; overlap of the maps {blocks['overlap']:.1%}"
        )


def _number(value: float | None, stderr: float | None, sign: str = "") -> str:
    if value is None:
        return "–"
    return f"{value:{sign}.1f}" + ("" if stderr is None else f" ± {stderr:.1f}")
