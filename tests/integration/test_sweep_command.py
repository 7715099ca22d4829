"""`erfscope sweep` as people call it."""

import json

import pytest

SWEEP = (
    "sweep", "--data", "synthetic-leaves", "--model", "deeplabv3", "--backbone", "resnet18-small",
    "--output-stride", "8", "--size", "97", "--iterations", "2", "--batch-size", "2", "--images", "8",
    "--erf-images", "2", "--set", "data.scene_scale=1", "--workers", "0", "--out", "s",
)  # fmt: skip
MAPS = ("--untrained", "--erf-size", "105", "--json")
KEYS = {
    "base_rate", "rates", "output_stride", "predicted_center_to_center_px", "measured_center_to_center_px",
    "measured_stderr_px", "relative_error", "miou", "miou_stderr", "checkpoint", "erf", "flags", "flag_codes",
}  # fmt: skip


@pytest.mark.slow
def test_a_sweep_is_resumed_extended_and_read_again(run, here):
    first = run(*SWEEP, "--base-rates", "1,2", *MAPS)
    assert first.code == 0, first.err
    rows = first.json["results"]
    assert all(set(row) >= KEYS for row in rows)
    assert [row["rates"] for row in rows] == [[1, 2, 3], [2, 4, 6]]
    assert [row["predicted_center_to_center_px"] for row in rows] == [48, 96]
    assert rows[0]["untrained"].keys() == {
        "measured_center_to_center_px", "relative_error", "side95_px", "ring_mass_shares"
    }  # fmt: skip
    assert set(first.json["agreement"]) == {"trained", "untrained"}
    assert 0 <= rows[0]["miou"] <= 1
    assert not [flag for row in rows for flag in row["flags"] if "F1" in flag]  # the table has none
    assert rows[0]["recommended_rate"] == (97 - 32) / (6 * 8)  # of the crop, not of the larger map
    loaded = run("inspect", rows[1]["checkpoint"], "--json").json
    assert (loaded["network"], loaded["rates"]) == ("deeplabv3", [2, 4, 6])
    assert run("star-distance", rows[1]["erf"], "--json").code == 0
    before = {path: path.stat().st_mtime_ns for path in here.glob("s/*/result.json")}
    (here / "s/stride8-rate2-seed0/result.json").unlink()
    more = run(*SWEEP, "--base-rates", "1,2", "--baseline", "fcn", *MAPS)
    assert [row["base_rate"] for row in more.json["results"]] == [None, 1, 2]
    kept = here / "s/stride8-rate1-seed0/result.json"
    assert kept.stat().st_mtime_ns == before[kept]
    # Trained once: what was measured again is of the same weights.
    again = next(row for row in more.json["results"] if row["base_rate"] == 2)
    assert again["miou"] == rows[1]["miou"]
    other = run(*SWEEP, "--base-rates", "1", "--iterations", "3")
    assert other.code == 2
    assert "s holds a sweep with" in other.err


@pytest.mark.slow
def test_shards_fill_one_table(run, here):
    first = run(*SWEEP, "--base-rates", "1,2", "--shard", "0/2", "--json").json
    assert (len(first["results"]), first["done"], first["runs"]) == (1, 1, 2)
    assert first["flags"] == ["1 of 2 runs are not done yet"]
    second = run(*SWEEP, "--base-rates", "1,2", "--shard", "1/2", "--json").json
    assert [row["base_rate"] for row in second["results"]] == [1, 2]
    assert second["flags"] == []
    assert json.loads((here / "s/results.json").read_text()) == second


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--base-rates", "x"), "no list of whole numbers"),
        ((), "no rates to sweep over; give --base-rates"),
        (
            ("--base-rates", "3", "--model", "fcn", "--data", "synthetic-leaves"),
            "fcn has no atrous rates to sweep over",
        ),
        (("--base-rates", "3", "--data", "nowhere"), "no recipe is named; give --recipe"),
        (("nowhere.toml",), "nowhere.toml: No such file"),
        (("--base-rates", "3", "--shard", "2/2"), "'2/2' is no shard"),
    ],
)
def test_bad_input_is_one_line(run, here, args, told):
    result = run("sweep", *args)
    assert result.code == 2
    assert told in result.err
    assert len(result.err.splitlines()) == 1
