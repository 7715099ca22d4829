"""A sweep's plan, its table, its figures and its page; what is trained is tested by the command."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from erfscope.errors import NetworkError, TrainError
from erfscope.records.flags import Flag
from erfscope.records.sweep import SweepRun
from erfscope.report.sweep_figures import draw_center_to_center, draw_miou, draw_training
from erfscope.report.sweep_page import render_sweep, sentences
from erfscope.workflows.sweep.sweep_files import RESULTS, TABLE, keep_plan, write_results
from erfscope.workflows.sweep.sweep_plan import planned_runs, read_plan
from erfscope.workflows.sweep.sweep_table import agreement, make_rows, untrained_agreement

EXAMPLES = sorted((Path(__file__).parents[3] / "examples" / "sweeps").glob("*.toml"))
ASKED = {"data": "synthetic-leaves", "base_rates": (2, 3)}


def star(distance, predicted, *, fits=True, stderr=0.5):
    return {
        "pattern": "star" if distance else "none",
        "predicted_pattern": "star" if predicted else None,
        "center_to_center_px": distance,
        "center_to_center_stderr_px": stderr,
        "predicted_center_to_center_px": predicted,
        "relative_error": (distance - predicted) / predicted if distance and fits else None,
        "rings": [{"mass_share": 0.2}, {"mass_share": 0.3}] if distance else [],
    }


def a_run(base, seed=0, miou=0.5, distance=None, *, stride=8, fits=True, **more):
    predicted = 6 * base * stride if base else None
    return SweepRun(
        base_rate=base,
        rates=(base, 2 * base, 3 * base) if base else (),
        output_stride=stride,
        seed=seed,
        miou=miou,
        miou_image_stderr=0.01,
        star=star(distance, predicted, fits=fits),
        prediction={"recommended_rate": 5.0, "read_stride": 8.0, "output_stride": 8.0} if base else {},
        side95_px=100.0 + seed,
        checkpoint=f"rate{base}/last.safetensors",
        erf=f"rate{base}/erf.h5",
        **more,
    )


def test_every_rate_stride_and_seed_is_planned():
    plan = read_plan(None, ASKED | {"output_strides": (8, 16), "seeds": 2, "baseline": "fcn", "seed": 7})
    runs = list(planned_runs(plan))
    assert len(runs) == len({run.name for run in runs}) == 12
    assert runs[0].name == "stride8-baseline-seed7"
    networks = [(r.recipe.network.output_stride, r.recipe.network.rates, r.recipe.run.seed) for r in runs]
    assert networks[1] == (8, (2, 4, 6), 7)
    assert networks[-1] == (16, (3, 6, 9), 8)
    assert runs[0].recipe.network.model == "fcn"


def test_rates_grow_as_the_networks_own():
    plan = read_plan(None, ASKED | {"model": "deeplabv2", "base_rates": (5,)})
    assert next(planned_runs(plan)).recipe.network.rates == (5, 10, 15, 20)


def test_a_plan_in_a_file(tmp_path):
    file = tmp_path / "plan.toml"
    file.write_text(
        'recipe = "synthetic-leaves"\nbase_rates = [3]\nseeds = 3\nimages = 8\n[set.optimizer]\nlr = 0.5\n'
    )
    plan = read_plan(file, {"seeds": 2, "iterations": None})
    assert (plan.base_rates, plan.seeds) == ((3,), 2)
    assert (plan.recipe.optimizer.lr, plan.recipe.data.images, plan.recipe.data.val_images) == (0.5, 8, 8)
    assert plan.erf_images == 8


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_plans_among_the_examples(file):
    assert len(list(planned_runs(read_plan(file, {})))) >= 10


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"data": "synthetic-leaves"}, "no rates to sweep over"),
        (ASKED | {"data": "folder"}, "no recipe is named"),
        (ASKED | {"model": "fcn"}, "fcn has no atrous rates"),
        (ASKED | {"baseline": "deeplabv3plus"}, "has atrous rates itself"),
        (ASKED | {"base_rates": "3"}, "base_rates = '3'; expected a whole number"),
        (ASKED | {"base_rates": (0,)}, "expected a whole number >= 1"),
    ],
)
def test_what_can_not_be_planned(asked, told):
    with pytest.raises((TrainError, NetworkError), match=told):
        read_plan(None, asked)


def test_a_folder_keeps_to_one_plan_but_may_grow(tmp_path):
    plan = read_plan(None, ASKED)
    keep_plan(plan, tmp_path, overwrite=False)
    keep_plan(replace(plan, base_rates=(9,), seeds=4, output_strides=(16,)), tmp_path, overwrite=False)
    other = read_plan(None, ASKED | {"iterations": 3})
    with pytest.raises(TrainError, match="holds a sweep with recipe.schedule.iterations 400, not 3"):
        keep_plan(other, tmp_path, overwrite=False)
    keep_plan(other, tmp_path, overwrite=True)


def test_rows_are_means_over_seeds():
    measured = {(3, 0): (0.5, 144.0), (4, 0): (0.4, 191.0), (3, 1): (0.6, 146.0), (4, 1): (0.4, 193.0)}
    three, four = make_rows(a_run(*which, *found) for which, found in measured.items())
    assert (three.base_rate, three.seeds, three.miou, three.side95_px) == (3, 2, 0.55, 100.5)
    assert three.miou_stderr == pytest.approx(0.05)  # sd/√2 of 0.5 and 0.6
    assert three.measured_stderr_px == pytest.approx(1.0)
    assert three.relative_error == pytest.approx(1 / 144)
    assert four.relative_error == 0
    assert three.ring_mass_shares == (0.2, 0.3)
    assert json.loads(json.dumps(three.summary()))["rates"] == [3, 6, 9]


def test_one_seed_has_the_error_of_its_images():
    (row,) = make_rows([a_run(3, 0, 0.5, 144.0)])
    assert (row.miou_stderr, row.measured_stderr_px) == (0.01, 0.5)


def test_stars_that_do_not_fit_or_were_not_found():
    beyond, unseen = make_rows([a_run(3, 0, 0.5, 140.0, fits=False), a_run(4)])
    assert (beyond.measured_center_to_center_px, beyond.relative_error) == (140.0, None)
    assert (unseen.measured_center_to_center_px, unseen.measured_stderr_px) == (None, None)
    assert "not found in every map" in " ".join(map(str, unseen.flags))


def test_both_recommended_rates():
    prediction = {"recommended_rate": 16.0, "read_stride": 1.0, "output_stride": 16.0}
    (row,) = make_rows([replace(a_run(3), prediction=prediction)])
    assert (row.recommended_rate, row.recommended_rate_at_output_stride) == (16.0, 1.0)


def test_flags_name_their_seeds():
    a, b = Flag("random_weights", "a"), Flag("rate_large", "b")
    runs = [a_run(3, 0, 0.5, 144.0, flags=(a, b)), a_run(3, 1, 0.5, 144.0, flags=(a,))]
    assert make_rows(runs)[0].flags == (a, Flag("rate_large", "seed 0: b"))


def test_a_run_survives_its_file():
    run = a_run(3, 0, 0.5, 144.0, flags=(Flag("random_weights", "a"),))
    assert SweepRun.from_summary(json.loads(json.dumps(run.summary()))) == run


ROWS = make_rows(
    [
        a_run(None, 0, 0.3), a_run(3, 0, 0.5, 144.2), a_run(4, 0, 0.4, 180.0, fits=False), a_run(5),
        a_run(None, 1, 0.31), a_run(3, 1, 0.52, 144.4), a_run(4, 1, 0.41, 181.0, fits=False), a_run(5, 1),
    ]
)  # fmt: skip


def test_figures_show_every_row():
    (axes,) = draw_center_to_center(ROWS).axes
    assert {text.get_text() for text in axes.get_legend().get_texts()} == {
        "equal", "output stride 8", "output stride 8, beyond the map",
    }  # fmt: skip
    (axes,) = draw_miou(ROWS).axes
    drawn = axes.containers[0].lines[0]
    assert drawn.get_xdata().tolist() == [3, 4, 5]
    assert drawn.get_ydata().tolist() == pytest.approx([51, 40.5, 50])
    words = {text.get_text() for text in axes.get_legend().get_texts()}
    assert words == {"output stride 8", "without an atrous head", "r* = 5.00"}


def test_figures_of_nothing():
    for draw in (draw_center_to_center, draw_miou, draw_training):
        assert all(len(axes.texts) == 1 for axes in draw([]).axes)


def test_agreement_is_the_line_through_the_stars_that_fit():
    runs = [a_run(base, 0, 0.5, 144 * base / 3 * 1.01 + 2) for base in (3, 4, 5)]
    runs += [a_run(6, 0, 0.5, 111.0, fits=False), a_run(7), a_run(None)]
    found = agreement(make_rows(runs))
    assert (found.points, found.slope, found.intercept_px) == (3, pytest.approx(1.01), pytest.approx(2))
    assert found.r_squared == pytest.approx(1)
    assert found.largest_relative_error == pytest.approx(0.01 + 2 / 144)
    before = {"erf": "u.h5", "star": star(150.0, 144), "side95_px": 90.0}
    untrained = untrained_agreement(make_rows([replace(runs[0], untrained=before)]))
    assert (untrained.points, untrained.slope) == (1, None)
    assert untrained.largest_relative_error == pytest.approx(6 / 144)
    assert agreement([]).largest_relative_error is None


def test_before_and_after_training():
    before = {"erf": "u.h5", "star": star(150.0, 144), "side95_px": 90.0}
    rows = make_rows([a_run(None, 0, 0.5), a_run(3, 0, 0.5, 144.0, untrained=before)])
    sides, shares = draw_training(rows).axes
    assert [line.get_ydata().tolist() for line in sides.lines] == [[90.0], [100.0]]
    assert [line.get_ydata().tolist() for line in shares.lines] == [[30.0], [30.0]]
    document = {"subtitle": "here", "flags": [], "agreement": {"trained": agreement(rows).summary()}}
    page = render_sweep(
        document, rows, [draw(rows) for draw in (draw_center_to_center, draw_miou, draw_training)]
    )
    assert "Before and after training" in page
    assert "<td>150</td><td>144</td><td>90</td><td>100</td><td>20 %, 30 %</td><td>20 %, 30 %</td>" in page


def test_sentences_count_in_standard_errors():
    rows = [replace(row, miou_stderr=0.01) for row in ROWS[1:3]]
    best, held = sentences(rows, agreement(rows).summary())
    lead = (0.51 - 0.405) / (0.01 * math.sqrt(2))
    assert f"base rate 3 and output stride 8 scores best, mIoU 51.0 ± 1.0 %; {lead:.1f} standard" in best
    assert "at most 0.21 %" in held
    assert "one seed alone" in sentences([replace(row, seeds=1) for row in rows], agreement([]).summary())[0]
    assert sentences([], agreement([]).summary()) == ["There is nothing to compare yet."]


def test_files_of_a_sweep(tmp_path):
    document = {
        "subtitle": "here & there",
        "flags": ["1 of 8"],
        "results": [row.summary() for row in ROWS],
        "agreement": {"trained": agreement(ROWS).summary(), "untrained": None},
    }
    write_results(document, ROWS, tmp_path)
    assert json.loads((tmp_path / RESULTS).read_text())["results"][1]["base_rate"] == 3
    lines = (tmp_path / TABLE).read_text().splitlines()
    assert lines[0].startswith("base_rate,rates,output_stride,predicted_center_to_center_px,")
    assert lines[2].startswith("3,3; 6; 9,8,144,")
    page = render_sweep(document, ROWS, (draw_center_to_center(ROWS), draw_miou(ROWS)))
    assert "here &amp; there" in page
    assert "<script" not in page
    assert (tmp_path / "report.html").stat().st_size > 10_000
