"""What two networks with the same weights must agree to."""

import torch

# The same float32 operations on the same values. Kernels differ by the processor, by the threads, and by how
# tensors lie in memory (those of a mapped file lie otherwise than copied ones), and were seen to round 1e-6
# of the largest value apart. A tensor that is missing or misplaced moves the outputs by percents.
ROUNDING = 1e-5


def assert_same_outputs(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Hold two networks with the same weights to each other, but for rounding."""
    largest = expected.abs().max().item()
    assert largest > 0, "nothing is compared"
    torch.testing.assert_close(found, expected, rtol=0, atol=ROUNDING * largest)
