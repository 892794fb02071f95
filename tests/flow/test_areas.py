"""What a person types becomes an area, or a sentence that says why not."""

import json
from dataclasses import replace
from datetime import date

import pytest

from undersky.errors import ConfigError
from undersky.flow.areas import Wish, area_of
from undersky.services.profiles import load_profiles

PROFILES = load_profiles()
TODAY = date(2025, 6, 20)
RING = [[11.0, 44.0], [12.0, 44.0], [12.0, 45.0], [11.0, 45.0], [11.0, 44.0]]
POLYGON = {"type": "Polygon", "coordinates": [RING]}


@pytest.fixture
def wish(tmp_path):
    path = tmp_path / "Po Valley (2).geojson"
    path.write_text(json.dumps(POLYGON))
    return Wish(path, date(2025, 6, 1), ("sentinel-2-l1c",))


def made(wish):
    return area_of(wish, profiles=PROFILES, today=TODAY)[0]


def test_the_file_names_the_area(wish):
    area = made(wish)
    assert area.name == "po-valley-2"
    assert area.geometry["type"] == "Polygon"
    assert (area.since, area.until, area.max_cloud, area.profiles) == (date(2025, 6, 1), None, None, ())


def test_the_features_name_goes_before_the_files(wish):
    wish.file.write_text(json.dumps({"type": "Feature", "geometry": POLYGON, "properties": {"name": "Po"}}))
    assert made(wish).name == "po"
    assert made(replace(wish, name="delta-1")).name == "delta-1"


def test_doubled_collections_and_profiles_count_once(wish):
    area = made(replace(wish, collections=["sentinel-2-l1c"] * 2, profiles=["earth-search"] * 2))
    assert (area.collections, area.profiles) == (("sentinel-2-l1c",), ("earth-search",))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "Po Valley"}, "lower case"),
        ({"name": ""}, "lower case"),
        ({"name": "-po"}, "lower case"),
        ({"collections": ("sentinel-2-l2a",)}, "no collection of ours"),
        ({"profiles": ("google",)}, "no profile is called google"),
        ({"profiles": ("usgs-landsatlook",)}, "in none of the profiles usgs-landsatlook"),
        ({"max_cloud": 160.0}, "no percentage"),
        ({"since": date(1999, 1, 1)}, "2015-06-27"),
        ({"since": date(2031, 1, 1)}, "is the year right"),
        ({"until": date(2025, 5, 1)}, "before --from"),
    ],
)
def test_what_cannot_be_meant_is_refused(wish, changes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        made(replace(wish, **changes))


def test_a_file_without_a_name_that_can_be_typed_needs_one(wish, tmp_path):
    path = wish.file.rename(tmp_path / "地.geojson")
    with pytest.raises(ConfigError, match="--name"):
        made(replace(wish, file=path))


def test_landsat_may_begin_before_sentinel_2(wish):
    area = made(replace(wish, since=date(2013, 4, 1), collections=("landsat-c2-l1",)))
    assert area.since == date(2013, 4, 1)
    with pytest.raises(ConfigError, match="2015-06-27"):
        made(replace(wish, since=date(2013, 4, 1), collections=("landsat-c2-l1", "sentinel-2-l1c")))
