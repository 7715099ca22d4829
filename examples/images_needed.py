"""How many images a measurement needs, from maps of a few: `python examples/images_needed.py MAP.h5 …`.

Every standard error falls with the root of the number of images.
"""

import sys
from pathlib import Path

import erfscope
from erfscope.measure.sampling_error import images_needed
from erfscope.workflows.measurements import error_checks

for file in sys.argv[1:]:
    erf = erfscope.load_erf(file)
    star, gaussian = erfscope.measure_star(erf), erfscope.fit_gaussian(erf, "axis-aligned")
    check = error_checks(erf, star)[-1]
    print(f"{Path(file).name}: {erf.images} images, smoothed over {check.smoothing_px:.1f} px")
    goals = [("map", check.map_error, "10 %", 0.1), ("map", check.map_error, "3 %", 0.03)]
    goals += [("map", check.map_error, "1 %", 0.01)]
    if star.center_to_center_stderr_px is not None:
        error = star.center_to_center_stderr_px / star.center_to_center_px
        goals += [("center to center", error, "1 %", 0.01), ("center to center", error, "0.3 %", 0.003)]
    goals += [
        (name, gaussian.stderr[name], "1 px", 1.0) for name in ("x0_px", "y0_px", "sigma_x_px", "sigma_y_px")
    ]
    for what, error, precision, goal in goals:
        print(f"  {what:<18} {precision:>6}: {images_needed(erf.images, error, goal):>7,} images")
