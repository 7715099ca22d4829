"""`erfscope datasets`, which lists them, and `erfscope datasets check`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from erfscope.cli.output import Output, output_options, print_facts, print_table
from erfscope.cli.parameters import SIZE, data_setting_option, root_option

if TYPE_CHECKING:
    from erfscope.records.dataset_check import Finding, SplitCheck

_CASES_SHOWN = 5


@click.group("datasets", invoke_without_command=True)
@output_options
def datasets_command(output: Output) -> None:
    """List the datasets with usual crop, classes, splits and expected folders; or check one."""
    if click.get_current_context().invoked_subcommand:
        return
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
            "options": dict(layout.options),
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
                    d["layout"] + _options(d["options"]),
                )
                for d in datasets
            ],
        )

        if brought:
            click.echo(f"plug-ins: {', '.join(brought)}")

    output.result({"datasets": datasets, "plugins": brought}, table)


def _options(usual: Mapping[str, Any]) -> str:
    return f"; options: {', '.join(f'{name}={value}' for name, value in usual.items())}" if usual else ""


@datasets_command.command("check")
@click.argument("name")
@root_option
@click.option(
    "--split",
    "splits",
    multiple=True,
    metavar="SPLIT",
    help="Split to check; may be repeated.  [default: train and val]",
)
@click.option("--size", type=SIZE, help="Side or HxW of the crop, px.  [default: the dataset's usual]")
@click.option(
    "--images", type=click.IntRange(1), metavar="N", help="Read a random subset of N images.  [default: all]"
)
@click.option(
    "--seed", default=0, show_default=True, metavar="N", help="Seed of the subset and of synthetic images."
)
@data_setting_option
@output_options
def check_command(output: Output, /, name: str, splits: tuple[str, ...], **options: Any) -> None:
    r"""Tell what is missing or odd in a dataset before a training run is wasted on it.

    It finds images without labels and labels without images, files that can't be read, labels of another
    size than their image or outside the classes, empty splits, images smaller than the crop, and classes
    that never occur. The exit code is 2 if training can't run with what it finds.

    \b
    erfscope datasets check cityscapes --root /data/cityscapes
    erfscope datasets check ade20k --root /data/ade --split train --images 500 --json
    """
    from erfscope.datasets.check_split import check_split, usual_splits
    from erfscope.errors import DatasetError

    options["options"] = dict(options.pop("data_option")) or None
    checks = [
        check_split(name, split=split, progress=output.progress, **options)
        for split in splits or usual_splits(name)
    ]

    def table() -> None:
        for check in checks:
            _print_check(check)

    output.result({"results": [check.summary() for check in checks]}, table)
    wrong = [f"{_title(check)}: {len(each.cases)} × {each.kind}" for check in checks for each in check.fatal]
    if wrong:
        raise DatasetError(f"training can't run with this dataset; {'; '.join(wrong)}")


def _title(check: "SplitCheck") -> str:
    return f"{check.dataset} {check.split or ''}".strip()


def _print_check(check: "SplitCheck") -> None:
    sizes = [f"{size[0]}×{size[1]}" for size in (check.smallest, check.largest) if size]
    print_facts(
        [
            ("split", _title(check)),
            ("folder", check.root or "none, synthetic"),
            ("images", f"{check.images}, {check.labels} labels, {check.read} read"),
            ("sizes", f"{' to '.join(dict.fromkeys(sizes)) or 'unknown'} px"),
            (
                "no class",
                "unknown" if check.ignored_share is None else f"{check.ignored_share:.2%} of the pixels",
            ),
        ]
    )
    if check.findings:
        found = [(_verdict(each), len(each.cases), _examples(each)) for each in check.findings]
        print_table(("found", "cases", "which"), found)
    if any(check.pixels):
        per_class = zip(check.classes, check.shares, check.images_with, strict=True)
        rows = [(name, f"{share:.3%}", images) for name, share, images in per_class]
        print_table(("class", "share of pixels", "in labels"), rows)


def _verdict(finding: "Finding") -> str:
    return f"{'WRONG' if finding.fatal else 'odd'}: {finding.kind}"


def _examples(finding: "Finding") -> str:
    shown = [f"{what} ({detail})" if detail else what for what, detail in finding.cases[:_CASES_SHOWN]]
    more = len(finding.cases) - len(shown)
    return "; ".join(shown) + (f"; and {more} more (--json lists all)" if more else "")
