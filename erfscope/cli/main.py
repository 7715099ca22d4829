"""`erfscope`: a lazy group of commands, and the one place that turns errors into exit codes."""

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from importlib import import_module
from typing import NoReturn

import click

from erfscope.errors import ErfscopeError
from erfscope.system.environment import wait_passively
from erfscope.system.signals import EXIT_RESUMABLE, ending_at_once

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

#: Those that go on where a signal ended them.
RESUMABLE = ("compute", "train", "sweep", "batch")

#: Command → its module and its one-line help, so that `--help` imports none of them.
COMMANDS = {
    "compute": ("erfscope.cli.compute_command", "Compute an effective receptive field."),
    "star-distance": ("erfscope.cli.star_distance_command", "Measure the star that ASPP leaves in a map."),
    "fit-gaussian": ("erfscope.cli.fit_gaussian_command", "Fit a 2D Gaussian to a map."),
    "extent": (
        "erfscope.cli.extent_command",
        "Measure how far a map reaches, and on how many images it stands.",
    ),
    "pattern": ("erfscope.cli.pattern_command", "Say in one word what a map looks like."),
    "compare": ("erfscope.cli.compare_command", "Hold maps against each other, with significance."),
    "plot": ("erfscope.cli.plot_command", "Draw a map."),
    "merge": ("erfscope.cli.merge_command", "Make one map of its shards."),
    "report": ("erfscope.cli.report_command", "Write one HTML file on maps: figures, tables, advice."),
    "inspect": ("erfscope.cli.inspect_command", "Tell what a map or a checkpoint holds."),
    "import": ("erfscope.cli.exchange_command", "Make a map of an array from another tool."),
    "export": ("erfscope.cli.exchange_command", "Write a map for another tool: npy, csv, png, tiff."),
    "predict": ("erfscope.cli.predict_command", "Predict from a network's graph what a unit sees."),
    "recommend": ("erfscope.cli.recommend_command", "Tell the atrous rates that fit a crop."),
    "train": ("erfscope.cli.train_command", "Train a network with chosen atrous rates, by a recipe."),
    "evaluate": ("erfscope.cli.evaluate_command", "Score a network on labeled images: mIoU and the like."),
    "sweep": (
        "erfscope.cli.sweep_command",
        "Train at a list of rates; compare predicted and measured.",
    ),
    "batch": ("erfscope.cli.batch_command", "Do all a plan names: networks × datasets × sizes × rates."),
    "bench": ("erfscope.cli.bench_command", "Time the engine against plain autograd."),
    "models": ("erfscope.cli.models_command", "List the networks."),
    "datasets": ("erfscope.cli.datasets_command", "List the datasets."),
    "demo": ("erfscope.cli.demo_command", "Show it all on built-in images: map, figure, star, Gaussian."),
}


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of a first session with the tool."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), f"{cmd_name.replace('-', '_')}_command")
        # Docstrings are raw, so that click's mark for "don't wrap" arrives as two characters.
        command.help = (command.help or "").replace("\\b\n", "\b\n")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands' one-line helps without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="erfscope", prog_name="erfscope")
def cli() -> None:
    """Show what part of an image a segmentation network really uses.

    Lengths are pixels of the network's input; image axes are (y, x), y down. Every command takes --json
    and --help.
    """


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line, `sys.argv` by default.

    Exits 0 done, 2 bad input, 75 interrupted but resumable, 130 interrupted; a bug keeps its traceback and
    exits 1.
    """
    wait_passively()
    arguments = sys.argv[1:] if args is None else args
    resumable = next((each for each in arguments if not each.startswith("-")), None) in RESUMABLE
    # Before the slow imports, for a signal may come meanwhile.
    with ending_at_once() if resumable else nullcontext():
        _run(arguments, resumable=resumable)


def _run(arguments: Sequence[str], *, resumable: bool) -> NoReturn:
    try:
        code = cli.main(arguments, prog_name="erfscope", standalone_mode=False)
    except ErfscopeError as error:
        _fail(str(error))
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "erfscope"
        _fail(f"{error.format_message().rstrip('.')} (see '{command} --help')")
    except click.ClickException as error:
        _fail(error.format_message())
    except (click.Abort, KeyboardInterrupt):
        if resumable:
            click.echo("erfscope: ended at once; --resume goes on from what was saved", err=True)
            sys.exit(EXIT_RESUMABLE)
        click.echo("erfscope: interrupted; nothing was written", err=True)
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str) -> NoReturn:
    click.echo(f"erfscope: {' '.join(message.split())}", err=True)
    sys.exit(EXIT_BAD_INPUT)
