import json
import subprocess
import sys
import threading
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pystac
import pytest
from pystac.validation.stac_validator import JsonSchemaSTACValidator

from fixtures_publish import BY, COLLECTION, RED, Wanted, good_batch, lease, make, remade
from undersky.errors import ServiceError
from undersky.flow.index import INDEX, index, index_digest, read_index, served_files
from undersky.flow.publish import publish
from undersky.services.ledger import Actor

HERE = Wanted()
THERE = Wanted(tile="33UUP")
LATER = Wanted(sensed=datetime(2025, 7, 2, 9, 57, 53, tzinfo=UTC))


def put_out(ledger, store, *wanted, run="test-run"):
    refs = [lease(ledger, each, run=run) for each in wanted]
    publish(ledger, store, good_batch(store, *refs, run=run), Actor(run))


def document(store, key):
    return json.loads(store.get(key))


@pytest.fixture
def folder(tmp_path, store):
    """What lies in the bucket, as files: relative hrefs hold there too."""

    def copy():
        for stored in store.list(""):
            path = tmp_path / "bucket" / stored.key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(store.get(stored.key))
        return tmp_path / "bucket"

    return copy


def test_the_static_catalog_leads_from_the_root_to_every_current_item(ledger, store, folder):
    put_out(ledger, store, HERE, THERE, LATER)
    report = index(ledger, store)
    assert (report.changed, report.items, report.collections) == (True, 3, (COLLECTION,))
    root = pystac.Catalog.from_file(str(folder() / "stac" / "catalog.json"))
    found = {item.id: item for item in root.get_items(recursive=True)}
    assert len(found) == 3
    for item in found.values():
        assert item.get_root().id == "undersky"
        assert item.get_collection().id == COLLECTION
        assert Path(item.assets["B04"].get_absolute_href()).is_file()
    months = [child.id for child in root.get_child(COLLECTION).get_children()]
    assert months == [f"{COLLECTION}-2025-06", f"{COLLECTION}-2025-07"]


@pytest.mark.oracle
def test_every_document_obeys_the_stac_schema(ledger, store):
    put_out(ledger, store, HERE, THERE)
    index(ledger, store)
    judge, seen = JsonSchemaSTACValidator(), []
    for stored in store.list("stac/"):
        if stored.key.endswith(("catalog.json", "collection.json")):
            found = document(store, stored.key)
            judge.validate_core(found, pystac.STACObjectType(found["type"]), "1.1.0")
            seen.append(found["type"])
    assert sorted(seen) == ["Catalog", "Catalog", "Collection"]


def test_the_collection_says_what_its_items_say_alike(ledger, store):
    put_out(ledger, store, HERE, THERE)
    index(ledger, store)
    found = document(store, f"stac/{COLLECTION}/collection.json")
    red = found["item_assets"]["B04"]
    assert red["bands"] == [{"name": "B04", "eo:common_name": "red"}]
    assert red["raster:scale"] == 0.0001
    assert not {"href", "file:size", "proj:shape"} & set(red)
    assert found["summaries"]["platform"] == ["sentinel-2b"]
    assert found["extent"]["temporal"]["interval"] == [["2025-06-19T09:57:53Z"] * 2]
    west, south, east, north = found["extent"]["spatial"]["bbox"][0]
    assert west < east
    assert (south, north) == (46.0, 46.01)


def test_nothing_is_written_where_nothing_changed(ledger, store, monkeypatch):
    put_out(ledger, store, HERE)
    first = index(ledger, store)
    monkeypatch.setattr(type(store), "put", None)
    again = index(ledger, store)
    assert (again.changed, again.digest) == (False, first.digest)
    assert index_digest(store) == first.digest


def test_a_new_item_costs_one_read_and_touches_no_other_month(ledger, store):
    put_out(ledger, store, HERE, THERE)
    first = index(ledger, store)
    june = store.read(f"stac/{COLLECTION}/2025/06/catalog.json")
    put_out(ledger, store, LATER, run="next")
    second = index(ledger, store)
    assert (second.items, second.read) == (3, 1)
    assert second.digest != first.digest
    assert store.read(f"stac/{COLLECTION}/2025/06/catalog.json") == june


def test_a_deprecated_item_leaves_the_index_and_stays_readable(ledger, store):
    put_out(ledger, store, HERE)
    index(ledger, store)
    (old,) = [link["href"] for link in month_items(store)]
    second = remade(ledger, HERE)
    made = make(store, second, label="network-1")
    href = good_batch(store, second, run="second-run", label="network-1")
    publish(ledger, store, href, Actor("second-run"))
    index(ledger, store)
    (new,) = [link["href"] for link in month_items(store)]
    assert new == old.replace(old.rpartition("/")[2], f"{made.digest}.json")
    assert store.head(f"stac/{COLLECTION}/2025/06/{old.removeprefix('./')}") is not None


def month_items(store, month="2025/06"):
    found = document(store, f"stac/{COLLECTION}/{month}/catalog.json")
    return [link for link in found["links"] if link["rel"] == "item"]


def test_what_is_withdrawn_leaves_nothing_behind_in_the_index(ledger, store):
    put_out(ledger, store, HERE, LATER)
    index(ledger, store)
    for product in list(ledger.published()):
        if product.acquisition == LATER.key:
            ledger.withdraw(product.id, BY, why="wrong orbit")
    index(ledger, store)
    keys = {stored.key for stored in store.list(f"stac/{COLLECTION}/2025/07/") if "/S2B_" not in stored.key}
    assert keys == set()
    for product in list(ledger.published()):
        ledger.withdraw(product.id, BY, why="wrong orbit")
    assert index(ledger, store).collections == ()
    assert document(store, "stac/catalog.json")["links"][1:] == []
    assert store.head(f"stac/{COLLECTION}/items.parquet") is None


def test_an_index_that_was_killed_or_deleted_is_made_again(ledger, store):
    put_out(ledger, store, HERE)
    first = index(ledger, store)
    for stored in list(store.list("stac/")):
        if "/S2B_" not in stored.key:
            store.delete(stored.key)
    assert index(ledger, store).digest == first.digest
    store.put(INDEX, b"half a fi")
    assert read_index(store) is None
    assert index(ledger, store).changed


def test_an_item_lost_from_the_store_is_named_and_hides_no_other(ledger, store):
    put_out(ledger, store, HERE, THERE)
    (lost,) = [stored.key for stored in store.list("stac/") if "33UUP" in stored.key]
    text = store.get(lost)
    store.delete(lost)
    for _ in range(2):
        with pytest.raises(ServiceError, match="not in the store"):
            index(ledger, store)
        assert len(month_items(store)) == 1
    store.put(lost, text)
    assert index(ledger, store).items == 2


def test_an_empty_ledger_makes_an_empty_catalog(ledger, store):
    report = index(ledger, store)
    assert (report.items, report.collections) == (0, ())
    assert document(store, "stac/catalog.json")["type"] == "Catalog"
    assert not index(ledger, store).changed


def test_hrefs_of_the_index_stand_under_the_public_address(ledger, store, tmp_path):
    import pyarrow.parquet

    put_out(ledger, store, HERE)
    index(ledger, store, public_url="https://data.example.org/undersky/")
    store.get_file(f"stac/{COLLECTION}/items.parquet", tmp_path / "a.parquet")
    (row,) = pyarrow.parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert row["assets"]["B04"]["href"].startswith("https://data.example.org/undersky/products/")
    index(ledger, store)
    store.get_file(f"stac/{COLLECTION}/items.parquet", tmp_path / "b.parquet")
    (row,) = pyarrow.parquet.read_table(tmp_path / "b.parquet").to_pylist()
    assert row["assets"]["B04"]["href"].startswith(f"{store.url}/products/")


def test_two_writers_at_once_write_one_after_the_other(ledger, store, monkeypatch):
    put_out(ledger, store, HERE)
    inside, most, lock = [0], [0], threading.Lock()
    put = type(store).put

    def counted(self, *args, **kwargs):
        if threading.current_thread().name.startswith("writer"):
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            time.sleep(0.01)
            try:
                return put(self, *args, **kwargs)
            finally:
                with lock:
                    inside[0] -= 1
        return put(self, *args, **kwargs)

    monkeypatch.setattr(type(store), "put", counted)
    reports = []
    threads = [
        threading.Thread(target=lambda: reports.append(index(ledger, store)), name=f"writer-{n}")
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert sorted(report.changed for report in reports) == [False, False, False, True]


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")
@pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning")
def test_odc_stac_loads_reflectance_from_the_published_item(ledger, store, folder):
    import odc.stac

    put_out(ledger, store, HERE)
    index(ledger, store)
    root = pystac.Catalog.from_file(str(folder() / "stac" / "catalog.json"))
    loaded = odc.stac.load(root.get_items(recursive=True), bands=["red"])
    values = loaded["red"].to_numpy() * 1e-4
    assert values.shape == (1, 64, 64)
    assert np.allclose(values, RED, atol=1e-4)


@pytest.mark.oracle
def test_pandas_and_geopandas_read_the_table(ledger, store, tmp_path):
    import pandas as pd
    import pyarrow.parquet
    import shapely

    put_out(ledger, store, HERE, THERE, LATER)
    index(ledger, store)
    path = tmp_path / "items.parquet"
    store.get_file(f"stac/{COLLECTION}/items.parquet", path)
    table = pd.read_parquet(path)
    assert list(table["datetime"]) == sorted(table["datetime"], reverse=True)
    assert set(table["eo:cloud_cover"]) == {12.0}
    shapes = shapely.from_wkb(table["geometry"])
    assert all(shape.geom_type == "Polygon" for shape in shapes)
    geo = json.loads(pyarrow.parquet.ParquetFile(path).metadata.metadata[b"geo"])
    assert geo["primary_column"] == "geometry"


@pytest.mark.oracle
def test_rustac_serves_what_was_published_to_pystac_client(ledger, store, tmp_path):
    import pystac_client

    put_out(ledger, store, HERE, THERE, LATER)
    index(ledger, store, public_url="https://data.example.org/undersky")
    files = served_files(store, tmp_path)
    with serving(files) as url:
        client = pystac_client.Client.open(url)
        assert [c.id for c in client.get_collections()] == [COLLECTION]
        july = client.search(collections=[COLLECTION], datetime="2025-07-01/2025-07-31")
        (item,) = july.items()
        assert item.assets["B04"].href.startswith("https://data.example.org/undersky/products/")
        assert len(list(client.search(collections=[COLLECTION], bbox=[11, 45, 13, 47]).items())) == 3
        assert list(client.search(bbox=[100, 45, 101, 47]).items()) == []


class serving:  # noqa: N801  a context manager, read as a verb
    def __init__(self, files):
        import socket

        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.files = [str(file) for file in files]

    def __enter__(self):
        rustac = Path(sys.executable).parent / "rustac"
        address = f"127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [rustac, "serve", "--addr", address, "--use-duckdb", "false", *self.files],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://{address}/", timeout=2).close()
            except OSError:
                time.sleep(0.1)
            else:
                return f"http://{address}"
        raise AssertionError("rustac did not start")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def test_before_the_first_index_nothing_is_served(store, tmp_path):
    assert served_files(store, tmp_path) == ()
    assert index_digest(store) is None


def test_a_product_across_the_antimeridian_makes_no_negative_box():
    from undersky.flow.catalog import collection_document

    item = {
        "id": "a", "bbox": [179.5, 10.0, -179.5, 11.0], "assets": {}, "stac_extensions": [],
        "properties": {"datetime": "2025-06-19T09:57:53Z", "platform": "sentinel-2b"},
    }  # fmt: skip
    found = collection_document("c", [item], ["2025/06"])
    assert found["extent"]["spatial"]["bbox"] == [[-180.0, 10.0, 180.0, 11.0]]


def test_the_step_needs_neither_numpy_nor_pystac():
    heavy = "{'numpy', 'pystac', 'torch', 'rasterio', 'mlflow', 'pandas', 'great_expectations'}"
    names = ", ".join(f"undersky.flow.{name}" for name in ("publish", "index", "pin"))
    code = f"import sys, {names}; found = {heavy} & set(sys.modules); sys.exit(str(found) if found else 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_moment_of_writing_is_on_record(ledger, store):
    put_out(ledger, store, HERE)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    index(ledger, store, clock=lambda: at)
    assert read_index(store).at == at
