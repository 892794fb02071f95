"""Small land-cover maps of one tile on several days, on the disk and published, for tests of rolling maps."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

import map_products
from fixtures_ledger import BY, LEASE, one_valid, product_of, publish
from undersky.batch.products import Place, upload
from undersky.flow.published import ITEM_TYPE, item_key, to_bytes
from undersky.landcover import CODES
from undersky.refs import Judged, Kind, Made, ModelRef
from undersky.services.ledger import Ledger
from undersky.services.store import Store

FIRST = datetime(2025, 3, 1, 10, 15, 59, tzinfo=UTC)
TILE = "32TQM"
COVER = "sentinel-2-landcover"
MODEL = ModelRef(name="landcover", version="1", label="landcover-1", digest="m1", href="s3://undersky/m1")


def put_map(out: Path, day: int, codes: np.ndarray | None = None, sure: np.ndarray | float = 0.8) -> Path:
    """The folder of a map sensed that many days after FIRST; unless told, of random ground."""
    if codes is None:
        rng = np.random.default_rng(day)
        codes = rng.choice(
            [0, *CODES], size=map_products.GRID.shape.yx, p=[0.1, *[0.9 / len(CODES)] * len(CODES)]
        )
        sure = rng.uniform(0.1, 1.0, codes.shape)
    # each day's map is of another surface product, so its digest differs though its pixels may not
    sure = np.broadcast_to(np.asarray(sure, dtype=np.float32), codes.shape) + np.float32(day * 1e-6)
    sensed = FIRST + timedelta(days=day)
    surface = map_products.put_surface(out / f"surface-{day}")
    map_products.edit(
        surface,
        lambda item: item["properties"].update(
            {
                "datetime": f"{sensed:%Y-%m-%dT%H:%M:%SZ}", "grid:code": f"MGRS-{TILE}",
                "constellation": "sentinel-2", "attribution": f"Copernicus Sentinel data {sensed:%Y}",
            }
        ),
    )  # fmt: skip
    return map_products.put_cover(out, surface, codes.astype(np.uint8), sure)


def ground(code: int) -> np.ndarray:
    """One class everywhere."""
    return np.full(map_products.GRID.shape.yx, code, dtype=np.uint8)


def publish_map(ledger: Ledger, day: int, *, tile: str = TILE, made: Made | None = None) -> Made:
    """A published land-cover map of that tile, sensed so many days after FIRST; in the ledger alone."""
    sensed = FIRST + timedelta(days=day)
    key = f"S2B_{sensed:%Y%m%dT%H%M%S}_{tile}"
    ref = one_valid(ledger, key=key, scene=f"{key}_L1C", tile=tile, sensed=sensed)
    source = f"surface-{tile}-{day}"
    publish(ledger, ref, source)
    ledger.want_maps([Kind.LANDCOVER], BY)
    [ref] = ledger.claim("landcover", lane=ref.lane, limit=9, by=BY, lease=LEASE)
    changes = {"kind": Kind.LANDCOVER, "collection": COVER, "model": MODEL, "source": source}
    made = (made or product_of(ref, f"map-{tile}-{day:03d}")).model_copy(update=changes)
    ledger.made(ref, made, BY)
    ledger.checked(ref, Judged(expectations=1), BY)
    with ledger.publishing(ref, made, BY) as row:
        row.published(f"s3://undersky-tests/stac/{COVER}/{'/'.join(made.prefix.split('/')[2:])}.json")
    return made


def put_published(ledger: Ledger, store: Store, folder: Path, day: int) -> Made:
    """The map in that folder, sensed so many days after FIRST, in the store and the ledger."""
    item = map_products.item_of(folder)
    digest, sensed = item["properties"]["undersky:digest"], FIRST + timedelta(days=day)
    prefix = f"products/{COVER}/{sensed:%Y/%m}/scene-{day}/{digest}"
    upload(store, Place(prefix, item["id"], digest), folder)
    made = Made(
        id=item["id"], digest=digest, prefix=prefix, collection=COVER, item=f"{prefix}/{item['id']}.json",
        bytes=item["properties"]["undersky:bytes"], seconds=1.0, cpu_seconds=2.0,
    )  # fmt: skip
    store.put(item_key(made), to_bytes(item), content_type=ITEM_TYPE)
    made = publish_map(ledger, day, made=made)
    for each in ledger.published():  # of the surface product nothing is read here: any Item will do
        if store.find(store.key(each.href or "")) is None:
            store.put(store.key(each.href or ""), to_bytes({**item, "collection": "sentinel-2-l2-undersky"}))
    return made
