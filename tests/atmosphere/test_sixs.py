import numpy as np
import pytest

from undersky.atmosphere import sixs
from undersky.atmosphere.sixs import NODES_UM, SixsCase, node_matrix, node_values
from undersky.errors import ConfigError

GRID = np.arange(0.4125, 2.4001, 0.0025)

SPECTRUM_REPORT = """
* wave   total  total  total  total  atm.   swl    step   sbor   dsol   toar  *
*        gas    scat   scat   spheri intr                                     *
*        trans  down   up     albedo refl                                     *
*0.4250 1.0000 0.8025 0.8455 0.2387 0.1341 1638.9 0.2000 0.5000 0.9678 0.2766 *
*0.4275 0.9998 0.8056 0.8481 0.2356 0.1315 1546.2 0.2000 1.0000 0.9678 0.2749 *
*******************************************************************************
*                         integrated values of  :                             *
"""

BAND_REPORT = """
*       apparent reflectance  0.1004082  appar. rad.(w/m2/sr/mic)   20.298    *
*      global gas. trans. :     0.56704        0.61076        0.46412         *
*      total  sca.   "    :     0.95524        0.97081        0.92735         *
*      spherical albedo   :     0.00836        0.06554        0.07274         *
*      reflectance I      :     0.00344        0.01570        0.01980         *
"""


def test_spectrum_is_read_column_by_column() -> None:
    spectrum = sixs._parse_spectrum(SPECTRUM_REPORT)
    assert spectrum.wavelength_um.tolist() == [0.425, 0.4275]
    assert spectrum.gas_transmittance.tolist() == [1.0, 0.9998]
    assert spectrum.transmittance_down[1] == 0.8056
    assert spectrum.transmittance_up[1] == 0.8481
    assert spectrum.spherical_albedo[0] == 0.2387
    assert spectrum.path_with_gas[0] == 0.1341
    assert spectrum.solar_irradiance[1] == 1546.2


def test_band_report_is_read_in_full_precision() -> None:
    run = sixs._parse_band(BAND_REPORT)
    assert run.apparent_reflectance == 0.1004082
    assert run.gas_transmittance == 0.46412
    assert run.transmittance == 0.92735
    assert run.spherical_albedo == 0.07274
    assert run.scattering_path == 0.0198


def test_a_report_of_another_version_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"version 1\.1"):
        sixs._parse_band("nothing of the kind")


def test_input_states_angles_gases_aerosol_and_altitude_in_6s_order() -> None:
    case = SixsCase(40.0, 8.0, 70.0, 0.3, "maritime", water_vapour=2.0, ozone_dobson=300.0, altitude_km=1.5)
    lines = sixs._case_lines(case)
    assert lines[1].split()[:4] == ["40.00000", "70.00000", "8.00000", "0.0"]
    assert lines[3] == "2.00000 0.30000"
    assert lines[4:7] == ["2", "0", "0.300000"]
    assert lines[7:] == ["-1.50000", "-1000"]


def test_clear_air_is_asked_for_without_an_optical_depth() -> None:
    assert sixs._case_lines(SixsCase(40.0, 8.0, 70.0, 0.0, "none"))[4:6] == ["0", "-1"]


def test_a_mixture_lists_its_four_components() -> None:
    case = SixsCase(40.0, 8.0, 70.0, 0.3, "mixture", components=(0.1, 0.2, 0.3, 0.4))
    assert sixs._case_lines(case)[4:6] == ["4", "0.10000 0.20000 0.30000 0.40000"]


@pytest.mark.parametrize(
    "faulty",
    [{"aerosol": "volcanic"}, {"altitude_km": -0.4}, {"altitude_km": 9.0}, {"aerosol": "mixture"}],
)
def test_impossible_cases_are_refused_before_6s_sees_them(faulty: dict) -> None:
    arguments = {"aerosol": "urban", "altitude_km": 0.0} | faulty
    with pytest.raises(ConfigError):
        SixsCase(40.0, 8.0, 70.0, 0.3, **arguments)


def test_interpolation_weights_sum_to_one_and_hit_the_nodes() -> None:
    assert node_matrix(GRID).sum(axis=1) == pytest.approx(1.0)
    assert node_matrix(NODES_UM) == pytest.approx(np.eye(len(NODES_UM)), abs=1e-9)


def test_node_values_recover_a_power_law_from_four_printed_decimals() -> None:
    truth = 0.13 * (NODES_UM / 0.412) ** -1.3
    printed = np.round(np.exp(node_matrix(GRID) @ np.log(truth)), 4)
    found = node_values(GRID, printed, usable=np.ones(len(GRID), dtype=bool))
    assert found == pytest.approx(truth, abs=4e-5)


def test_node_values_ignore_rows_that_are_not_usable() -> None:
    truth = 0.13 * (NODES_UM / 0.412) ** -1.3
    values = np.exp(node_matrix(GRID) @ np.log(truth))
    gas_band = (GRID > 0.93) & (GRID < 0.97)
    values[gas_band] = 0.5
    assert node_values(GRID, values, usable=~gas_band) == pytest.approx(truth, rel=1e-6)


def test_printed_zeros_leave_a_small_positive_value() -> None:
    printed = np.where(GRID > 1.5, 0.0, 0.1)
    found = node_values(GRID, printed, usable=np.ones(len(GRID), dtype=bool))
    assert found[-1] == pytest.approx(2.5e-5, rel=0.1)


def test_a_printed_nan_spoils_the_whole_column() -> None:
    printed = np.full(len(GRID), 0.1)
    printed[-1] = np.nan
    assert np.isnan(node_values(GRID, printed, usable=np.ones(len(GRID), dtype=bool))).all()
