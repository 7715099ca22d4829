"""What a user writes: mypy's strict mode takes it, and it runs."""

from pathlib import Path

import erfscope


def main() -> None:
    options = erfscope.ComputeOptions(precision="float64", replicates=0)
    model = erfscope.load_model("fcn", backbone="resnet18", output_stride=8)
    images = erfscope.open_dataset("synthetic-leaves", images=1, size=65, labels=False)
    erf = erfscope.compute_erf(model, images, precision=options.precision, replicates=options.replicates)
    erf.save(Path("erf.h5"))
    erf.plot(path="erf.png")
    star = erfscope.measure_star(erf)
    total: float = float(erf.erf.sum())
    distance: float | None = star.center_to_center_px
    print(total, star.pattern, distance)


if __name__ == "__main__":
    main()
