"""The page of products that lie on a disk."""

import base64
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from PIL import Image

from map_products import edit, put_cover, put_objects, put_surface
from undersky.cli import main
from undersky.errors import DataError
from undersky.stages.page import write_page


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A surface product and two maps of it."""
    out = tmp_path_factory.mktemp("products")
    surface = put_surface(out)
    put_cover(out, surface)
    put_objects(out, surface, [{"row": 100, "col": 60}, {"row": 110, "col": 20, "score": 0.6}])
    return out


def test_maps_stand_beside_the_product_they_are_of_and_every_link_leads_to_a_file(
    products: Path, tmp_path: Path
) -> None:
    made = write_page([products], tmp_path / "deep" / "page.html")
    assert (made.scenes, made.shown, made.products) == (1, 1, 3)
    text = made.page.read_text()
    assert made.bytes == made.page.stat().st_size
    links = re.findall(r'<a href="([^"]+)"', text)
    assert len(links) == 3 + 1 + 2 + 2
    assert all((made.page.parent / unquote(link)).is_file() for link in links)
    assert (
        text.index("Surface reflectance · made")
        < text.index("Land cover · made")
        < text.index("Vessels · made")
    )
    assert "<td>1</td><td>0.90</td><td>60&nbsp;m</td>" in text


def test_a_folder_may_be_one_product_and_naming_it_twice_changes_nothing(
    products: Path, tmp_path: Path
) -> None:
    [surface] = products.glob("*_SR_*")
    made = write_page([surface, products], tmp_path / "page.html")
    assert (made.scenes, made.products) == (1, 3)


@pytest.mark.parametrize(("href", "shown"), [("./mine.png", 1), ("../../secret.png", 0)])
def test_an_item_from_elsewhere_shows_no_file_but_those_beside_it(
    tmp_path: Path, href: str, shown: int
) -> None:
    surface = put_surface(tmp_path / "products")
    for path in (surface / "mine.png", tmp_path / "secret.png"):
        Image.new("RGB", (4, 4), "red").save(path)
    asset = {"href": href, "type": "image/png", "roles": ["thumbnail"]}
    edit(surface, lambda item: item["assets"].update(thumbnail=asset))
    text = write_page([surface], tmp_path / "page.html").page.read_text()
    assert text.count(base64.b64encode((surface / "mine.png").read_bytes()).decode()) == shown


def test_a_folder_without_products_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no product"):
        write_page([tmp_path], tmp_path / "page.html")


def test_the_verb_says_where_the_page_lies(
    products: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "page.html"
    assert main(["page", "--products", str(products), "--out", str(out)]) == 0
    assert str(out) in capsys.readouterr().out.replace("\n", "")
    assert out.read_text().startswith("<!doctype html>")
