# The public names and where each is defined: read by type checkers, and by lazy_loader in `__init__.py`.
from .checkpoints.load import load_model as load_model
from .datasets import open_dataset as open_dataset
from .errors import ErfscopeError as ErfscopeError
from .records.erf_map import ErfMap as ErfMap
from .records.fov_prediction import FovPrediction as FovPrediction
from .scores.evaluate import evaluate as evaluate
from .store.merge import merge_maps as merge_maps
from .theory import recommend_rate as recommend_rate
from .workflows.compare_maps import compare_maps as compare_maps
from .workflows.compute.options import ComputeOptions as ComputeOptions
from .workflows.compute.runner import compute_erf as compute_erf
from .workflows.maps import load_erf as load_erf
from .workflows.measurements import classify_pattern as classify_pattern
from .workflows.measurements import fit_gaussian as fit_gaussian
from .workflows.measurements import measure_extent as measure_extent
from .workflows.measurements import measure_star as measure_star
from .workflows.predict_fov import predict_fov as predict_fov

__version__: str
