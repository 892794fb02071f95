"""Products as users open them: odc-stac, pystac, rio-tiler, each by its own understanding of our Items."""

from pathlib import Path

import numpy as np
import odc.stac
import pystac
import pytest
import rasterio
from memory_scene import StatedEstimator, memory_scene
from rio_cogeo import cog_validate
from rio_tiler.io import STACReader

from undersky.grid import whole
from undersky.raster import encoding as enc
from undersky.stages.correct import CorrectedProduct, CorrectOptions, correct_scene

pytestmark = [
    pytest.mark.oracle,
    # rasterio 1.4 and odc-geo multiply transforms as affine 2 did
    pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning"),
    # odc-geo 0.5 calls shapely's old transform
    pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> list[CorrectedProduct]:
    out = tmp_path_factory.mktemp("products")
    return [
        correct_scene(
            memory_scene(key, seed=seed), out, estimator=StatedEstimator(), options=CorrectOptions()
        )
        for key, seed in (("S2A", 0), ("L8", 50))
    ]


def test_every_layer_is_a_valid_cog(products: list[CorrectedProduct]) -> None:
    for product in products:
        for path in product.folder.glob("*.tif"):
            valid, errors, _ = cog_validate(path, quiet=True)
            assert valid, (path.name, errors)


def test_pystac_walks_from_item_to_collection_and_files(products: list[CorrectedProduct]) -> None:
    for product in products:
        item = pystac.Item.from_file(str(product.item))
        collection = item.get_collection()
        assert collection is not None
        assert collection.id == item.collection_id
        for key, asset in item.assets.items():
            path = Path(asset.get_absolute_href() or "")
            assert path.stat().st_size == asset.extra_fields["file:size"], key


def test_odc_stac_loads_a_two_date_cube_across_both_collections_by_common_name(
    products: list[CorrectedProduct],
) -> None:
    items = [pystac.Item.from_file(str(product.item)) for product in products]
    cube = odc.stac.load(
        items, bands=["red", "nir08", "quality"], resolution=60, crs="EPSG:32633", groupby="time",
        resampling={"quality": "nearest", "*": "average"},
    )  # fmt: skip
    assert dict(cube.sizes)["time"] == 2
    assert {name: str(cube[name].dtype) for name in cube} == {
        "red": "int16",
        "nir08": "int16",
        "quality": "uint16",
    }
    assert cube.red.attrs["nodata"] == -9999
    for moment, (product, key) in enumerate(zip(products, ("B04", "SR_B4"), strict=True)):
        with rasterio.open(product.folder / f"{key}.tif") as dataset:
            stored = dataset.read(1).astype(float)
        stored[stored == -9999] = np.nan
        seen = cube.red[moment].to_numpy().astype(float)
        seen[seen == -9999] = np.nan
        assert np.nanmean(seen) == pytest.approx(np.nanmean(stored), rel=0.01)


def test_odc_stac_loads_every_layer_of_each_collection(products: list[CorrectedProduct]) -> None:
    for product in products:
        item = pystac.Item.from_file(str(product.item))
        layers = {layer.key: layer for layer in enc.layers_of(memory_scene(product.id[:3].strip("_")).sensor)}
        cube = odc.stac.load([item], bands=list(layers), resolution=600, crs="EPSG:32633")
        for key, layer in layers.items():
            assert str(cube[key].dtype) == layer.dtype, key
            assert cube[key].attrs.get("nodata") == layer.nodata, key


def test_rio_tiler_reads_a_true_colour_through_the_item(products: list[CorrectedProduct]) -> None:
    with STACReader(str(products[0].item)) as reader:
        image = reader.preview(assets=["B04", "B03", "B02"], max_size=256)
    assert image.array.shape[0] == 3
    assert np.ma.getmaskarray(image.array).any()
    assert 500 < float(image.array.mean()) < 4000


def test_scale_and_offset_of_the_item_are_those_of_the_file(products: list[CorrectedProduct]) -> None:
    for product in products:
        for key, asset in pystac.Item.from_file(str(product.item)).assets.items():
            if not asset.href.endswith(".tif"):
                continue
            with rasterio.open(product.folder / f"{key}.tif") as dataset:
                assert dataset.scales == (asset.extra_fields.get("raster:scale", 1.0),), key
                assert dataset.offsets == (asset.extra_fields.get("raster:offset", 0.0),), key
                assert list(dataset.shape) == asset.extra_fields["proj:shape"], key
                assert list(dataset.transform)[:6] == asset.extra_fields["proj:transform"], key
                assert dataset.nodata == asset.extra_fields.get("nodata"), key


def test_the_thumbnail_shows_the_ground(products: list[CorrectedProduct]) -> None:
    from PIL import Image

    for product in products:
        with Image.open(product.folder / "thumbnail.jpg") as image:
            assert max(image.size) <= 512
            pixels = np.asarray(image)
        assert pixels.shape[2] == 3
        assert pixels[len(pixels) // 2 :].mean() > 60


def test_the_grid_of_the_scene_is_the_grid_of_its_quality(products: list[CorrectedProduct]) -> None:
    scene = memory_scene("S2A")
    with rasterio.open(products[0].folder / "quality.tif") as dataset:
        assert dataset.shape == whole(scene.grid).shape
