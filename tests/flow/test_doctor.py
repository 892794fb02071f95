"""The doctor looks at everything, hides no failure behind another one, and gives each its cure."""

import json
import threading
import time

import pytest
from pydantic import SecretStr

from fixtures_shelf import Shelf, a_version
from ledger_rows import BY, add_area
from undersky.errors import ConfigError, ServiceError
from undersky.flow import doctor, doctor_checks
from undersky.flow.doctor import Verdict, examine
from undersky.flow.doctor_checks import Found
from undersky.flow.promote import promote
from undersky.services.store.race import RaceReport
from undersky.settings import Settings


def settings(**given):
    known = {
        name: SecretStr(value) if name in ("ledger", "credentials") else value
        for name, value in given.items()
    }
    return Settings(_env_file=None, **known)


def by_name(examination):
    return {check.name: check for check in examination.checks}


def look(*pairs, **options):
    return by_name(examine(settings(), looks=pairs, **options))


def test_a_check_without_a_cure_is_well():
    (check,) = look(("disk", lambda _: Found("9 GB free"))).values()
    assert (check.verdict, check.sentence, check.cure) == (Verdict.OK, "9 GB free", None)


def test_one_that_raises_hides_no_other():
    def away(s):
        raise ServiceError("the store does not answer: is it up?")

    def wrong(s):
        raise ConfigError("the address is wrong; give another")

    def broken(s):
        raise ZeroDivisionError("oops")

    found = look(("a", away), ("b", wrong), ("c", broken), ("d", lambda _: Found("fine")))
    assert (found["a"].sentence, found["a"].cure) == ("the store does not answer", "is it up?")
    assert found["b"].cure == "give another"
    assert "ZeroDivisionError: oops" in found["c"].sentence
    assert found["d"].verdict is Verdict.OK
    assert all(found[name].cure for name in "abc")


def test_one_that_hangs_hides_no_other_and_does_not_hold_up_the_answer():
    release = threading.Event()
    begin = time.monotonic()
    found = look(
        ("hangs", lambda _: Found(str(release.wait(30)))), ("fine", lambda _: Found("fine")), deadline_s=0.3
    )
    release.set()
    assert time.monotonic() - begin < 20
    assert found["hangs"].verdict is Verdict.FAILED
    assert found["hangs"].sentence == "no answer in 0.3 s"
    assert found["fine"].verdict is Verdict.OK


def test_what_is_off_is_no_failure():
    examination = examine(settings(), looks=[("catalog", doctor_checks.catalog)])
    assert examination.checks[0].verdict is Verdict.OFF
    assert examination.is_healthy


def test_every_check_has_its_own_name():
    names = [name for name, _ in doctor.LOOKS]
    assert len(names) == len(set(names)) == 12


def test_without_any_setting_the_verbs_by_hand_are_well(monkeypatch):
    for name in ("LEDGER", "STORE", "REGISTRY", "CATALOG_URL", "AIRFLOW_URL", "CREDENTIALS", "SCRATCH"):
        monkeypatch.delenv(f"UNDERSKY_{name}", raising=False)
    examination = examine(settings())
    assert examination.is_healthy, [check for check in examination.checks if check.cure]
    assert by_name(examination)["ledger"].verdict is Verdict.OFF


def test_with_a_part_of_the_flow_set_the_rest_is_needed(ledger_url):
    found = doctor_checks.store(settings(ledger=ledger_url))
    assert found.cure == "give the bucket, s3://name"


def test_settings_are_shown_without_secrets():
    given = settings(
        ledger="postgresql://u:hunter2@host/db",
        credentials='{"cdse": {"user": "u", "secret": "hunter2"}}',
        s3_endpoint="http://key:hunter2@127.0.0.1:8333",
        registry="http://127.0.0.1:5000",
    )
    shown = dict(doctor_checks.settings_set(given))
    assert "hunter2" not in json.dumps(shown)
    assert shown["UNDERSKY_LEDGER"] == "(set, hidden)"
    assert shown["UNDERSKY_S3_ENDPOINT"] == "http://...@127.0.0.1:8333"
    assert shown["UNDERSKY_REGISTRY"] == "http://127.0.0.1:5000"
    assert "UNDERSKY_STORE" not in shown


def test_a_disk_that_is_full_or_absent_is_told(tmp_path, monkeypatch):
    assert doctor_checks.disk(settings(scratch=tmp_path)).sentence.endswith(f"GB free at {tmp_path}")
    absent = tmp_path / "absent"
    assert doctor_checks.disk(settings(scratch=absent)).cure == f"mkdir -p {absent}"
    monkeypatch.setattr(doctor_checks, "NEEDED_GB", 1e9)
    assert "UNDERSKY_SCRATCH" in doctor_checks.disk(settings(scratch=tmp_path)).cure


def test_versions_of_what_results_depend_on_are_said():
    import rasterio

    found = doctor_checks.versions(settings())
    assert found.cure is None
    assert f"GDAL {rasterio.__gdal_version__}" in found.sentence
    assert "torch 2" in found.sentence


def test_what_stages_need_may_be_missing_where_they_run_as_pods(monkeypatch):
    monkeypatch.setattr(doctor_checks, "_version", lambda name: "2.4" if name == "numpy" else None)
    alone, orchestrating = settings(), settings(runtime="kubernetes")
    assert "install torch and rasterio" in doctor_checks.versions(alone).cure
    found = doctor_checks.versions(orchestrating)
    assert found.cure is None
    assert "rasterio missing; the worker image has what is missing here" in found.sentence


def test_a_ledger_that_was_never_migrated_answers_and_lacks_its_schema(empty_url):
    given = settings(ledger=empty_url)
    found = by_name(examine(given, looks=[("l", doctor_checks.ledger), ("m", doctor_checks.migrations)]))
    assert found["l"].verdict is Verdict.OK
    assert found["m"].verdict is Verdict.FAILED
    assert "undersky ledger migrate" in found["m"].cure


def test_a_migrated_ledger_is_well(ledger, ledger_url):
    add_area(ledger)
    found = doctor_checks.migrations(settings(ledger=ledger_url))
    assert "0 acquisitions, 1 areas" in found.sentence
    assert "database's clock is" in doctor_checks.clock(settings(ledger=ledger_url)).sentence


def test_a_store_is_listed_written_and_raced(store):
    given = settings(store=store.url)
    assert doctor_checks.store(given).cure is None
    raced = doctor_checks.conditional_puts(given)
    assert raced.cure is None
    assert "16 writers raced 3 times" in raced.sentence
    assert list(store.list("doctor/")) == []


@pytest.mark.slow
def test_the_real_server_holds_and_tells_the_time(weed, weed_server):
    given = settings(store=weed.url, s3_endpoint=weed_server.endpoint)
    assert doctor_checks.conditional_puts(given).cure is None
    assert "the store's clock is" in doctor_checks.clock(given).sentence


class LosesRaces:
    """Stands for a server that carries out every conditional put."""

    def race(self):
        return RaceReport(writers=16, winners=(16, 16, 16), kept=(True,) * 3, errors=0, seconds=0.1)


def test_a_store_that_lets_several_win_is_refused(monkeypatch):
    monkeypatch.setattr(doctor_checks, "open_store", lambda _: LosesRaces())
    found = doctor_checks.conditional_puts(settings(store="s3://bucket"))
    assert found.sentence.startswith("the store is refused")
    assert "UNDERSKY_COMMIT=ledger" in found.cure


def test_with_the_ledger_as_lock_such_a_store_is_taken_and_that_is_stated(monkeypatch):
    monkeypatch.setattr(doctor_checks, "open_store", lambda _: LosesRaces())
    found = doctor_checks.conditional_puts(settings(store="s3://bucket", commit="ledger"))
    assert found.cure is None
    assert "the ledger's row lock decides who publishes; conditional puts do not hold" in found.sentence


def test_a_bucket_that_is_not_there_is_told_with_its_cure(store):
    found = by_name(examine(settings(store="s3://another-bucket"), looks=[("store", doctor_checks.store)]))
    assert found["store"].verdict is Verdict.FAILED
    assert found["store"].cure


def test_profiles_that_areas_ask_need_their_login(ledger, ledger_url):
    add_area(ledger, profiles=("copernicus-dataspace",))
    found = doctor_checks.providers(settings(ledger=ledger_url))
    assert "no login for copernicus-dataspace" in found.sentence
    assert 'UNDERSKY_CREDENTIALS an entry "' in found.cure
    entry = found.cure.split('"')[1]
    logins = json.dumps({entry: {"user": "u", "secret": "s"}})
    assert doctor_checks.providers(settings(ledger=ledger_url, credentials=logins)).cure is None


def test_profiles_that_nobody_asks_need_none_yet(ledger_url):
    found = doctor_checks.providers(settings(ledger=ledger_url))
    assert found.cure is None
    assert "will need a login" in found.sentence


def test_servers_that_are_away_are_told_each_by_itself():
    given = settings(
        ledger="postgresql://u@127.0.0.1:9/x",
        registry="http://127.0.0.1:9",
        catalog_url="http://127.0.0.1:9/stac",
        airflow_url="http://127.0.0.1:9",
    )
    looks = [
        pair
        for pair in doctor.LOOKS
        if pair[0] in ("ledger", "registry", "release", "catalog", "airflow", "clock")
    ]
    found = by_name(examine(given, looks=looks))
    for name in ("ledger", "registry", "release", "catalog", "airflow"):
        assert found[name].verdict is Verdict.FAILED, name
        assert found[name].cure
    assert found["clock"].verdict is Verdict.OK
    assert "the database does not tell the time" in found["clock"].sentence


@pytest.mark.parametrize(("ahead", "well"), [(3.0, True), (-59.0, True), (90.0, False), (-900.0, False)])
def test_a_clock_that_is_off_by_a_minute_fails(monkeypatch, ahead, well):
    monkeypatch.setattr("undersky.services.health.database_ahead_s", lambda _: ahead)
    found = doctor_checks.clock(settings(ledger="postgresql://u@host/x"))
    assert (found.cure is None) is well
    assert f"{abs(ahead):.1f} s {'ahead' if ahead > 0 else 'behind'}" in found.sentence


@pytest.fixture
def looked_at(ledger, ledger_url, monkeypatch):
    """What the doctor says of the release set, with that registry."""

    def look(shelf):
        monkeypatch.setattr(doctor_checks, "open_registry", lambda _: shelf)
        given = settings(registry="http://registry", ledger=ledger_url)
        return by_name(examine(given, looks=[("release", doctor_checks.released)]))["release"]

    return look


@pytest.fixture
def shelf(ledger, store, tmp_path):
    """A registry of two versions that were promoted, one after the other."""
    made = Shelf()
    for label in ("network-1", "network-2"):
        promote(made, ledger, store, a_version(made, tmp_path, label), by=BY)
    return made


def test_without_a_release_the_verb_that_makes_one_is_told(looked_at):
    found = looked_at(Shelf())
    assert (found.verdict, found.cure) == (Verdict.FAILED, "undersky model bootstrap")


def test_a_release_whose_files_are_those_of_their_verdict_is_well(shelf, looked_at):
    found = looked_at(shelf)
    digest = shelf.version("correction", "2").digest[:12]
    assert found.verdict is Verdict.OK
    assert found.sentence == f"correction: version 2 (network-2, {digest}), verified"


def test_a_champion_whose_files_differ_from_its_verdict_fails(shelf, looked_at):
    shelf.files["correction", "2"]["weights.safetensors"] += b"\0"
    found = looked_at(shelf)
    assert found.verdict is Verdict.FAILED
    assert "its weights have sha256" in found.sentence


def test_an_alias_that_was_moved_by_hand_is_told_with_the_cure(shelf, looked_at):
    shelf.set_alias(shelf.version("correction", "1"), "champion")
    found = looked_at(shelf)
    assert found.sentence.endswith("the registry's champion of correction is another")
    assert "undersky model promote" in found.cure
    shelf.remove_alias("correction", "champion")
    assert looked_at(shelf).verdict is Verdict.FAILED


def test_a_version_that_is_gone_from_the_registry_is_told(shelf, looked_at):
    del shelf.kept["correction", "2"]
    found = looked_at(shelf)
    assert found.verdict is Verdict.FAILED
    assert "no version 2 of correction" in found.sentence


def test_without_registry_or_ledger_there_is_no_release_to_look_at(ledger_url):
    assert doctor_checks.released(settings(ledger=ledger_url)).is_off
    assert doctor_checks.released(settings(registry="http://registry")).is_off


def test_an_examination_is_json():
    plain = json.loads(json.dumps(examine(settings(), looks=[("disk", doctor_checks.disk)]).as_json()))
    assert plain["checks"][0]["verdict"] == "ok"
    assert plain["healthy"] is True
