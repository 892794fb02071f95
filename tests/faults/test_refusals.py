"""Every malformed product, through `correct` in its own process: right reason, little time, little memory.

The peak is read from /proc, since `ru_maxrss` of a child starts at its parent's.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from undersky.stages.simulate import Order, request_for, simulate
from undersky.synth.malformed import MALFORMED, malform

pytestmark = pytest.mark.faults

WORKER = """
import json, re, sys, time
from pathlib import Path
from undersky.errors import DataError
from undersky.stages.correct import CorrectOptions, correct, estimator_for

estimator = estimator_for()
for name in sys.argv[2:]:
    began = time.process_time()
    try:
        correct(Path(name), Path(sys.argv[1]), estimator=estimator, options=CorrectOptions(threads=1))
        reason = "accepted"
    except DataError as error:
        reason = error.reason.value
    peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]
    seconds = time.process_time() - began
    print(json.dumps([reason, seconds, int(peak) / 1024, 'torch' in sys.modules]), flush=True)
"""


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A good product of either family."""
    folder = tmp_path_factory.mktemp("good")
    requests = {"sentinel2": request_for("S2B", size_m=3600), "landsat": request_for("L8", size_m=3600)}
    return {family: simulate(folder, order=Order(request)).product for family, request in requests.items()}


@pytest.fixture(scope="module")
def refusals(good, tmp_path_factory):
    """What became of each kind: reason, CPU-seconds, peak MB so far, whether torch was loaded."""
    folder = tmp_path_factory.mktemp("spoilt")
    family_of = {kind: next(f for f in good if f.startswith(m.family[:6])) for kind, m in MALFORMED.items()}
    products = [str(malform(good[family_of[kind]], kind, out=folder)) for kind in MALFORMED]
    done = subprocess.run(
        [sys.executable, "-c", WORKER, str(folder / "out"), *products],
        capture_output=True,
        text=True,
        check=True,
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(MALFORMED)
    left = [path.name for path in (folder / "out").glob("*")] if (folder / "out").exists() else []
    return dict(zip(MALFORMED, found, strict=True)), left


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_product_ends_in_its_own_reason(refusals, kind):
    assert refusals[0][kind][0] == MALFORMED[kind].reason.value


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_refusal_costs_less_than_two_seconds(refusals, kind):
    assert refusals[0][kind][1] < 2.0


def test_all_refusals_together_stay_within_half_a_gigabyte(refusals):
    assert max(peak for _, _, peak, _ in refusals[0].values()) < 500.0


def test_no_refusal_waits_for_torch(refusals):
    assert not any(torch for *_, torch in refusals[0].values())


def test_refusals_leave_nothing_behind(refusals):
    assert refusals[1] == []


def test_the_good_products_that_were_spoilt_are_themselves_accepted(good, tmp_path):
    for product in good.values():
        done = subprocess.run(
            [sys.executable, "-c", WORKER, str(tmp_path), str(product)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(done.stdout)[0] == "accepted"
        assert Path(product).exists()
