"""`erfscope models`."""

import click

from erfscope.cli.output import Output, output_options, print_table


@click.command("models")
@output_options
def models_command(output: Output) -> None:
    """List the networks, with what each stands on unless told otherwise."""
    from erfscope.zoo.backbones.resnet import RESNETS
    from erfscope.zoo.catalog import list_networks

    networks = list_networks()

    def table() -> None:
        header = ("name", "backbone", "stride", "rates", "classes", "parameters", "source")
        rows = [
            (n["name"], n["backbone"], n["output_stride"], ",".join(map(str, n["rates"] or ())) or "–",
             n["num_classes"], f"{n['parameters'] / 1e6:.1f} M", n["paper"])
            for n in networks
        ]  # fmt: skip
        print_table(header, rows)
        click.echo(f"backbones: {', '.join(RESNETS)}")

    output.result({"models": networks, "backbones": list(RESNETS)}, table)
