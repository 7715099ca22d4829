"""Flags: one table of codes, which every flag in the package comes from."""

import ast
from pathlib import Path

import pytest

from erfscope.records.flags import FLAG_CODES, Flag, flag_fields, read_flags

PACKAGE = Path(__file__).parents[3] / "erfscope"


def constants(node):
    """All constants in a module."""
    return [each.value for each in ast.walk(node) if isinstance(each, ast.Constant)]


def test_an_unknown_code_is_refused():
    with pytest.raises(ValueError, match="FLAG_CODES"):
        Flag("no_such_code", "message")


def test_codes_are_words_that_the_package_raises():
    table = PACKAGE / "records" / "flags.py"
    used = {
        text
        for path in PACKAGE.rglob("*.py")
        if path != table
        for text in constants(ast.parse(path.read_text()))
    }
    assert [code for code in FLAG_CODES if code not in used] == []
    assert all(code.replace("_", "").isalpha() and code.islower() for code in FLAG_CODES)
    assert all(meaning.endswith(".") for meaning in FLAG_CODES.values())


def test_every_flag_has_a_code_of_the_table():
    calls = [
        node
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Flag"
    ]
    codes = [call.args[0].value for call in calls if isinstance(call.args[0], ast.Constant)]
    assert len(codes) > 30
    assert set(codes) <= FLAG_CODES.keys()


def test_flags_survive_json():
    flags = (Flag("few_images", "2 images"), Flag("few_images", "3 images"))
    assert flag_fields(flags)["flag_codes"] == ["few_images", "few_images"]
    for prefix in ("", "prediction_"):
        assert read_flags(flag_fields(flags, prefix), prefix) == flags


@pytest.mark.parametrize("document", [{"flags": ["a"]}, {"flags": ["a"], "flag_codes": []}, {"flags": None}])
def test_damaged_flags_are_refused(document):
    with pytest.raises((KeyError, TypeError, ValueError)):
        read_flags(document)
