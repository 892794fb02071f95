"""Label files as people bring them, written by the libraries people write them with."""

import http.server
import json
import threading
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine

from undersky.labels import read_class_map

UTM33 = "EPSG:32633"
LEFT, TOP = 500_000.0, 5_100_000.0
FIELDS = {"attribute": "use", "classes": {"arable": "cropland", "wood": "tree_cover"}, "ignore": ["orchard"]}


@pytest.fixture
def class_map(tmp_path):
    path = tmp_path / "fields.yaml"
    path.write_text(json.dumps(FIELDS))
    return read_class_map(path)


@pytest.fixture
def fields():
    """Three parcels of 100 m in a row, UTM: arable, wood, orchard."""
    boxes = [shapely.box(LEFT + 100 * i, TOP - 100, LEFT + 100 * (i + 1), TOP) for i in range(3)]
    return geopandas.GeoDataFrame({"use": ["arable", "wood", "orchard"]}, geometry=boxes, crs=UTM33)


def write_tiff(path: Path, values, *, crs=UTM33, pixel=10.0, left=LEFT, top=TOP, nodata=None) -> Path:
    values = np.asarray(values)
    with rasterio.open(
        path, "w", driver="GTiff", height=values.shape[0], width=values.shape[1], count=1, dtype=values.dtype,
        crs=crs, transform=Affine(pixel, 0, left, 0, -pixel, top), nodata=nodata,
    ) as dataset:  # fmt: skip
        dataset.write(values, 1)
    return path


@pytest.fixture
def tiff(tmp_path):
    return lambda values, name="classes.tif", **place: write_tiff(tmp_path / name, values, **place)


class _Ranges(http.server.SimpleHTTPRequestHandler):
    """A server of files that answers ranges, as buckets do."""

    asked: list[str]

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def _answer(self, *, body):
        path = Path(self.directory) / self.path.lstrip("/")
        self.server.asked.append(self.path)
        if not path.is_file():
            self.send_error(404)
            return
        data, status = path.read_bytes(), 200
        size, wanted = len(data), self.headers.get("Range")
        if wanted:
            first, last = wanted.removeprefix("bytes=").split("-")
            end = min(int(last or size - 1), size - 1)
            data, status = data[int(first) : end + 1], 206
        self.send_response(status)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(data)))
        if wanted:
            self.send_header("Content-Range", f"bytes {first}-{end}/{size}")
            self.server.sent.append(len(data))
        self.end_headers()
        if body:
            self.wfile.write(data)


@pytest.fixture
def bucket(tmp_path):
    """(folder, address, server) of a bucket that anybody may read."""
    folder = tmp_path / "bucket"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *a, **k: _Ranges(*a, directory=str(folder), **k)
    )
    server.asked, server.sent = [], []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}", server
    server.shutdown()
    thread.join()
    server.server_close()
