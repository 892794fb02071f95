"""What the demo says at its end: products, refusals, a picture, where to look and how to go on."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from onemachine.component import Site, fetch
from onemachine.stack import Stack
from onemachine.storage import BUCKET
from rich.console import Console
from rich.table import Table

from showcase.following import Standing

SNIPPET = """\
import odc.stac
import pystac_client

search = pystac_client.Client.open("{catalog}").search(
    collections=["{collection}"], bbox={bbox}, datetime="{day}"
)
cube = odc.stac.load(search.items(), bands=["red", "green", "blue"], crs="{crs}", resolution={resolution})
red = cube.red.where(cube.red != cube.red.odc.nodata) * {scale:g} + {offset:g}
print(cube)
print("mean red reflectance:", float(red.mean()))
"""


def tell_products(console: Console, site: Site, standings: Sequence[Standing]) -> None:
    """The published ones, a line each."""
    table = Table(
        "scene", "cloud %", "AOD", "seconds", "MB", box=None, title="products", title_justify="left"
    )
    table.add_column("Item", overflow="fold")
    for each in standings:
        if each.product is not None and each.product.made is not None and each.state == "published":
            made = each.product.made
            cells = (_number(made.cloud_percent, 1), _number(made.aot_550, 2), _number(made.seconds, 1))
            table.add_row(
                each.expected.scene,
                *cells,
                _number(made.bytes / 1e6, 1),
                public(site, each.product.href or ""),
            )
    console.print(table)


def tell_refusals(console: Console, standings: Sequence[Standing]) -> None:
    """Those that became no product, and why."""
    table = Table("scene", "ended", "reason", "why", box=None, title="no products", title_justify="left")
    for each in standings:
        if each.state != "published":
            table.add_row(each.expected.scene, each.state, each.reason, each.sentence)
    console.print(table)


def tell_surprises(console: Console, standings: Sequence[Standing]) -> None:
    """Those that did not end as they must."""
    for each in standings:
        if not each.is_right:
            console.print(
                f"NOT AS EXPECTED  {each.expected.scene}: {each.state} ({each.reason}), "
                f"expected {each.expected.ending} ({each.expected.reason}). {each.sentence}",
                style="bold red",
            )


def public(site: Site, href: str) -> str:
    """The address at which anybody reads it."""
    return href.replace(f"s3://{BUCKET}/", f"{site.url('s3')}/{BUCKET}/")


def picture(
    stack: Stack, scene: str, items: Mapping[str, str], *, name: str = "before-after.png"
) -> tuple[Path, Mapping[str, float]] | None:
    """A scene before and after, drawn by a child, and its errors against the truth; None where that failed.

    Args:
        stack: Where it is published.
        scene: Id of the delivered product.
        items: Caption to the address of an Item.
        name: Of the picture, in the stack's folder.
    """
    out = stack.site.folder.path / name
    pairs = [f"{caption}={public(stack.site, href)}" for caption, href in items.items()]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("drawing.py")), scene, str(out), *pairs],
        env={**stack.environment, "UPSTREAM": str(stack.site.folder.path / "upstream" / "products")},
        capture_output=True,
        text=True,
        check=False,
    )
    (stack.site.folder.logs / "drawing.log").write_text(done.stdout + done.stderr, encoding="utf-8")
    return (out, json.loads(done.stdout.splitlines()[-1])) if done.returncode == 0 else None


def snippet(site: Site, standing: Standing, item: Mapping[str, object]) -> str:
    """Python that anybody may paste: the scene as a cube."""
    product = standing.product
    assert product is not None
    assert product.made is not None
    bbox = [round(float(value), 4) for value in list(item["bbox"])]  # type: ignore[call-overload]
    properties = item["properties"]
    assert isinstance(properties, dict)
    red = reflectance_asset(item, "red")
    return SNIPPET.format(
        scale=red.get("raster:scale", 1.0),
        offset=red.get("raster:offset", 0.0),
        catalog=site.url("catalog"),
        collection=product.made.collection,
        bbox=bbox,
        day=f"{product.sensed:%Y-%m-%d}",
        crs=properties["proj:code"],
        resolution=30 if product.made.collection.startswith("landsat") else 20,
    )


def tell_places(console: Console, stack: Stack, band: str) -> None:
    """Where people look, and as whom."""
    site, secrets = stack.site, stack.site.secrets
    rows = {
        "Airflow": f"{site.url('airflow')}   admin / {secrets.airflow_admin}",
        "MLflow": f"{site.url('mlflow')}   admin / {secrets.mlflow_admin}",
        "STAC API": f"{site.url('catalog')}   anybody",
        "upstream": f"{site.url('archive')}/cdse/   anybody",
        "S3": f"{site.url('s3')}   key {secrets.s3_key}, secret {secrets.s3_secret}",
        "QGIS": f"/vsicurl/{band}   (Layer, Add Raster Layer; anybody)",
        "shell": 'eval "$(.venv/bin/python docker/stack.py env)"; .venv/bin/undersky status',
    }
    for name, text in rows.items():
        console.print(f"{name:<9} {text}", soft_wrap=True, highlight=False)


def band_address(href: str, item: Mapping[str, object], colour: str) -> str:
    """Public address of the reflectance of the band of that colour."""
    return urljoin(href, str(reflectance_asset(item, colour)["href"]))


def reflectance_asset(item: Mapping[str, object], colour: str) -> dict[str, Any]:
    """The asset of an Item that holds the reflectance of the band of that colour."""
    assets = item["assets"]
    assert isinstance(assets, dict)
    for asset in assets.values():
        names = [band.get("eo:common_name") for band in asset.get("bands", [])]
        if colour in names and "reflectance" in asset.get("roles", []):
            return dict(asset)
    raise KeyError(colour)


def findable(site: Site) -> int:
    """How many products a search of the STAC API finds."""
    try:
        status, text = fetch(f"{site.url('catalog')}/search?limit=1000")
        return len(json.loads(text)["features"]) if status == 200 else 0
    except (OSError, ValueError, KeyError):
        return 0


def read_item(text: bytes) -> Mapping[str, object]:
    """The Item."""
    item: Mapping[str, object] = json.loads(text)
    return item


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
