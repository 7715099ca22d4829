"""`erfscope models`."""

import click

from erfscope.cli.output import Output, output_options, print_table


@click.command("models")
@output_options
def models_command(output: Output) -> None:
    """List the networks of the catalog with their defaults.

    Multiply-adds are those of an image of 513×513 px with 21 classes. -v lists each network's options.
    """
    from erfscope import plugins
    from erfscope.zoo.catalog.backbone_catalog import BACKBONES
    from erfscope.zoo.catalog.entries import list_networks

    networks, brought = list_networks(), plugins.names(plugins.NETWORKS)

    def table() -> None:
        header = ("name", "backbone", "stride", "rates", "classes", "parameters", "multiply-adds", "source")
        rows = [
            (n["name"], n["backbone"], n["output_stride"], ",".join(map(str, n["rates"] or ())) or "–",
             n["num_classes"], f"{n['parameters'] / 1e6:.1f} M", _giga(n["multiply_adds"]), n["paper"])
            for n in networks
        ]  # fmt: skip
        print_table(header, rows)
        if output.verbosity > 0:
            for network in networks:
                click.echo(f"{network['name']}: {', '.join(network['options'])}")
        click.echo(f"backbones: {', '.join(BACKBONES)}")
        if brought:
            click.echo(f"plug-ins: {', '.join(brought)}")

    output.result({"models": networks, "backbones": list(BACKBONES), "plugins": brought}, table)


def _giga(multiply_adds: int) -> str:
    return f"{multiply_adds / 1e9:.1f} G"
