"""The help of every option can be read alone, and fixed lists are shown as choices."""

import re

import click

from erfscope.cli.main import COMMANDS, cli
from erfscope.records import choices

FIXED = {
    "formula": choices.FORMULAS,
    "precision": choices.PRECISIONS,
    "engine": choices.ENGINES,
    "fit": choices.FITS,
    "mode": choices.MODES,
    "scale": choices.SCALES,
    "shape": choices.SHAPES,
}


def commands():
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", each) for inner, each in command.commands.items())


def options():
    return [
        (f"{name} {option.opts[0]}", option)
        for name, command in commands()
        for option in command.params
        if isinstance(option, click.Option)
    ]


def test_help_reads_as_a_sentence():
    sentence = re.compile(r"(?!Of |With )[A-Z].*[.…](  \[default: .+\])?")
    assert not [(name, option.help) for name, option in options() if not sentence.fullmatch(option.help)]


def test_fixed_lists_are_choices():
    for name, option in options():
        if option.name in FIXED:
            assert isinstance(option.type, click.Choice), name
            assert tuple(option.type.choices) == FIXED[option.name], name


def test_examples_are_not_wrapped():
    for name, command in commands():
        text = command.get_help(click.Context(command, info_name=name))
        assert "\\b" not in text, name
        for line in (command.help or "").partition("\b\n")[2].splitlines():
            assert line.strip() in text, name
