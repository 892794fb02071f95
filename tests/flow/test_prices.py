"""A price list says what it knows, and is refused with file, key and cure."""

from pathlib import Path

import pytest

from undersky.errors import ConfigError
from undersky.flow.prices import PriceList, read_prices

EXAMPLE = Path(__file__).parents[2] / "examples" / "price-list.yaml"
LEAST = "currency: EUR\nsource: our contract\nas_of: 2026-11\ncore_hour: 0.03\ngib_hour: 0\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "prices.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_example_is_read_and_says_that_it_is_nobodys() -> None:
    prices = read_prices(EXAMPLE)
    assert "an example, nobody's prices" in prices.source
    assert "invented" in EXAMPLE.read_text(encoding="utf-8").splitlines()[0]
    assert None not in (prices.gpu_hour, prices.s3_gib_month, prices.egress_gib)


def test_a_day_is_text_however_yaml_reads_it(tmp_path: Path) -> None:
    assert read_prices(EXAMPLE).as_of == "2026-11-28"
    assert read_prices(written(tmp_path, LEAST)).as_of == "2026-11"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LEAST + "cpu_hour: 0.03\n", "prices.yaml: 'cpu_hour' is no key here; known: currency source"),
        (LEAST.replace("core_hour: 0.03\n", ""), "prices.yaml: core_hour is missing"),
        (LEAST + "gpu_hour: -1\n", "gpu_hour is -1, and no price is below 0"),
        (LEAST + "gpu_hour: two\n", r"prices.yaml: gpu_hour is 'two' \(str\), expected"),
        (LEAST + "core_hour: 0.04\n", "found core_hour twice"),
        (LEAST.replace("our contract", "' '"), "source is empty"),
        ("- 1\n", "expected keys and values"),
        ("a: [\n", "is no YAML"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_prices(written(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml cannot be read: No such file"):
        read_prices(tmp_path / "none.yaml")


def test_a_price_that_is_needed_is_asked_for() -> None:
    prices = PriceList("EUR", "us", "2026", 1.0, 1.0)
    with pytest.raises(ConfigError, match="no gpu_hour, and 2 GPUs are needed: add it"):
        prices.needed("gpu_hour", "2 GPUs are needed")
