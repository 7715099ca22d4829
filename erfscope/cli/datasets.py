"""`erfscope datasets`."""

from typing import Any

import click

from erfscope.cli.output import Output, output_options, print_table


@click.command("datasets")
@output_options
def datasets_command(output: Output) -> None:
    """List the datasets: usual crop, classes, splits, and the folders that each expects."""
    from erfscope import plugins
    from erfscope.datasets import LAYOUTS

    brought = plugins.names(plugins.DATASETS)
    datasets: list[dict[str, Any]] = [
        {
            "name": layout.name,
            "size": list(layout.size),
            "classes": len(layout.classes),
            "class_names": list(layout.classes),
            "splits": list(layout.splits),
            "needs_root": layout.find is not None,
            "layout": layout.summary,
        }
        for layout in LAYOUTS.values()
    ]

    def table() -> None:
        print_table(
            ("name", "crop", "classes", "splits", "folders"),
            [
                (
                    d["name"],
                    "×".join(map(str, d["size"])),
                    d["classes"] or "–",
                    " ".join(d["splits"]) or "–",
                    d["layout"],
                )
                for d in datasets
            ],
        )

        if brought:
            click.echo(f"plug-ins: {', '.join(brought)}")

    output.result({"datasets": datasets, "plugins": brought}, table)
