"""The report: one file that needs nothing but itself, and tells what the JSON documents tell."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from simulated_maps import Blob, clipped_sums, star_variance

from erfscope.records.convergence import Convergence, ErrorCheck
from erfscope.records.erf_map import ErfMap
from erfscope.records.flags import Flag
from erfscope.records.unit import Unit
from erfscope.workflows.map_report import write_report

HOSTILE = "<script>alert(1)</script>\"'&</style>{{ 7*7 }}"
VOID = {"meta", "img", "input", "br", "link"}


class Page(HTMLParser):
    """Every element with its attributes, and the text by element; unbalanced tags are an error."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self, *, of=None, without=("script", "style")):
        kept = (data for tag, data in self.texts if (tag == of if of else tag not in without))
        return " ".join(" ".join(kept).split())


class Report(NamedTuple):
    folder: Path
    documents: list[dict[str, Any]]
    text: str
    page: Page


@pytest.fixture(scope="module")
def star():
    """The map of a star of rates 3, 6, 9 at stride 8 on 161×161 px, with its prediction."""
    groups = clipped_sums(star_variance((161, 161), (80, 80), (24, 48, 72), Blob(4.0)), images=16)
    prediction = {
        "pattern": "star",
        "projected_center": {"y_px": 80, "x_px": 80},
        "rates": [3, 6, 9],
        "read_stride": 8.0,
        "center_to_center_px": 144.0,
        "end_to_end_convention_px": 176.0,
        "lattice": [[0.0, 0.0], [-24.0, 24.0]],
        "flags": ["taps fall outside"],
        "flag_codes": ["taps_outside_map"],
    }
    provenance = {
        "prediction": prediction,
        "network": {"name": "star-net", "training": {"crop_size": [209, 300]}},
        "weights": {"source": "random", "label": "random weights (seed 0)"},
        "command": HOSTILE,
    }
    return ErfMap(
        groups.sum(0), Unit(80, 80), (80.0, 80.0), "paper", "logits", 16,
        replicates=groups.astype(np.float32), provenance=provenance,
    )  # fmt: skip


@pytest.fixture(scope="module")
def both(tmp_path_factory, star, small_map):
    """A report on two maps: its folder, its documents, its text, its elements."""
    folder = tmp_path_factory.mktemp("report")
    star.save(folder / "star.h5")
    small_map.save(folder / "small.h5")
    documents = write_report([folder / "star.h5", folder / "small.h5"], folder / "both.html")
    text = (folder / "both.html").read_text()
    return Report(folder, documents, text, Page(text))


def embedded(text):
    (inside,) = re.findall(r'<script type="application/json" id="documents">(.*?)</script>', text, re.DOTALL)
    return json.loads(inside)


def test_it_holds_all_it_needs(both):
    for tag, attributes in both.page.elements:
        for name in ("src", "href"):
            if name in attributes:
                assert attributes[name].startswith(("data:image/", "#")), tag
    assert not both.page.all("link")
    assert "url(" not in both.page.text(of="style")
    (policy,) = [each for each in both.page.all("meta") if "http-equiv" in each]
    assert "default-src 'none'" in policy["content"]
    assert len(both.text) < 2 * 3e6


def test_links_lead_somewhere_and_images_have_words(both):
    names = {attributes.get("id") for _, attributes in both.page.elements}
    links = [each["href"] for each in both.page.all("a")]
    assert links == ["#map-1", "#map-2"]
    assert {link[1:] for link in links} <= names
    images = both.page.all("img")
    assert len(images) == 2 * 6  # map and profiles on two scales, the residual, and the error
    assert all(len(each["alt"]) > 20 for each in images)
    switch = both.page.all("input")
    assert {(each["type"], each["name"]) for each in switch} == {("radio", "scale")}
    assert [("checked" in each) for each in switch] == [True, False]


def test_it_tells_the_numbers_of_the_documents(both):
    text = both.page.text()
    for document in both.documents:
        star, fit = document["star"], document["gaussian"]
        told = [(ring["distance_px"], ring["stderr_px"]) for ring in star["rings"]]
        told += [(star["center_to_center_px"], star["center_to_center_stderr_px"])] if told else []
        told += [
            (each[name], each["stderr"][name]) for each in (fit, fit["study"]) for name in ("x0_px", "y0_px")
        ]
        for value, stderr in told:
            places = 1 if stderr >= 0.1 else 2
            assert f"{value:.{places}f} ± {stderr:.{places}f} px" in text
        assert f"{fit['r_squared']:.3f}" in text
        assert document["advice"]["text"] in text
        assert all(flag in text for flag in document["flags"])
    assert len(told) == 4  # of a map without a star


def test_documents_are_those_of_the_other_commands(both, run):
    def without_file(command):
        (result,) = run(command, both.folder / "star.h5", "--json").json["results"]
        return {key: value for key, value in result.items() if key != "file"}

    star = embedded(both.text)[0]
    assert star["star"] == without_file("star-distance")
    assert star["gaussian"] == without_file("fit-gaussian")
    assert star["pattern"] == without_file("pattern")
    assert embedded(both.text) == json.loads(json.dumps(both.documents))


def test_advice_and_warnings(both):
    star, small = both.documents
    assert star["advice"]["text"] == (
        "This network reads 176 px (center to center 144 px plus 32 px); your crop is 209 px: "
        "use base rate 4 (4, 8, 12) at stride 8."
    )
    assert star["advice"]["notes"][0] == "The crop of 209 px is the training crop that the checkpoint names."
    assert any("random weights" in flag for flag in star["flags"])
    assert "prediction: taps fall outside" in star["flags"]
    assert small["advice"]["rates"] is None


def test_it_tells_how_many_images_it_takes(both):
    text = both.page.text()
    for document in both.documents:
        found = document["convergence"]
        (check,) = found["checks"]  # none was recorded: the map as it is
        assert check["images"] == document["map"]["images"]
        ratio = (check["map_error"] / 0.01) ** 2
        assert found["images_needed"]["0.01"] == pytest.approx(ratio * check["images"], abs=1)
        assert (found["until"], found["converged"]) == (None, None)
        assert found["sentence"] in text
        assert f"{100 * check['map_error']:.2f} %" in text


def stopped_map(star, **changes):
    """A map that was checked at 8 images, and stopped at its 16."""
    checks = tuple(ErrorCheck(images, 0.2, 0.05, "star", 3, 16.0, 144.0, 2.0) for images in (8, 16))
    flags = (Flag("stopped_by_error", "mind the stopping"),)
    record = Convergence(0.2, checks, True, flags).summary() | changes
    return replace(star, provenance={**star.provenance, "convergence": record})


def test_recorded_checks_are_shown(run, here, star):
    stopped_map(star).save("stopped.h5")
    (document,) = run("report", "stopped.h5", "--json").json["results"]
    found = document["convergence"]
    assert [check["images"] for check in found["checks"]] == [8, 16]
    assert found["checks"][0]["map_error"] == 0.2
    assert found["checks"][1]["map_error"] != 0.2  # measured anew
    assert (found["until"], found["converged"]) == (0.2, True)
    place = document["flags"].index("map: mind the stopping")
    assert document["flag_codes"][place] == "stopped_by_error"
    page = Page((here / "report.html").read_text())
    assert "mind the stopping" in page.text()
    assert "convergence.checks" not in page.text()  # the table of errors has them


def test_a_damaged_record_is_told_in_a_line(run, here, star):
    stopped_map(star, checks=[{"images": 3}]).save("damaged.h5")
    result = run("report", "damaged.h5")
    assert result.code == 2
    assert "record of its convergence is damaged" in result.err
    assert "compute the map again" in result.err


def test_a_map_whose_images_are_unknown_has_no_such_figure(run, here, star):
    np.save("groups.npy", star.replicates)
    assert run("import", "groups.npy", "groups.h5").code == 0
    (document,) = run("report", "groups.h5", "--json").json["results"]
    assert document["convergence"] is None
    assert len(Page((here / "report.html").read_text()).all("img")) == 5


def test_hostile_names_stay_text(run, here, star):
    network = {"name": HOSTILE, "options": {"backbone": "</title><img src=x onerror=alert(1)>"}}
    name = "a<b>&\"'{{1}}.h5"
    replace(star, provenance={**star.provenance, "network": network, "dataset": {"name": HOSTILE}}).save(name)
    assert run("report", name).code == 0
    text = (here / "report.html").read_text()
    page = Page(text)
    assert len(page.all("script")) == 3  # values; documents; the page's own
    assert "onerror" not in {key for _, attributes in page.elements for key in attributes}
    assert all(each["src"] != "x" for each in page.all("img"))
    assert HOSTILE in page.text()
    assert name in page.text()
    assert embedded(text)[0]["file"] == name


def test_an_existing_report_is_kept(run, here, small_map):
    small_map.save("small.h5")
    (here / "report.html").write_text("mine")
    refused = run("report", "small.h5")
    assert refused.code == 2
    assert "exists already" in refused.err
    assert (here / "report.html").read_text() == "mine"
    assert run("report", "small.h5", "--overwrite").code == 0
    assert len(Page((here / "report.html").read_text()).all("section")) == 1  # no overview of one map


def test_json_and_a_crop_of_ones_own(run, here, both):
    result = run("report", both.folder / "star.h5", "--crop", "128", "--out", "one.html", "--json").json
    assert result["out"] == "one.html"
    (document,) = result["results"]
    assert (
        "more than your crop of 128 px: use the smaller base rate 2 (2, 4, 6)" in document["advice"]["text"]
    )
    assert document["advice"]["notes"][0] == "The crop of 128 px is the one that you gave."


def test_plot_shows_what_is_asked_for(run, here, both):
    def texts(*options):
        result = run("plot", both.folder / "star.h5", "--out", "p.svg", "--overwrite", "--json", *options)
        assert result.code == 0, result.err
        return result.json["show"], set(
            re.findall(r"<text[^>]*>([^<]*)</text>", (here / "p.svg").read_text())
        )

    star, predicted = "measured star: blobs on its arms", "predicted positions"
    shown, words = texts()
    assert (shown, star in words, predicted in words) == (["star"], True, False)
    shown, words = texts("--show", "none")
    assert (shown, star in words) == ([], False)
    shown, words = texts("--show", "prediction, residual")
    assert (shown, star in words, predicted in words) == (["prediction", "residual"], False, True)
    assert any(word.startswith("map − Gaussian") for word in words)
    assert len(texts("--show", "all")[0]) == 5
    assert (
        "expected some of star" in run("plot", both.folder / "star.h5", "--show", "arms", "-o", "q.png").err
    )


def test_a_map_without_positive_values_is_drawn_on_a_linear_scale(run, here):
    np.save("negative.npy", -np.random.default_rng(0).random((40, 50)))
    assert run("import", "negative.npy", "negative.h5").code == 0
    result = run("report", "negative.h5")
    assert result.code == 0, result.err
    assert "No rate is to be advised" in result.out
    assert len(Page((here / "report.html").read_text()).all("img")) == 3


def test_a_missing_map_leaves_no_report(run, here):
    result = run("report", "nothing.h5", "--out", "x.html")
    assert result.code == 2
    assert "nothing.h5" in result.err
    assert not (here / "x.html").exists()
