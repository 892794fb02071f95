import numpy as np
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox

from undersky.errors import ConfigError
from undersky.inference.ground import GroundOptions, find_ground
from undersky.models.physics import PhysicsConfig
from undersky.scene import AtmospherePrior

GRID = GeoBox((100, 100), Affine(60, 0, 600000, 0, -60, 5100000), "EPSG:32632")
CONFIG = PhysicsConfig()


def find(options, prior=None, nodes=(3, 4)):
    return find_ground(GRID, nodes, options=options, prior=prior, config=CONFIG)


def write_dem(path, crs, transform, values):
    profile = {"driver": "GTiff", "height": values.shape[0], "width": values.shape[1], "count": 1}
    with rasterio.open(path, "w", crs=crs, transform=transform, dtype="float32", **profile) as raster:
        raster.write(values.astype(np.float32), 1)
    return path


def test_nothing_known_is_an_assumption_and_says_so():
    ground = find(GroundOptions())
    assert ground.source == "assumed"
    assert (ground.altitude_m == CONFIG.assumed_altitude_m).all()
    assert ground.sigma_m == CONFIG.assumed_altitude_sigma_m


def test_a_prior_with_an_orography_is_believed_more():
    prior = AtmospherePrior("AUX_CAMSFO", altitude_m=np.array([[0, 100], [200, 300]], dtype=np.float32))
    ground = find(GroundOptions(), prior)
    assert (ground.source, ground.altitude_m.shape) == ("prior", (3, 4))
    assert ground.altitude_m[1, 0] == pytest.approx(100)


def test_a_stated_height_goes_before_the_prior():
    prior = AtmospherePrior("AUX_CAMSFO", altitude_m=np.zeros((2, 2), dtype=np.float32))
    ground = find(GroundOptions(altitude_m=1870), prior)
    assert (ground.source, float(ground.altitude_m.mean())) == ("stated", 1870.0)


def test_a_dem_in_the_scenes_crs_is_read_at_the_nodes(tmp_path):
    # a slope rising eastwards, one metre a metre, wider than the scene
    east = 600000 - 3000 + 60 * (np.arange(200) + 0.5)
    values = np.broadcast_to(east - 600000, (200, 200))
    dem = write_dem(tmp_path / "dem.tif", "EPSG:32632", Affine(60, 0, 597000, 0, -60, 5103000), values)
    ground = find(GroundOptions(dem=dem))
    np.testing.assert_allclose(ground.altitude_m[1], [0, 2000, 4000, 6000], atol=40)


def test_a_dem_in_degrees_is_warped(tmp_path):
    dem = write_dem(
        tmp_path / "dem.tif", "EPSG:4326", Affine(0.01, 0, 9, 0, -0.01, 47), np.full((200, 300), 420)
    )
    ground = find(GroundOptions(dem=dem))
    assert ground.source == "dem"
    np.testing.assert_allclose(ground.altitude_m, 420)


def test_a_dem_that_misses_part_of_the_scene_is_refused(tmp_path):
    dem = write_dem(
        tmp_path / "dem.tif", "EPSG:32632", Affine(60, 0, 603000, 0, -60, 5100000), np.ones((90, 90))
    )
    with pytest.raises(ConfigError, match="of the scene without a height"):
        find(GroundOptions(dem=dem))


def test_a_dem_that_is_no_raster_is_refused(tmp_path):
    (tmp_path / "dem.tif").write_text("not a raster")
    with pytest.raises(ConfigError, match="cannot be read"):
        find(GroundOptions(dem=tmp_path / "dem.tif"))


def test_two_statements_about_one_ground_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="give one of them"):
        GroundOptions(dem=tmp_path / "dem.tif", altitude_m=5)
