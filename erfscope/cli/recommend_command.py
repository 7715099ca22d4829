"""`erfscope recommend`."""

from dataclasses import asdict

import click

from erfscope.cli.output import Output, output_options, print_facts


@click.command("recommend")
@click.option(
    "--size", type=click.IntRange(1), required=True, metavar="SIDE", help="Side of the training crop, px."
)
@click.option(
    "--stride",
    type=click.IntRange(1),
    required=True,
    metavar="N",
    help="Output stride of the features that ASPP reads, px.",
)
@output_options
def recommend_command(output: Output, size: int, stride: int) -> None:
    """Recommend the base atrous rate whose star just covers the crop: r* = (size - 32) / (6 stride)."""
    from erfscope.theory import recommend_rate

    answer = recommend_rate(size, stride)
    output.result(
        asdict(answer),
        lambda: print_facts(
            [
                ("r*", f"{answer.rate:.2f}"),
                ("base rate", answer.rate_rounded),
                ("rates", ", ".join(map(str, answer.rates))),
            ]
        ),
    )
