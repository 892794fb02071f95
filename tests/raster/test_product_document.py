"""docs/product.md and the code say the same."""

import re
from itertools import takewhile
from pathlib import Path

import pytest

from undersky.bands import SENSORS
from undersky.quality import MEANING, UNUSABLE
from undersky.raster import encoding as enc
from undersky.raster.browse import THUMBNAIL_PIXELS, WHITE

PAGE = (Path(__file__).parents[2] / "docs" / "product.md").read_text(encoding="utf-8")
SENSOR = SENSORS["S2A"]


def _rows(header: str) -> list[list[str]]:
    """The cells of the table under that header line."""
    _, _, rest = PAGE.partition(header + "\n")
    assert rest, f"no table starts with {header!r}"
    lines = rest.splitlines()[1:]
    table = list(takewhile(lambda line: line.startswith("|"), lines))
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in table]


def _layers() -> dict[str, enc.Layer]:
    band = SENSOR.band("B02")
    single = {layer.key: layer for layer in enc.layers_of(SENSOR) if layer.band is None}
    return {"<band>": enc.reflectance_layer(band), "unc_<band>": enc.uncertainty_layer(band)} | single


def _formula(layer: enc.Layer) -> str:
    if enc.bits_of(layer, SENSOR):
        return "bits"
    if layer.curve == "square":
        return f"(stored / {round(layer.scale**-0.5)})^2"
    return f"{layer.scale:g} * stored"


def test_the_table_of_layers_is_the_code() -> None:
    found = _rows("| layer | type | nodata | value | unit | grid | overviews |")
    expected = [
        [
            key,
            layer.dtype,
            str(layer.nodata).lower(),
            _formula(layer),
            layer.unit,
            layer.where,
            layer.overviews,
        ]
        for key, layer in _layers().items()
    ]
    assert found == expected


def test_the_table_of_bits_is_the_code() -> None:
    found = _rows("| bit | value | name | says |")
    expected = [
        [str(flag.value.bit_length() - 1), str(flag.value), str(flag.name).lower(), sentence]
        for flag, sentence in MEANING.items()
    ]
    assert found == expected


@pytest.mark.parametrize("sensor", SENSORS.values(), ids=SENSORS)
def test_the_asset_keys_of_every_collection_are_the_code(sensor) -> None:
    rows = {row[0]: row[1] for row in _rows("| collection | asset keys |")}
    keys = rows[sensor.collection].split("`")[0].split()
    assert keys == [band.asset for band in sensor.corrected_bands]


def test_the_clear_pixel_expression_is_the_codes() -> None:
    assert f"`quality & {int(UNUSABLE)} == 0`" in PAGE


def test_format_version_and_thumbnail_stretch_are_the_codes() -> None:
    assert f"format version {enc.FORMAT_VERSION}." in PAGE
    assert f"sqrt(reflectance / {WHITE})" in PAGE
    assert f"at most {THUMBNAIL_PIXELS} pixels" in PAGE


def test_the_stated_ranges_are_the_codes() -> None:
    low, high = enc.reflectance_layer(SENSOR.band("B02")).range
    assert f"{low:.4f} .. {high:.4f}" in PAGE
    assert f"{enc.uncertainty_layer(SENSOR.band('B02')).range[1]:.2f}; larger" in PAGE


def test_every_private_field_of_an_item_is_explained() -> None:
    source = Path(enc.__file__).parents[1] / "stac" / "documents.py"
    written = set(re.findall(r'"(undersky:\w+)"', source.read_text(encoding="utf-8")))
    assert written == set(re.findall(r"`(undersky:\w+)`", PAGE))


def test_terrain_is_said_to_be_uncorrected_and_every_threshold_row_is_answered() -> None:
    assert "**Terrain illumination is not corrected.**" in PAGE
    rows = _rows("| requirement | level | met | how |")
    assert len(rows) == 37
    for requirement, level, met, how in rows:
        if level.startswith("threshold"):
            assert met in {"yes", "by reference"}, requirement
            assert how, requirement


def test_the_example_in_the_page_is_how_the_code_decodes() -> None:
    example = PAGE.split("import numpy as np, rasterio")[1].split("odc-stac")[0]
    assert "== -9999, np.nan, dn * 1e-4" in example
    assert "== 255, np.nan, (dn / 800.0) ** 2" in example


def test_the_state_file_in_the_page_is_one_the_code_reads(tmp_path: Path) -> None:
    from undersky.atmosphere.state_file import read_state

    start = PAGE.index('{"format": "undersky-atmosphere-state/1"')
    text = PAGE[start : PAGE.index("## Bytes")]
    (tmp_path / "state.json").write_text(text, encoding="utf-8")
    state, uncertainty = read_state(tmp_path / "state.json")
    assert float(state.aot_550.mean()) == pytest.approx(0.12)
    assert float(uncertainty.aot_550.mean()) == pytest.approx(0.03)
