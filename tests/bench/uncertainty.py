"""How many bytes each candidate encoding of the 1-sigma layers costs, and what it keeps of the value.

Run: python tests/bench/uncertainty.py [--samples DIR]. The table stands in docs/product.md.

The fields of sigma are those of a typical scene (uncertain AOD 0.08, calibration 2 %, sensor noise), per band
`sigma**2 = (noise)**2 + (dark + slope * rho)**2 + (calibration * rho)**2`; the texture is real Landsat 8 and
Sentinel-2 reflectance of the folder UNDERSKY_SAMPLES.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.io import MemoryFile

TYPICAL = {  # d rho at a black ground for the AOD's 1 sigma, and its slope in rho
    "blue": (-0.0090, 0.024),
    "red": (-0.0045, 0.016),
    "nir": (-0.0024, 0.011),
    "swir": (-0.0006, 0.004),
}
OPTIONS = {
    "driver": "COG",
    "compress": "ZSTD",
    "level": 1,
    "predictor": 2,
    "blocksize": 512,
    "overview_resampling": "average",
}


def textures(samples: Path) -> dict[str, np.ndarray]:
    found = {}
    s2 = np.load(next((samples / "s2-l1c-12band-t33uub").glob("*.npz")))
    for name, (stack, index) in {
        "blue": ("im10", 2),
        "red": ("im10", 0),
        "nir": ("im10", 3),
        "swir": ("im20", 5),
    }.items():
        found[f"S2 {name}"] = s2[stack][index].astype(np.float32) / 1e4
    for name, band in {"blue": 2, "red": 4, "nir": 5, "swir": 7}.items():
        path = next((samples / "landsat8-l1tp-corumba-20190809").glob(f"*_B{band}.TIF"))
        with rasterio.open(path) as dataset:
            found[f"L8 {name}"] = dataset.read(1).astype(np.float32) * 2e-5 - 0.1
    return found


def sigma_of(rho: np.ndarray, kind: str) -> np.ndarray:
    dark, slope = TYPICAL[kind]
    aerosol = dark + slope * rho
    return np.sqrt(0.0007**2 + 3e-6 * rho.clip(0) + aerosol**2 + (0.01 * rho) ** 2).astype(np.float32)


def cog_bytes(stored: np.ndarray, nodata: int) -> int:
    profile = {
        "width": stored.shape[1],
        "height": stored.shape[0],
        "count": 1,
        "dtype": stored.dtype,
        "nodata": nodata,
    }
    with MemoryFile() as memory:
        with memory.open(driver="GTiff", **profile) as scratch:
            scratch.write(stored, 1)
        with MemoryFile(ext=".tif") as out:
            rasterio.shutil.copy(memory.name, out.name, **OPTIONS)
            return len(out.read())


def halved(sigma: np.ndarray) -> np.ndarray:
    rows, cols = (n - n % 2 for n in sigma.shape)
    return sigma[:rows, :cols].reshape(rows // 2, 2, cols // 2, 2).mean(axis=(1, 3))


def candidates(sigma: np.ndarray) -> dict[str, tuple[np.ndarray, int, np.ndarray]]:
    """Stored integers, nodata, and the value a reader gets back at every native pixel."""
    result = {}
    for place, values in {"native": sigma, "half": halved(sigma)}.items():
        grow = (lambda a: a) if place == "native" else (lambda a: a.repeat(2, axis=0).repeat(2, axis=1))
        codes = np.rint(np.sqrt(values * 640000)).clip(0, 254)
        result[f"uint8 square, {place}"] = codes.astype(np.uint8), 255, grow((codes / 800) ** 2)
        codes = np.rint(values / 1e-4).clip(0, 65534)
        result[f"uint16 1e-4, {place}"] = codes.astype(np.uint16), 65535, grow(codes * 1e-4)
    return result


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=Path, default=Path(__file__).parents[3] / "shared" / "data")
    _say("| texture | sigma 1-99 % | encoding | bytes per native pixel | keep 5 % |\n|---|---|---|---|---|")
    for name, rho in textures(parser.parse_args().samples).items():
        sigma = sigma_of(rho, name.split()[1])
        low, high = np.percentile(sigma, (1, 99))
        for encoding, (stored, nodata, back) in candidates(sigma).items():
            true = sigma[: back.shape[0], : back.shape[1]]
            kept = (np.abs(back / true - 1) <= 0.05).mean()
            size = cog_bytes(stored, nodata) / sigma.size
            _say(f"| {name} | {low:.4f}-{high:.4f} | {encoding} | {size:.3f} | {kept:.1%} |")


if __name__ == "__main__":
    main()
