"""erfscope: what part of an image a segmentation network really uses.

    model = erfscope.load_model("deeplabv3")
    images = erfscope.open_dataset("cityscapes", root="/data/cityscapes")
    erf = erfscope.compute_erf(model, images)
    erf.save("erf.h5")

The public names are listed in `__init__.pyi`. Each is imported when it is first used, so that
`import erfscope` loads neither torch nor numpy.
"""

from typing import Any

import lazy_loader

_import_name, _, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # takes longer than all else here

        return version("erfscope")
    return _import_name(name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
