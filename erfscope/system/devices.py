"""Choose the device that a network runs on."""

import torch

from erfscope.errors import ComputeError
from erfscope.system.environment import place_on_machine


def choose_device(name: str) -> torch.device:
    """Turn "auto", "cpu", "cuda" or "cuda:N" into a device; "auto" takes CUDA where there is one.

    Processes that were started together take the machine's CUDA devices in turn.

    Raises
    ------
    ComputeError
        There is no such device here, or it is neither a CPU nor a CUDA device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    number, processes = place_on_machine()
    if name == "cuda" and processes > 1 and torch.cuda.device_count() > 1:
        name = f"cuda:{number % torch.cuda.device_count()}"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ComputeError(f"no device is called {name!r}; expected auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise ComputeError(f"device {name} is not supported; expected auto, cpu, cuda or cuda:N")
    count = torch.cuda.device_count()
    if device.type == "cuda" and not count:
        raise ComputeError("CUDA was asked for, but torch sees no CUDA device here; use --device cpu")
    if device.type == "cuda" and (device.index or 0) >= count:
        raise ComputeError(f"device {name} does not exist; this machine has cuda:0 to cuda:{count - 1}")
    return device
