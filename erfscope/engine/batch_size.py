"""How many images to compute at once."""

import torch

from erfscope.engine.engine_plan import EnginePlan
from erfscope.engine.engines import Engine
from erfscope.engine.formulas import IMAGE_CHANNELS
from erfscope.system.precision import PRECISIONS

LARGEST = 64
_SHARE = 0.8  # of the free memory: kernels need workspaces that one image doesn't show


def memory_of_one_image(plan: EnginePlan, engine: Engine) -> int:
    """Return how many bytes of a CUDA device one image takes."""
    device = torch.device(plan.device)
    image = torch.zeros(1, IMAGE_CHANNELS, *plan.size, device=device, dtype=PRECISIONS[plan.precision])
    with engine.ready() as gradients:
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        gradients(image)
        return torch.cuda.max_memory_allocated(device) - before


def fit_batch(device: torch.device, taken: int) -> int:
    """Return how many images, of so many bytes each, fit into a CUDA device's free memory."""
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(LARGEST, int(_SHARE * free / max(taken, 1))))
