"""Modules that a user could import are still where they were before deepnet_runs had packages."""

import importlib

import pytest

FORMER = {
    "conditions": "cells.conditions",
    "law_of_run": "dynamics.law_of_run",
    "measure": "measuring.measure",
    "records": "storage.records",
    "robustness_gain": "paper.robustness_gain",
    "runs": "storage.runs",
    "statistics": "measuring.statistics",
}


@pytest.mark.parametrize("name", FORMER)
def test_a_former_module_has_the_public_names_of_the_present_one(name):
    former, present = (importlib.import_module(f"deepnet_runs.{place}") for place in (name, FORMER[name]))
    defined = [key for key, value in vars(present).items() if getattr(value, "__module__", None) == present.__name__]
    public = [key for key in defined if not key.startswith("_")]
    assert public or name == "conditions"
    for key in public:
        assert getattr(former, key) is getattr(present, key), key
