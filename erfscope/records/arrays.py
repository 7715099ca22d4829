"""Types of arrays that many rooms hand on."""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
