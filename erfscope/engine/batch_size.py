"""How many images to compute at once."""

from dataclasses import replace

import torch
from torch import nn

from erfscope.engine.engines import choose_engine
from erfscope.engine.formulas import IMAGE_CHANNELS
from erfscope.engine.plan import EnginePlan
from erfscope.system.precision import PRECISIONS

LARGEST = 64
_SHARE = 0.8  # of the free memory: kernels need workspaces that one image doesn't show


def fit_batch(model: nn.Module, plan: EnginePlan, engine: str) -> int:
    """Return how many images fit into a CUDA device's free memory, by what one image takes; 1 on the CPU.

    On the CPU a batch gains nothing: one image keeps all cores busy.
    """
    device = torch.device(plan.device)
    if device.type != "cuda":
        return 1
    _, chosen = choose_engine(model, replace(plan, batch_size=1), engine)
    image = torch.zeros(1, IMAGE_CHANNELS, *plan.size, device=device, dtype=PRECISIONS[plan.precision])
    with chosen.ready() as gradients:
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        gradients(image)
        taken = torch.cuda.max_memory_allocated(device) - before
    del chosen
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(LARGEST, int(_SHARE * free / max(taken, 1))))
