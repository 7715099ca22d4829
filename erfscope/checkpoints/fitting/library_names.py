"""Tells which library wrote a file by the names of its tensors, where nothing says what network it is."""

import re

from erfscope.checkpoints.files.state_dict import StateDict

# A library, patterns of which each must match the beginning of a name, and how its files are loaded.
_LIBRARIES = (
    (
        "segmentation_models_pytorch",
        ("encoder\\.", "segmentation_head\\."),
        "give its config.json by --config, or --model smp:NAME --backbone NAME --checkpoint {path}",
    ),
    (
        "transformers",
        (
            "(segformer|beit|dpt|data2vec_vision|mobilenet_v2|mobilevit|mobilevitv2)\\.|pixel_level_module\\."
            "|(backbone\\.)?embeddings\\.patch_embeddings\\.",
        ),
        "give its config.json by --config",
    ),
    (
        "torchvision",
        ("backbone\\.\\d+\\.", "classifier\\."),
        "give --model torchvision:NAME --checkpoint {path}",
    ),
    (
        "timm",
        ("((head\\.)?fc|head|classifier)\\.weight$",),
        "give --model timm:NAME --checkpoint {path}",
    ),
)


def library_hint(state: StateDict, path: object) -> str | None:
    """Say which library's names the tensors have and how to load its files; None for no known library."""
    for library, beginnings, remedy in _LIBRARIES:
        if all(any(re.match(beginning, name) for name in state) for beginning in beginnings):
            return f"its names are those of {library}: {remedy.format(path=path)}"
    return None
