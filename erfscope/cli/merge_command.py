"""`erfscope merge`."""

from pathlib import Path
from typing import Any

import click

from erfscope.cli.output import Output, output_options, print_facts
from erfscope.cli.parameters import PATH


@click.command("merge")
@click.argument("files", type=PATH, nargs=-1, required=True)
@click.option("--out", "-o", type=PATH, metavar="FILE", required=True, help="The map file to write.")
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
@click.option("--partial", is_flag=True, help="Merge what there is if shards are missing or unfinished.")
@output_options
def merge_command(output: Output, /, files: tuple[Path, ...], **options: Any) -> None:
    r"""Merge the FILES of a map's shards, in any order, to the map that one process would have computed.

    Shards that overlap or are missing, or that differ in network, weights, images or options, are refused.

    \b
    erfscope compute --model deeplabv3 --data cityscapes --shard 0/2 --out a.h5
    erfscope compute --model deeplabv3 --data cityscapes --shard 1/2 --out b.h5
    erfscope merge a.h5 b.h5 --out erf.h5
    """
    from erfscope.workflows.maps import merge_to_file

    erf = merge_to_file(files, note=output.note, **options)
    for flag in erf.flags:
        output.warn(flag.message)

    def table() -> None:
        print_facts(
            [
                ("map", options["out"]),
                ("network", f"{erf.network_label}, {erf.weights_label}"),
                ("images", f"{erf.images} of {erf.data_label}, {len(erf.skipped)} skipped"),
                ("files", len(files)),
            ]
        )

    output.result(
        {"out": str(options["out"]), "files": [str(file) for file in files], **erf.summary()}, table
    )
