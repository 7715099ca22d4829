"""Write down the class names of mmsegmentation's dataset classes, for the tests to check against.

Fetch its source, which isn't imported, and run::

    pip download --no-deps mmsegmentation==1.2.2
    unzip mmsegmentation-1.2.2-py3-none-any.whl 'mmseg/datasets/*'
    python tests/golden/make_dataset_classes.py mmseg/datasets

Blanks around a name are left out ("bed ", " Optic Cup").
"""

import ast
import json
import sys
from pathlib import Path

MODULES = {
    "cityscapes": "cityscapes",
    "voc2012": "voc",
    "ade20k": "ade",
    "coco-stuff": "coco_stuff",
    "stare": "stare",
    "chase_db1": "chase_db1",
    "hrf": "hrf",
    "refuge": "refuge",
    "isaid": "isaid",
    "loveda": "loveda",
}


def classes(source: str) -> list[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.keyword) and node.arg == "classes":
            return [name.strip() for name in ast.literal_eval(node.value)]
    raise ValueError("no classes")


def main(folder: Path) -> None:
    names = {layout: classes((folder / f"{module}.py").read_text()) for layout, module in MODULES.items()}
    out = Path(__file__).with_name("dataset_classes.json")
    out.write_text(json.dumps(names, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
