"""The verbs of the flow on the command line: what they print, and how they exit."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from fixtures_archive import small_safe
from ledger_rows import (
    DAY,
    GROUND,
    HREF,
    ITEM,
    KEY,
    SCENE,
    add_area,
    add_search,
    announce,
    held,
    published,
    rejection,
)
from undersky.cli import main
from undersky.services.ledger import AcquisitionState, Ledger, ProductState

VERBS = {
    "status": "status",
    "why": "why",
    "show": "show",
    "retry": "retry",
    "release": "release",
    "skip": "skip",
    "remake": "remake",
    "doctor": "doctor",
    "record": "record",
    "area add": "area add",
    "area list": "area list",
    "area pause": "area pause",
    "area resume": "area resume",
    "model bootstrap": "model bootstrap",
}


@pytest.fixture
def run(capsys, monkeypatch, ledger_url):
    monkeypatch.setenv("UNDERSKY_LEDGER", ledger_url)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def maremma(tmp_path):
    path = tmp_path / "maremma.geojson"
    path.write_text(json.dumps(GROUND))
    return path


@pytest.fixture
def played(archive, monkeypatch, tmp_path):
    """The command line asks the archive of this test."""
    monkeypatch.setenv("UNDERSKY_PROFILES", str(tmp_path / "served" / "profiles"))


def in_json(run, *arguments):
    code, out, _ = run(*arguments, "--json")
    return code, json.loads(out)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_with_an_example(capsys, verb):
    with pytest.raises(SystemExit) as done:
        main([*verb.split(), "--help"])
    text = capsys.readouterr().out
    assert done.value.code == 0
    assert f"example:\n  undersky {verb}" in text
    assert "--json" in text


def test_an_area_is_added_listed_paused_and_resumed(run, maremma, ledger):
    code, out, _ = run("area", "add", maremma, "--from", "2025-06-01", "--collections", "sentinel-2-l1c")
    assert code == 0
    assert "area maremma is wanted" in out
    assert ledger.areas()[0].geometry["type"] == "Polygon"
    assert run("area", "pause", "maremma", "--reason", "no [money]")[0] == 0
    assert "paused: no [money]" in run("area", "list")[1]
    assert in_json(run, "area", "list")[1]["areas"][0]["paused"] is True
    assert run("area", "resume", "maremma")[0] == 0
    assert ledger.areas(active=True)[0].name == "maremma"


def test_an_area_added_twice_or_never_is_an_error_of_the_operator(run, maremma):
    add = ("area", "add", maremma, "--from", "2025-06-01", "--collections", "sentinel-2-l1c")
    assert run(*add)[0] == 0
    code, _, err = run(*add)
    assert code == 2
    assert "there already" in err
    code, _, err = run("area", "pause", "alps", "--reason", "x")
    assert code == 2
    assert "maremma" in err


def test_a_bad_file_is_an_error_of_the_operator(run, tmp_path):
    (tmp_path / "x.geojson").write_text("{}")
    code, _, err = run(
        "area", "add", tmp_path / "x.geojson", "--from", "2025-06-01", "--collections", "sentinel-2-l1c"
    )
    assert code == 2
    assert err.startswith("ConfigError: ")


def test_a_dry_run_says_scenes_gigabytes_and_hours_and_adds_nothing(run, maremma, archive, played, ledger):
    day = datetime.now(UTC) - timedelta(days=3)
    small_safe(archive.folder, SCENE.replace("20250619", f"{day:%Y%m%d}"))
    since = f"{day - timedelta(days=30):%Y-%m-%d}"
    add = ("area", "add", maremma, "--from", since, "--collections", "sentinel-2-l1c", "--dry-run")
    code, plain = in_json(run, *add)
    assert code == 0
    assert (plain["added"], plain["outlook"]["scenes"]) == (False, 1)
    code, out, _ = run(*add)
    assert "dry run: nothing was added" in out
    assert "131 s a scene" in out
    assert ledger.areas() == ()


def test_why_answers_in_a_paragraph_and_as_json(run, ledger):
    published(ledger)
    code, out, _ = run("why", "--tile", "t32tqm", "--date", DAY)
    assert code == 0
    assert HREF in out
    code, plain = in_json(run, "why", SCENE)
    assert plain["answers"][0]["case"] == "published"
    assert "outside" in json.dumps(in_json(run, "why", "--tile", "30TVP", "--date", DAY)[1])


@pytest.mark.parametrize(
    "arguments", [(), ("--tile", "32TQM"), (SCENE, "--tile", "32TQM", "--date", "2025-06-19")]
)
def test_why_needs_a_tile_and_a_date_or_a_name(run, arguments):
    code, _, err = run("why", *arguments)
    assert code == 2
    assert "--tile and --date" in err


def test_status_exits_four_beyond_the_waiting_time(run, ledger):
    announce(ledger)
    code, out, _ = run("status")
    assert code == 0
    assert "acquisition" in out
    assert KEY in out
    code, out, _ = run("status", "--max-wait", "0min")
    assert code == 4
    assert f"TOO LATE  ingest: {KEY}" in out
    code, plain = in_json(run, "status", "--max-wait", "0min")
    assert code == 4
    assert plain["late"]


def test_status_shows_areas_and_their_last_search(run, ledger):
    add_area(ledger)
    add_search(ledger, error="the archive answered [503]")
    out = run("status")[1]
    assert "failed: the archive answered [503]" in out
    assert "Nothing waits." in out


def test_show_tells_the_story_with_log_links(run, ledger):
    published(ledger)
    for name in (KEY, SCENE, ITEM):
        code, out, _ = run("show", name)
        assert code == 0
        assert "log http://airflow/log/1" in out
        assert f"{ITEM}: published" in out
    assert run("show", "32TQM", DAY)[1] == out


def test_show_tells_of_rejections(run, ledger):
    add_search(ledger, rejection())
    assert "was rejected" in run("show", SCENE)[1]


def test_decisions_are_told_first_and_then_made(run, ledger):
    held(ledger)
    code, out, _ = run("release", KEY, "--why", "looked at it", "--dry-run")
    assert code == 0
    assert "would be released (dry run: nothing was changed)" in out
    assert ledger.story(KEY).products[-1].state is ProductState.HELD
    code, plain = in_json(run, "release", "--state", "held", "--why", "looked at it")
    assert plain["changes"][0]["before"] == "held"
    last = ledger.story(KEY).history[-1]
    assert last.sentence == "looked at it"
    assert last.run


def test_a_decision_without_scenes_or_reason_is_refused(run, ledger):
    announce(ledger)
    code, _, err = run("skip", "--why", "x")
    assert code == 2
    assert "everything" in err
    with pytest.raises(SystemExit) as done:
        main(["skip", "--state", "discovered"])
    assert done.value.code == 2
    assert ledger.story(KEY).acquisition.state is AcquisitionState.DISCOVERED


def test_remake_takes_a_lane(run, ledger):
    published(ledger)
    assert run("remake", "--model-version", "physics-1", "--why", "new", "--lane", "fresh")[0] == 0
    assert ledger.story(KEY).products[-1].lane == "fresh"


def test_the_doctor_exits_two_if_anything_failed_and_names_its_cure(run, monkeypatch, tmp_path):
    monkeypatch.setenv("UNDERSKY_SCRATCH", str(tmp_path / "absent"))
    monkeypatch.delenv("UNDERSKY_STORE", raising=False)
    code, out, _ = run("doctor")
    assert code == 2
    assert "UNDERSKY_LEDGER=(set, hidden)" in out
    assert f"cure: mkdir -p {tmp_path / 'absent'}" in out
    assert "migrations: the schema is up to date" in out
    code, plain = in_json(run, "doctor")
    assert code == 2
    assert plain["healthy"] is False


def test_record_keeps_an_item_of_each_collection(run, archive, played, tmp_path):
    day = datetime.now(UTC) - timedelta(days=3)
    small_safe(archive.folder, SCENE.replace("20250619", f"{day:%Y%m%d}").replace("T32TQM", "T32TPS"))
    profile = next(p for p in archive.profiles.values() if tuple(p.collections) == ("sentinel-2-l1c",))
    code, out, _ = run("record", profile.name, "--out", tmp_path)
    assert code == 0
    assert "is read: granule S2B_" in out
    assert (tmp_path / f"{profile.name}-sentinel-2-l1c.json").is_file()


def test_record_of_an_unknown_profile_is_refused(run, tmp_path):
    code, _, err = run("record", "nobody", "--out", tmp_path)
    assert code == 2
    assert "no profile is called" in err


@pytest.mark.slow
def test_bootstrap_makes_a_champion_once(run, registry, store, monkeypatch):
    registry.forget("correction")
    registry(registry.server.release)
    monkeypatch.setenv("UNDERSKY_REGISTRY", registry.server.uri)
    monkeypatch.setenv("UNDERSKY_STORE", store.url)
    monkeypatch.delenv("UNDERSKY_S3_ENDPOINT", raising=False)
    code, done = in_json(run, "model", "bootstrap", "correction", "--limit", "2")
    assert code == 0
    [first] = done["models"]
    assert (first["model"], first["changed"]) == ("correction", True)
    assert "direct-6s" in first["metrics"]
    code, done = in_json(run, "model", "bootstrap", "correction", "--limit", "2")
    [again] = done["models"]
    assert (code, again["changed"], again["digest"]) == (0, False, first["digest"])


def test_without_a_ledger_the_missing_setting_is_named(capsys, monkeypatch):
    monkeypatch.delenv("UNDERSKY_LEDGER", raising=False)
    assert main(["status"]) == 2
    assert "UNDERSKY_LEDGER is not set" in capsys.readouterr().err


def test_a_ledger_that_was_never_migrated_says_so(capsys, monkeypatch, empty_url):
    monkeypatch.setenv("UNDERSKY_LEDGER", empty_url)
    assert main(["why", "--tile", "32TQM", "--date", "2025-06-19"]) == 2
    assert "undersky ledger migrate" in capsys.readouterr().err


def test_what_is_on_record_is_what_another_process_sees(run, ledger_url, ledger):
    announce(ledger)
    assert run("skip", KEY, "--why", "x")[0] == 0
    other = Ledger.open(ledger_url)
    assert other.story(KEY).acquisition.state is AcquisitionState.SKIPPED
    other.close()
