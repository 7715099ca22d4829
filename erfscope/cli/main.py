"""The command `erfscope`: imports a subcommand when it is called, and turns errors into exit codes."""

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

#: The commands that go on where a signal ended them.
RESUMABLE = ("compute", "train", "sweep", "batch")

#: Each command's module and one-line help: `--help` imports none of them.
COMMANDS = {
    "compute": ("erfscope.cli.compute_command", "Compute an effective receptive field."),
    "star-distance": ("erfscope.cli.star_distance_command", "Measure the star that ASPP leaves in a map."),
    "fit-gaussian": ("erfscope.cli.fit_gaussian_command", "Fit a 2D Gaussian to a map."),
    "extent": (
        "erfscope.cli.extent_command",
        "Measure how far a map reaches.",
    ),
    "pattern": ("erfscope.cli.pattern_command", "Classify what a map looks like: star, grid, Gaussian, …"),
    "compare": ("erfscope.cli.compare_command", "Compare maps, with significance."),
    "plot": ("erfscope.cli.plot_command", "Draw a map."),
    "merge": ("erfscope.cli.merge_command", "Merge the shards of a map."),
    "report": ("erfscope.cli.report_command", "Write an HTML report on maps: figures, tables, advice."),
    "inspect": ("erfscope.cli.inspect_command", "Describe a map, a checkpoint or a network."),
    "import": ("erfscope.cli.exchange_command", "Make a map from another tool's array."),
    "export": ("erfscope.cli.exchange_command", "Write a map for another tool: npy, csv, png, tiff."),
    "predict": ("erfscope.cli.predict_command", "Predict from a network's graph what a unit sees."),
    "recommend": ("erfscope.cli.recommend_command", "Recommend the atrous rates that fit a crop."),
    "train": ("erfscope.cli.train_command", "Train a network with chosen atrous rates, by a recipe."),
    "evaluate": ("erfscope.cli.evaluate_command", "Score a network on labeled images: mIoU and the like."),
    "sweep": (
        "erfscope.cli.sweep_command",
        "Train at a list of rates; compare predicted and measured.",
    ),
    "batch": ("erfscope.cli.batch_command", "Compute and measure all maps of a plan."),
    "bench": ("erfscope.cli.bench_command", "Time the engine against plain autograd."),
    "models": ("erfscope.cli.models_command", "List the networks."),
    "datasets": ("erfscope.cli.datasets_command", "List the datasets, or check one."),
    "demo": ("erfscope.cli.demo_command", "Run the whole tool on synthetic images."),
}


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which a first session uses them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), f"{cmd_name.replace('-', '_')}_command")
        _mark_unwrapped(command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each command's one-line help without importing the command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


def _mark_unwrapped(command: click.Command) -> None:
    """Mark lines that click doesn't wrap: raw docstrings spell its mark, a backspace, with two characters."""
    command.help = (command.help or "").replace("\\b\n", "\b\n")
    for subcommand in command.commands.values() if isinstance(command, click.Group) else ():
        _mark_unwrapped(subcommand)


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
    # Handlers are set before the slow imports, because a signal may come meanwhile.
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
