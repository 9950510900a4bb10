"""The form that operators fill in: every field explains itself and none is a choice of types."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
import yaml
from prefect.utilities.callables import parameter_schema

ROOT = Path(__file__).resolve().parents[2]
ENTRYPOINTS = [
    deployment["entrypoint"]
    for deployment in yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
]


@pytest.mark.parametrize("entrypoint", ENTRYPOINTS)
def test_each_field_of_the_form_explains_itself(entrypoint: str) -> None:
    module, _, name = entrypoint.rpartition(".")
    schema = parameter_schema(getattr(import_module(module), name))
    assert schema.required == []
    for title, field in schema.properties.items():
        assert field["description"], title
        assert "anyOf" not in field, title
        assert "default" in field, title
