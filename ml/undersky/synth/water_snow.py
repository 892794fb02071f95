"""Reflectance of water and snow from models of their inherent optical properties, 400 to 2450 nm.

No public library of measured spectra under a free licence covers water and snow well, so they are computed.
Both are given as Lambertian reflectance; the direction of glint and of snow's forward peak is left out.

Sources of the tables
    liquid water  400-720 nm Pope & Fry 1997, Appl. Opt. 36, 8710, table 3; 730-790 nm Smith & Baker 1981,
                  Appl. Opt. 20, 177; from 800 nm Hale & Querry 1973, Appl. Opt. 12, 555
    phytoplankton Prieur & Sathyendranath 1981, Limnol. Oceanogr. 26, 671, as used by Morel 1988
    ice           imaginary refractive index, Warren & Brandt 2008, J. Geophys. Res. 113, D14220
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# fmt: off
_VISIBLE_NM = np.arange(400.0, 701.0, 10.0)

_WATER_1_M = np.array(
    [
        0.00663, 0.00473, 0.00454, 0.00495, 0.00635, 0.00922, 0.00979, 0.0106, 0.0127, 0.0150, 0.0204,
        0.0325, 0.0409, 0.0434, 0.0474, 0.0565, 0.0619, 0.0695, 0.0896, 0.1351, 0.2224, 0.2644, 0.2755,
        0.2916, 0.3108, 0.340, 0.410, 0.439, 0.465, 0.516, 0.624,
    ]
)
_WATER_RED_NM = np.array([710.0, 720.0, 730.0, 740.0, 750.0, 760.0, 770.0, 780.0, 790.0])
_WATER_RED_1_M = np.array([0.827, 1.231, 1.799, 2.38, 2.47, 2.55, 2.51, 2.36, 2.16])
_WATER_INFRARED_NM = np.array(
    [
        800.0, 825.0, 850.0, 875.0, 900.0, 925.0, 950.0, 975.0, 1000.0, 1200.0, 1400.0, 1600.0, 1800.0,
        2000.0, 2200.0, 2400.0, 2600.0,
    ]
)
_WATER_INFRARED_K = np.array(
    [
        1.25e-7, 1.82e-7, 2.93e-7, 3.91e-7, 4.86e-7, 1.06e-6, 2.93e-6, 3.48e-6, 2.89e-6, 9.89e-6, 1.38e-4,
        8.55e-5, 1.15e-4, 1.10e-3, 2.89e-4, 9.56e-4, 3.17e-3,
    ]
)

_PHYTOPLANKTON = np.array(
    [
        0.687, 0.828, 0.913, 0.973, 1.000, 0.944, 0.917, 0.870, 0.798, 0.750, 0.668, 0.618, 0.528, 0.474,
        0.416, 0.357, 0.294, 0.276, 0.291, 0.282, 0.236, 0.252, 0.276, 0.317, 0.334, 0.356, 0.441, 0.595,
        0.502, 0.329, 0.215,
    ]
)

_ICE_UM = np.array(
    [
        0.40, 0.42, 0.45, 0.48, 0.50, 0.52, 0.55, 0.58, 0.60, 0.62, 0.65, 0.68, 0.70, 0.74, 0.78, 0.80,
        0.84, 0.86, 0.88, 0.90, 0.94, 0.96, 0.98, 1.00, 1.02, 1.04, 1.06, 1.08, 1.10, 1.14, 1.16, 1.20,
        1.24, 1.28, 1.32, 1.38, 1.42, 1.44, 1.46, 1.481, 1.504, 1.527, 1.563, 1.613, 1.65, 1.70, 1.76, 1.80,
        1.85, 1.89, 1.923, 1.961, 2.00, 2.041, 2.083, 2.13, 2.17, 2.22, 2.25, 2.29, 2.33, 2.37, 2.41, 2.46,
    ]
)
_ICE_K = np.array(
    [
        2.365e-11, 3.135e-11, 9.239e-11, 2.861e-10, 5.889e-10, 1.076e-9, 2.289e-9, 4.159e-9, 5.73e-9,
        8.58e-9, 1.43e-8, 2.09e-8, 2.90e-8, 4.92e-8, 1.02e-7, 1.34e-7, 1.51e-7, 2.15e-7, 3.35e-7, 4.20e-7,
        5.53e-7, 7.55e-7, 1.12e-6, 1.62e-6, 2.25e-6, 2.33e-6, 1.96e-6, 1.74e-6, 1.70e-6, 2.25e-6, 3.04e-6,
        8.66e-6, 1.22e-5, 1.33e-5, 1.32e-5, 1.42e-5, 1.74e-5, 1.98e-5, 5.959e-5, 1.516e-4, 2.942e-4,
        4.941e-4, 5.143e-4, 3.858e-4, 3.105e-4, 2.361e-4, 1.65e-4, 1.411e-4, 1.377e-4, 2.566e-4, 1.108e-3,
        1.64e-3, 1.458e-3, 1.023e-3, 5.255e-4, 3.235e-4, 2.228e-4, 2.035e-4, 2.171e-4, 3.138e-4, 4.591e-4,
        5.605e-4, 6.259e-4, 7.53e-4,
    ]
)

# fmt: on


@dataclass(frozen=True, slots=True)
class Water:
    """What a water body holds."""

    chlorophyll_mg_m3: float
    """Phytoplankton pigment."""
    sediment_g_m3: float
    """Suspended mineral particles."""
    dissolved_1_m: float
    """Absorption of coloured dissolved matter at 443 nm."""
    glint: float = 0.002
    """Skylight reflected at the surface that is not removed as sun glint, flat in wavelength."""


@dataclass(frozen=True, slots=True)
class Snow:
    """What a snowpack is made of."""

    grain_mm: float
    """Effective grain diameter: 0.1 fresh, 1 old, 5 bare ice."""
    impurity_1_m: float = 0.0
    """Absorption coefficient of soot and dust at 1000 nm."""


def pure_water_absorption(wavelength_nm: Array) -> Array:
    """Absorption coefficient of liquid water, 1/m."""
    infrared = 4e9 * np.pi * _WATER_INFRARED_K / _WATER_INFRARED_NM
    wavelengths = np.concatenate([_VISIBLE_NM, _WATER_RED_NM, _WATER_INFRARED_NM])
    logs = np.log(np.concatenate([_WATER_1_M, _WATER_RED_1_M, infrared]))
    return np.asarray(np.exp(np.interp(wavelength_nm, wavelengths, logs)))


def ice_absorption(wavelength_nm: Array) -> Array:
    """Absorption coefficient of ice, 1/m."""
    k = np.exp(np.interp(wavelength_nm, 1000.0 * _ICE_UM, np.log(_ICE_K)))
    return np.asarray(4e9 * np.pi * k / wavelength_nm)


def water_reflectance(wavelength_nm: Array, water: Water) -> Array:
    """Reflectance (pi times remote sensing reflectance) of deep water plus its glint, (wavelength,).

    Source: Gordon et al. 1988, J. Geophys. Res. 93, 10909, with the coefficients and the air-water step of
    Lee et al. 2002, Appl. Opt. 41, 5755; absorption and scattering of particles and dissolved matter after
    Babin et al. 2003, J. Geophys. Res. 108, 3211 and Limnol. Oceanogr. 48, 843; seawater after Morel 1974.
    """
    pigment = np.interp(wavelength_nm, _VISIBLE_NM, _PHYTOPLANKTON, right=0.0)
    absorption = (
        pure_water_absorption(wavelength_nm)
        + 0.06 * water.chlorophyll_mg_m3**0.65 * pigment
        + 0.031 * water.sediment_g_m3 * np.exp(-0.0123 * (wavelength_nm - 443.0))
        + water.dissolved_1_m * np.exp(-0.0176 * (wavelength_nm - 443.0))
    )
    living = 0.30 * water.chlorophyll_mg_m3**0.62 * 0.005 * (550.0 / wavelength_nm)
    mineral = 0.51 * water.sediment_g_m3 * 0.0183 * (555.0 / wavelength_nm) ** 0.5
    backscatter = 0.5 * 0.00288 * (500.0 / wavelength_nm) ** 4.32 + living + mineral
    u = backscatter / (absorption + backscatter)
    below = (0.0895 + 0.1247 * u) * u
    return np.asarray(np.pi * 0.52 * below / (1.0 - 1.7 * below) + water.glint)


def snow_reflectance(wavelength_nm: Array, snow: Snow) -> Array:
    """Spherical albedo of an optically deep snowpack, (wavelength,).

    Source: Kokhanovsky & Zege 2004, Appl. Opt. 43, 1589: exp(-3.62 sqrt(absorption * grain)) for fractal
    grains; impurities as in Kokhanovsky et al. 2018, Cryosphere 12, 2371. Beyond 1.4 um the asymptotic
    theory is used outside its strict validity: the values there are small and only roughly right.
    """
    absorption = ice_absorption(wavelength_nm) + snow.impurity_1_m * (1000.0 / wavelength_nm)
    return np.asarray(np.exp(-3.62 * np.sqrt(absorption * snow.grain_mm / 1000.0)))
