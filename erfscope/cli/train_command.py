"""`erfscope train`."""

from typing import Any

import click

from erfscope.cli.output import Output, output_options, print_facts, print_table
from erfscope.cli.parameters import INTEGERS, PATH
from erfscope.cli.training_options import training_options
from erfscope.system.signals import EXIT_RESUMABLE


@click.command("train")
@click.argument("recipe", required=False)
@click.option("--list", "list_only", is_flag=True, help="List the recipes.")
@click.option("--output-stride", type=int, metavar="N", help="Output stride: 8, 16 or 32.")
@click.option("--rates", type=INTEGERS, help="Atrous rates of the head, such as 6,12,18.")
@click.option("--base-rate", type=click.IntRange(1), metavar="R", help="Base rate R of the rates R, 2R, 3R.")
@click.option("--images", type=click.IntRange(1), metavar="N", help="Train on a random subset of N images.")
@click.option("--out", "-o", type=PATH, metavar="FOLDER", help="Folder of the run.  [default: runs/RECIPE]")
@click.option("--resume", is_flag=True, help="Go on with the run in that folder.")
@click.option("--overwrite", is_flag=True, help="Begin anew in a folder that holds a run.")
@training_options
@output_options
def train_command(output: Output, /, recipe: str | None, list_only: bool, **options: Any) -> None:
    r"""Train a network by a recipe: a name from --list, or a TOML file.

    The folder receives the whole recipe, a log, curves, the state to resume from, and the best and the last
    weights. Ctrl-C and SIGTERM end a run at a whole step, with code 75; --resume goes on.

    \b
    erfscope train synthetic-streets --base-rate 4 --out run
    erfscope train stare-128 --root /data/stare --rates 1,2,3
    torchrun --nproc-per-node 4 -m erfscope train cityscapes-769-r50 --batch-size 2 --pretrained r50.pth
    erfscope evaluate --model run/best.safetensors --data synthetic-streets
    """
    if list_only:
        _list(output)
        return
    from erfscope.workflows.train_network import choose_recipe, train

    chosen, out = choose_recipe(recipe, options)
    with output.training("training", chosen.schedule.iterations) as show:
        document = train(
            chosen,
            out,
            resume=options["resume"],
            overwrite=options["overwrite"],
            device=options["device"],
            warn=output.warn,
            note=output.note,
            show=show,
        )
    if document is None:  # another process tells
        return
    output.result(document, lambda: _print(document, output))
    if document["interrupted"]:
        output.note(f"interrupted; the same command with --resume goes on from {document['iterations']}")
        click.get_current_context().exit(EXIT_RESUMABLE)


def _print(document: dict[str, Any], output: Output) -> None:
    best, speed = document["best"], document["images_per_second"]
    told = [
        ("run", document["out"]),
        ("iterations", f"{document['iterations']} in {document['seconds']:.1f} s"),
        ("speed", "unknown" if speed is None else f"{speed:.2f} images/s"),
        ("loss", "unknown" if document["loss"] is None else f"{document['loss']:.4f}"),
        ("last", document["last"]),
    ]
    if best is not None:
        told.append(("best", f"{best['checkpoint']}: mIoU {100 * best['miou']:.2f} % at {best['iteration']}"))
    print_facts([*told, ("curves", document["curves"])])
    weights = document["last"] if best is None else best["checkpoint"]
    data = document["recipe"]["data"]["name"]
    output.note(f"Next: erfscope evaluate --model {weights} --data {data}")


def _list(output: Output) -> None:
    from erfscope.train.recipes.load_recipe import list_recipes

    recipes = list_recipes()

    def table() -> None:
        print_table(
            ("recipe", "iterations", "batch", "what"),
            [(r["name"], r["schedule"]["iterations"], r["run"]["batch_size"], r["title"]) for r in recipes],
        )

    output.result({"recipes": recipes}, table)
