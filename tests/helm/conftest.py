"""The chart rendered once for each of its examples."""

import copy

import pytest
from chartcheck.objects import Rendered, render, values_of
from check import CHART, examples


@pytest.fixture(scope="session")
def rendered():
    """What an example makes of the chart, by its name; to be changed freely."""
    made: dict[str, Rendered] = {}

    def of(name: str) -> Rendered:
        if name not in made:
            made[name] = render(CHART, values_of(examples()[name]))
        return copy.deepcopy(made[name])

    return of


@pytest.fixture(scope="session")
def find(rendered):
    """The body of one object of an example."""

    def of(name, kind, called, namespace=None):
        (found,) = (
            each.body
            for each in rendered(name).objects
            if each.name == f"{kind}/{called}" and namespace in (None, each.namespace)
        )
        return found

    return of
