"""`make kind`, as far as it goes without Docker: what is missing is named, and the plan is one that holds."""

import json
from datetime import date

import check
import kind
import pytest
import yaml
from chartcheck.objects import Object
from chartcheck.policies import POLICIES

TODAY = date(2026, 11, 28)
LOGIN = '{"cdse": {"user": "me", "secret": "hush"}}'


def steps():
    return list(kind.plan(LOGIN, today=TODAY))


def documents(path):
    return [Object(body) for body in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("tool", ["docker", "kind", "kubectl", "helm"])
def test_a_tool_that_is_missing_is_named_with_the_page_that_brings_it(tool, monkeypatch, capsys):
    monkeypatch.setattr(kind.shutil, "which", lambda name: None if name == tool else f"/usr/bin/{name}")
    monkeypatch.setattr(kind.subprocess, "run", lambda *_, **__: pytest.fail("nothing may run"))
    monkeypatch.setenv("UNDERSKY_CREDENTIALS", LOGIN)
    assert kind.main([]) == 2
    assert capsys.readouterr().err == f"{tool} is missing: see {kind.TOOLS[tool]}\n"


def test_without_a_login_the_account_to_make_is_named(monkeypatch, capsys):
    monkeypatch.setattr(kind.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(kind.subprocess, "run", lambda *_, **__: pytest.fail("nothing may run"))
    monkeypatch.delenv("UNDERSKY_CREDENTIALS", raising=False)
    assert kind.main([]) == 2
    assert "dataspace.copernicus.eu" in capsys.readouterr().err


def test_a_dry_run_prints_every_command_and_no_password(monkeypatch, capsys):
    monkeypatch.setattr(kind.shutil, "which", lambda _: None)
    monkeypatch.setenv("UNDERSKY_CREDENTIALS", LOGIN)
    assert kind.main(["--dry-run"]) == 0
    said = capsys.readouterr().out
    assert said.count("\n# ") + 1 == len(steps())
    assert "kind create cluster --name undersky" in said
    assert "create -f - < (not shown)" in said
    assert "hush" not in said
    assert "PASSWORD" not in said


def test_no_command_line_shows_a_password():
    given = [step.given for step in steps() if step.given]
    secret = {
        value
        for document in given[0].split("\n---\n")
        for value in json.loads(document).get("stringData", {}).values()
        if len(value) > 24  # not "5432"
    }
    assert len(secret) > 10
    words = {word for step in steps() for word in step.command}
    assert secret & words == set()


def test_passwords_are_made_anew_each_time():
    first, second = (kind._secrets(LOGIN) for _ in range(2))
    assert first != second


def test_the_secrets_are_all_that_chart_and_airflow_ask_for(rendered):
    made = {
        document["metadata"]["name"]: document.get("stringData", {})
        for document in map(json.loads, kind._secrets(LOGIN).split("\n---\n"))
    }
    asked = {
        source["secretRef"]["name"]
        for each in rendered("trial").objects
        for container in each.containers()
        for source in container.get("envFrom") or ()
    }
    assert asked <= made.keys()
    values = yaml.safe_load((check.CHART.parent / "airflow-values.yaml").read_text(encoding="utf-8"))
    for name in ("connection", "fernet-key", "api-secret-key", "jwt-secret"):
        assert made[values["data"]["metadataSecretName"]][name]
    ledger = made["undersky-ledger"]["UNDERSKY_LEDGER"]
    assert made["undersky-postgres"]["POSTGRES_PASSWORD"] in ledger
    from cryptography.fernet import Fernet

    Fernet(made["undersky-airflow"]["fernet-key"])


def test_the_plan_installs_what_is_checked_here():
    commands = [" ".join(step.command) for step in steps()]
    ours = next(command for command in commands if "helm/undersky " in command)
    assert "helm/undersky/ci/trial-values.yaml" in ours
    theirs = next(command for command in commands if "airflow.apache.org" in command)
    assert f"--version {kind.AIRFLOW_CHART}" in theirs
    order = [commands.index(command) for command in (ours, theirs)]
    assert order == sorted(order)


def test_the_area_is_one_that_undersky_takes(tmp_path, monkeypatch, capsys, ledger_url):
    from undersky.cli import main

    monkeypatch.setenv("UNDERSKY_LEDGER", ledger_url)
    (step,) = (step for step in steps() if "area" in step.command)
    place = tmp_path / "ground"
    place.write_text(step.given)
    words = list(step.command[step.command.index("area") :])
    words[words.index("/dev/stdin")] = str(place)
    assert main(words) == 0
    assert "area trial is wanted" in capsys.readouterr().out


def test_a_command_that_fails_ends_it_unless_it_may(monkeypatch, capsys):
    ran = []

    def run(command, **_):
        ran.append(command)
        return kind.subprocess.CompletedProcess(command, 1 if command[0] in ("kind", "docker") else 0)

    monkeypatch.setattr(kind.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(kind.subprocess, "run", run)
    monkeypatch.setenv("UNDERSKY_CREDENTIALS", LOGIN)
    assert kind.main([]) == 1
    assert [command[0] for command in ran] == ["kind", "docker"]
    assert "ended with 1" in capsys.readouterr().err


def test_it_waits_for_the_first_product_and_says_where_to_look(capsys):
    counts = iter([0, 0, 2])
    assert kind._wait(lambda: next(counts), pause_s=0) == 0
    said = capsys.readouterr().out
    assert "2 published" in said
    assert "kind delete cluster" in said


def test_a_scene_that_never_comes_is_said_with_the_question_to_ask(capsys):
    assert kind._wait(lambda: 0, patience_s=0.01, pause_s=0.01) == 1
    assert "undersky status" in capsys.readouterr().err


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["postgres", "s3"])
def test_the_servers_of_a_trial_are_valid_and_keep_the_rules_that_are_not_about_our_own(name):
    objects = documents(check.CHART.parent / "kind" / f"{name}.yaml")
    for policy in ("restricted", "sized", "pinned", "secretless", "probed"):
        assert list(POLICIES[policy](objects)) == []
    assert not [sentence for sentence in check.complaints(objects) if "Kubernetes" in sentence]
