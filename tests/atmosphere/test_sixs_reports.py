"""Reports that 6SV1.1 really printed, and 6S itself where its package is installed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undersky.atmosphere import sixs
from undersky.atmosphere.optics import OPTICS_UM, SCATTERING_ANGLES, ask
from undersky.atmosphere.responses import band_weights, responses, solar_spectrum
from undersky.atmosphere.samples import load_samples
from undersky.atmosphere.sampling import gas_jobs, gas_record, rayleigh_jobs, scattering_record
from undersky.atmosphere.sixs import NODES_UM, SixsCase, node_matrix, node_values
from undersky.errors import ConfigError

# 6SV1.1, sun 40, view 8, azimuth 70, urban aerosol of 0.2, no gas, 0.55 um, ground 0.2
URBAN = """
*       apparent reflectance  0.1988115  appar. rad.(w/m2/sr/mic)   87.784    *
*                             downward        upward          total           *
*      global gas. trans. :     1.00000        1.00000        1.00000         *
*      rayl.  sca. trans. :     0.94015        0.95306        0.89602         *
*      aeros. sca.   "    :     0.89153        0.92006        0.82026         *
*      total  sca.   "    :     0.83483        0.87325        0.72902         *
*                             rayleigh       aerosols         total           *
*      spherical albedo   :     0.08219        0.04496        0.09931         *
*      optical depth total:     0.09751        0.20000        0.29751         *
*      reflectance I      :     0.04004        0.01064        0.05005         *
*      phase function I   :     1.20815        0.22448        0.54688         *
*      sing. scat. albedo :     1.00000        0.68879        0.79079         *
"""

TABLE = """
* wave   total  total  total  total  atm.   swl    step   sbor   dsol   toar  *
*        gas    scat   scat   spheri intr                                     *
*        trans  down   up     albedo refl                                     *
*0.9375 0.4642 0.9552 0.9708 0.0655 0.0073 816.8  0.2000 1.0000 0.9678 0.0933 *
*0.9400 0.4701 0.9554 0.9709 0.0653    NaN 811.3  0.2000 1.0000 0.9678 0.0944 *
*******************************************************************************
*0.9425 9.9999 9.9999 9.9999 9.9999 9.9999 999.9  9.9999 9.9999 9.9999 9.9999 *
"""

CLEAR = SixsCase(40.0, 8.0, 70.0, 0.0, "none")


def live() -> None:
    """Skips where 6S is not installed or cannot start: it is needed to sample and refit, not to correct."""
    try:
        sixs.run_spectrum(CLEAR)
    except ConfigError as error:
        pytest.skip(str(error))


@pytest.mark.oracle
def test_a_recorded_report_obeys_the_equation_of_the_inversion() -> None:
    run = sixs._parse_band(URBAN)
    ground = 0.2
    seen = run.scattering_path + run.transmittance * ground / (1 - run.spherical_albedo * ground)
    assert run.gas_transmittance == 1.0
    assert seen == pytest.approx(run.apparent_reflectance, abs=2e-5)


@pytest.mark.oracle
def test_a_recorded_path_is_below_the_sum_of_its_parts() -> None:
    # air and aerosol shade each other: 6S's total is less than rayleigh plus aerosol
    assert sixs._parse_band(URBAN).scattering_path < 0.04004 + 0.01064


def test_the_last_column_is_read_which_is_the_total() -> None:
    assert sixs._number(URBAN, r"optical depth total:\s+\S+\s+\S+\s+(\S+)") == 0.29751
    assert sixs._number(URBAN, r"optical depth total:\s+\S+\s+(\S+)") == 0.2
    assert sixs._number(URBAN, r"optical depth total:\s+(\S+)") == 0.09751


def test_the_table_ends_at_its_line_of_stars() -> None:
    spectrum = sixs._parse_spectrum(TABLE)
    assert spectrum.wavelength_um.tolist() == [0.9375, 0.94]
    assert spectrum.gas_transmittance.max() < 1.0


def test_a_nan_in_the_table_is_read_as_nan_in_its_column_alone() -> None:
    spectrum = sixs._parse_spectrum(TABLE)
    assert np.isnan(spectrum.path_with_gas).tolist() == [False, True]
    assert np.isfinite(spectrum.spherical_albedo).all()


@pytest.mark.faults
@pytest.mark.parametrize(
    "report",
    [
        "",
        URBAN,
        TABLE.splitlines()[1],
        "\n".join(TABLE.splitlines()[:4]),
        TABLE.replace("0.9552", "******"),
        TABLE.replace(" 0.9708 0.0655 0.0073", ""),
        "* wave\n*\n*\n*0.9375 0.4642 0.9552*\n****",
    ],
)
def test_a_report_without_a_whole_table_is_refused_by_name(report: str) -> None:
    with pytest.raises(ConfigError, match="6S"):
        sixs._parse_spectrum(report)


@pytest.mark.faults
@pytest.mark.parametrize("lost", ["apparent", "global gas", "total  sca", "spherical", "reflectance I"])
def test_a_band_report_that_lacks_a_line_is_refused_by_that_line(lost: str) -> None:
    torn = "\n".join(line for line in URBAN.splitlines() if lost not in line)
    with pytest.raises(ConfigError, match=lost.split(maxsplit=1)[0]):
        sixs._parse_band(torn)


@settings(deadline=None, max_examples=40)
@given(st.floats(0.0, 89.0), st.floats(0.0, 13.0), st.floats(0.0, 180.0), st.floats(0.0, 8.0))
def test_every_angle_and_altitude_reaches_6s_within_its_printed_digits(sun, view, azimuth, altitude) -> None:
    case = SixsCase(sun, view, azimuth, 0.1, "desert", altitude_km=altitude)
    lines = sixs._case_lines(case)
    asked = [float(word) for word in lines[1].split()]
    assert asked[:3] == pytest.approx([sun, azimuth, view], abs=1e-5)
    assert -float(lines[-2]) == pytest.approx(altitude, abs=1e-5)
    assert lines[-1] == "-1000"


@pytest.mark.parametrize(
    ("aerosol", "code"), [("continental", "1"), ("urban", "3"), ("desert", "5"), ("biomass", "6")]
)
def test_aerosol_models_have_6s_numbers(aerosol: str, code: str) -> None:
    assert sixs._case_lines(SixsCase(30.0, 5.0, 10.0, 0.25, aerosol))[4:7] == [code, "0", "0.250000"]


@pytest.mark.parametrize("shares", [(), (1.0,), (0.5, 0.5, 0.0), (0.2,) * 5])
def test_a_mixture_of_other_than_four_particles_is_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="four"):
        SixsCase(30.0, 5.0, 10.0, 0.25, "mixture", components=shares)


def test_components_without_a_mixture_are_refused() -> None:
    with pytest.raises(ConfigError, match="urban"):
        SixsCase(30.0, 5.0, 10.0, 0.25, "urban", components=(0.25,) * 4)


@settings(deadline=None, max_examples=40)
@given(st.floats(0.4125, 2.4), st.floats(-3.0, 3.0), st.floats(1e-3, 1.0))
def test_power_laws_pass_through_the_node_interpolation_unchanged(wavelength, exponent, scale) -> None:
    nodes = scale * NODES_UM**exponent
    found = np.exp(node_matrix(np.array([wavelength])) @ np.log(nodes))
    assert found[0] == pytest.approx(scale * wavelength**exponent, rel=1e-9)


@settings(deadline=None, max_examples=40)
@given(st.floats(0.412, 2.4))
def test_a_wavelength_listens_to_its_two_neighbours_only(wavelength: float) -> None:
    (row,) = node_matrix(np.array([wavelength]))
    heard = np.flatnonzero(row > 1e-12)
    assert 1 <= len(heard) <= 2
    assert NODES_UM[heard[0]] <= wavelength * (1 + 1e-9)
    assert NODES_UM[heard[-1]] >= wavelength * (1 - 1e-9)
    assert row.min() >= -1e-12


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000))
def test_node_values_invert_the_interpolation_of_any_positive_nodes(seed: int) -> None:
    grid = np.arange(0.4125, 2.4001, 0.0025)
    nodes = np.exp(np.random.default_rng(seed).uniform(-4.0, 0.0, len(NODES_UM)))
    values = np.exp(node_matrix(grid) @ np.log(nodes))
    found = node_values(grid, values, usable=np.ones(len(grid), dtype=bool))
    assert found == pytest.approx(nodes, rel=1e-6)


@pytest.mark.oracle
@pytest.mark.faults
def test_input_that_6s_cannot_read_is_reported_with_the_input() -> None:
    live()
    with pytest.raises(ConfigError, match="not a number") as caught:
        sixs._execute(["0", "not a number"])
    assert "refused" in str(caught.value)


@pytest.mark.oracle
def test_clear_air_looks_alike_from_both_sides_of_the_sun() -> None:
    live()
    one = sixs.run_spectrum(CLEAR)
    other = sixs.run_spectrum(SixsCase(8.0, 40.0, 70.0, 0.0, "none"))
    # Helmholtz: sun and view may change places
    assert one.path_with_gas == pytest.approx(other.path_with_gas, abs=1.5e-4)
    assert one.transmittance_down == pytest.approx(other.transmittance_up, abs=1e-3)


@pytest.mark.oracle
def test_the_shipped_solar_spectrum_is_what_6s_prints() -> None:
    live()
    spectrum = sixs.run_spectrum(CLEAR)
    wavelength, irradiance = solar_spectrum()
    assert spectrum.wavelength_um == pytest.approx(wavelength, abs=1e-6)
    assert spectrum.solar_irradiance == pytest.approx(irradiance, abs=0.06)


@pytest.mark.oracle
@pytest.mark.parametrize("index", [0, 17])
def test_6s_says_again_what_was_shipped_for_clear_air(index: int) -> None:
    live()
    case = [job.case for job in rayleigh_jobs(512)][index]
    shipped, _, _ = load_samples()
    (row,) = np.flatnonzero((shipped.model < 0) & (np.abs(shipped.sun_zenith - case.sun_zenith) < 1e-5))
    record = scattering_record(sixs.run_spectrum(case))
    for name in ("path", "down", "up", "albedo"):
        assert getattr(shipped, name)[row] == pytest.approx(record[name], abs=1.1e-5), name


@pytest.mark.oracle
def test_6s_says_again_what_was_shipped_for_gas() -> None:
    live()
    case = next(gas_jobs(1024)).case
    _, shipped, _ = load_samples()
    (row,) = np.flatnonzero(np.abs(shipped.water_vapour - case.water_vapour) < 1e-6)
    record = gas_record(sixs.run_spectrum(case))
    assert shipped.transmittance[row] * 1e4 == pytest.approx(record["gas_e4"], abs=1e-6)


@pytest.mark.oracle
def test_6s_integrates_a_band_like_our_weights() -> None:
    live()
    response = responses("L8")[2]
    case = SixsCase(40.0, 8.0, 70.0, 0.0, "none", water_vapour=2.0, ozone_dobson=320.0)
    run = sixs.run_band(case, response.values, first_um=response.first_nm / 1000.0, ground=0.3)
    spectrum = sixs.run_spectrum(case)
    inside = np.isin(np.round(spectrum.wavelength_um, 4), np.round(response.wavelength_um, 4))
    weights = band_weights(response)
    assert spectrum.gas_transmittance[inside] @ weights == pytest.approx(run.gas_transmittance, abs=2e-4)
    assert spectrum.spherical_albedo[inside] @ weights == pytest.approx(run.spherical_albedo, abs=3e-4)


@pytest.mark.oracle
def test_the_phase_function_is_asked_for_at_the_angle_that_was_meant() -> None:
    live()
    # 6SV1.1 by hand, urban, 0.550 um, scattering angle 142.11 degrees: 0.22448
    found = ask("urban", 0.550, 142.11)
    assert found.phase_function == pytest.approx(0.22448, abs=2e-4)
    assert found.single_scattering_albedo == 0.68879
    assert found.rayleigh_depth == 0.09751
    assert found.optical_depth == pytest.approx(0.2, abs=1e-5)


@pytest.mark.oracle
def test_shipped_optics_hold_the_recorded_urban_air() -> None:
    _, _, optics = load_samples()
    green = list(OPTICS_UM).index(0.550)
    assert optics.single_scattering_albedo[2, green] == pytest.approx(0.68879, abs=1e-5)
    order = np.argsort(SCATTERING_ANGLES)
    logs = np.log(optics.phase_function[2, green][order])
    assert np.exp(np.interp(142.11, SCATTERING_ANGLES[order], logs)) == pytest.approx(0.22448, rel=0.01)
    assert optics.rayleigh_depth[list(NODES_UM).index(0.550)] == pytest.approx(0.09751, abs=1e-5)


def test_scattering_angles_reach_from_the_side_to_the_back() -> None:
    assert SCATTERING_ANGLES[0] == 180.0
    assert SCATTERING_ANGLES[-1] == pytest.approx(88.0)
    assert (np.diff(SCATTERING_ANGLES) < 0).all()
    assert set(OPTICS_UM) <= set(NODES_UM)
