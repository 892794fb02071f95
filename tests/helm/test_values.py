"""Values: each has its sentence, an unknown one is refused, a secret is never repeated."""

import json
import re
from pathlib import Path

import check
import helm_python
import jsonschema
import pytest
import yaml
from chartcheck.objects import render, values_of
from check import CHART

TRIAL = values_of(check.examples()["trial"])
VALUES = CHART / "values.yaml"
SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
AIRFLOW = CHART.parent / "airflow-values.yaml"
CANARY = "canary-3f2a91c04d7e"


def changed(path, value):
    """The trial's values with one of them set."""
    values = json.loads(json.dumps(TRIAL))
    *way, last = path.split(".")
    place = values
    for step in way:
        place = place.setdefault(step, {})
    place[last] = value
    return values


def keys(values):
    """The path of every value, lists and all."""
    for name, value in values.items():
        yield name
        if isinstance(value, dict):
            yield from (f"{name}.{below}" for below in keys(value))


def test_every_value_has_a_sentence_above_it():
    lines = VALUES.read_text(encoding="utf-8").splitlines()
    bare = [
        line.strip()
        for above, line in zip(["", *lines], lines, strict=False)
        if re.match(r"\s*(- )?[\w./-]+:", line) and not re.match(r"\s*# .*[\w)]", above)
    ]
    assert bare == []
    (first, *others) = [line.strip() for line in lines if line.strip().startswith("#")]
    assert first.startswith("# Values of the chart")
    assert [line for line in others if not line.endswith(".")] == []


def test_the_schema_is_one_and_takes_the_defaults():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(values_of(VALUES), SCHEMA)


def test_every_default_is_in_the_schema_and_every_value_of_the_schema_has_a_default():
    assert set(values_of(VALUES)) == set(SCHEMA["properties"]) - {"global"}
    for name, value in values_of(VALUES).items():
        properties = SCHEMA["properties"][name].get("properties")
        if properties and name not in {"pods", "settings", "proxy", "serviceAccounts"}:
            assert set(value) == set(properties), name


def test_every_object_of_the_schema_is_closed():
    def walk(schema, where):
        if isinstance(schema, dict):
            if "properties" in schema and "type" in schema:
                assert schema.get("additionalProperties") is False, where
            for key, below in schema.items():
                walk(below, f"{where}.{key}")

    walk(SCHEMA, "")


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("stroe.bucket", "x", "stroe"),
        ("store.bukket", "x", "bukket"),
        ("mlflow.resources.limits.cpus", "1", "cpus"),
        ("pods.correct.cpus", "4", "cpus"),
        ("pods.corect.cpu", "4", "corect"),
        ("settings.UNDERSKY_LEDGER", "postgresql://x:y@z/a", "UNDERSKY_LEDGER"),
        ("settings.UNDERSKY_BATCHES", 3, "UNDERSKY_BATCHES"),
        ("image.tag", "latest", "tag"),
        ("image.pullPolicy", "Sometimes", "pullPolicy"),
        ("store.endpoint", "s3.example.org", "endpoint"),
        ("networkPolicy.store", [{"cidr": "10.0.0.0/8"}], "store"),
        ("networkPolicy.store", [{"cidr": "10.0.0.0/8", "namespace": "a", "port": 443}], "store"),
        ("airflow.serviceAccounts", [], "serviceAccounts"),
        ("mlflow.ingress.enabled", True, "host"),
        ("secrets.password", "x", "password"),
    ],
)
def test_a_value_that_the_chart_does_not_know_is_refused_by_its_name(path, value, said):
    with pytest.raises(helm_python.HelmError, match=said):
        render(CHART, changed(path, value))


def test_without_a_registry_of_its_own_the_chart_asks_for_an_address():
    with pytest.raises(helm_python.HelmError, match="url"):
        render(CHART, changed("mlflow.enabled", False))


def test_a_pod_of_the_schema_is_one_of_the_plugin():
    from undersky_airflow.rooms import STAGES, Room

    assert set(SCHEMA["$defs"]["room"]["properties"]) == set(Room.model_fields)
    assert set(SCHEMA["properties"]["pods"]["properties"]) == {"every", *map(str, STAGES)}


def test_a_secret_that_is_named_is_referred_to_and_never_looked_into():
    """There is no value that takes a secret, so the names of Secrets are the only place for a canary."""
    values = json.loads(json.dumps(TRIAL))
    names = ("ledger", "store", "providers", "trainer", "release", "mlflow")
    values["secrets"] = {name: f"{CANARY}-{name}" for name in names}
    rendered = render(CHART, values)
    for each in rendered.objects:
        text = json.dumps(each.body)
        references = re.findall(r'"(?:secretRef|secretKeyRef)": \{[^}]*\}', text)
        if each.kind == "ConfigMap":  # what the plugin refers to
            references += re.findall(r"secrets:(?:\\n  - [\w-]+)+", text)
        assert text.count(CANARY) == sum(reference.count(CANARY) for reference in references)
    assert CANARY not in rendered.notes


@pytest.mark.parametrize(
    "path", ["settings.UNDERSKY_TRAINER_LOGIN", "settings.UNDERSKY_CREDENTIALS", "store.secretKey"]
)
def test_a_secret_given_as_a_value_is_refused_before_anything_is_rendered(path):
    with pytest.raises(helm_python.HelmError) as refused:
        render(CHART, changed(path, CANARY))
    assert CANARY not in str(refused.value)


def test_no_template_is_longer_than_a_page():
    long = {
        path.name: lines
        for path in (CHART / "templates").rglob("*.*")
        if (lines := len(path.read_text(encoding="utf-8").splitlines()))
        > (130 if path.suffix == ".tpl" else 100)
    }
    assert long == {}


def test_names_and_labels_come_from_one_place():
    for path in (CHART / "templates").rglob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        assert "app.kubernetes.io/" not in text, path
        assert not re.search(r"^ *name: undersky", text, flags=re.MULTILINE), path


CHECKED = {
    *("executor", "airflowVersion", "defaultAirflowTag", "images.airflow.repository", "images.airflow.tag"),
    *("images.airflow.pullPolicy", "images.migrationsWaitTimeout", "extraEnvFrom", "data.metadataSecretName"),
    *("fernetKeySecretName", "apiSecretKeySecretName", "jwtSecretName", "postgresql.enabled"),
    *("redis.enabled", "statsd.enabled", "rbac.create", "allowPodLaunching", "securityContexts.pod"),
    *("securityContexts.containers", "config", "createUserJob.enabled", "migrateDatabaseJob.args"),
    *("migrateDatabaseJob.serviceAccount.automountServiceAccountToken", "migrateDatabaseJob.resources"),
    *("scheduler.serviceAccount.name", "scheduler.terminationGracePeriodSeconds"),
    *("scheduler.startupProbe.failureThreshold", "scheduler.resources"),
    *("scheduler.logGroomerSidecar.retentionDays", "scheduler.logGroomerSidecar.resources"),
    *("workers.celery.persistence.enabled", "triggerer.serviceAccount.name", "triggerer.persistence.enabled"),
    *("triggerer.resources", "triggerer.logGroomerSidecar.retentionDays"),
    *("triggerer.logGroomerSidecar.resources", "dagProcessor.enabled", "dagProcessor.resources"),
    *("dagProcessor.serviceAccount.automountServiceAccountToken", "dagProcessor.logGroomerSidecar.resources"),
    *("dagProcessor.logGroomerSidecar.retentionDays", "apiServer.allowPodLogReading", "apiServer.resources"),
    *("apiServer.serviceAccount.automountServiceAccountToken", "apiServer.startupProbe.failureThreshold"),
}
"""Values of the official chart that were looked up in its own values.yaml and templates, up to 1.22.0."""


def airflow_values():
    found = yaml.safe_load(AIRFLOW.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def test_every_value_for_the_official_chart_was_looked_up_there():
    paths = set(keys(airflow_values()))
    leaves = {path for path in paths if not any(other.startswith(f"{path}.") for other in paths)}
    assert {path for path in leaves if not any(f"{path}.".startswith(f"{c}.") for c in CHECKED)} == set()
    assert {c for c in CHECKED if not any(f"{path}.".startswith(f"{c}.") for path in paths)} == set()


def test_airflow_gets_no_default_user_no_right_to_launch_and_no_secret_as_a_value():
    values = airflow_values()
    assert values["createUserJob"]["enabled"] is False
    assert values["rbac"]["create"] is False
    assert values["allowPodLaunching"] is False
    text = AIRFLOW.read_text(encoding="utf-8")
    assert not re.search(r"(?i)password:|fernetKey:|[a-z]secretKey:|://[^/\s:]+:[^/\s]+@", text)


def test_airflow_takes_the_settings_and_secrets_that_stages_do_not_bring():
    sources = yaml.safe_load(airflow_values()["extraEnvFrom"])
    names = [next(iter(each.values()))["name"] for each in sources]
    assert names == [
        "undersky-settings",
        "undersky-ledger",
        "undersky-store",
        "undersky-release",
        "undersky-providers",
    ]


def test_what_launches_pods_in_airflow_is_what_the_chart_gives_the_right_to():
    values = airflow_values()
    launchers = [values[part]["serviceAccount"]["name"] for part in ("scheduler", "triggerer")]
    assert values_of(VALUES)["airflow"]["serviceAccounts"] == launchers


def test_airflow_is_the_one_that_is_tested_and_keeps_the_restricted_standard():
    values = airflow_values()
    locks = (CHART.parents[1] / "requirements" / "airflow.txt").read_text(encoding="utf-8")
    assert f"apache-airflow=={values['airflowVersion']}\n" in locks
    assert values["defaultAirflowTag"] == values["airflowVersion"]
    assert values["securityContexts"]["pod"]["runAsNonRoot"] is True
    assert values["securityContexts"]["containers"]["capabilities"] == {"drop": ["ALL"]}
    for part in ("scheduler", "triggerer", "dagProcessor", "apiServer", "migrateDatabaseJob"):
        for size in ("requests", "limits"):
            assert {"cpu", "memory", "ephemeral-storage"} == set(values[part]["resources"][size])


def test_the_images_have_the_version_of_the_package():
    from undersky import __version__

    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["version"] == chart["appVersion"] == __version__
    assert airflow_values()["images"]["airflow"]["tag"] == __version__
    assert Path(CHART.parent / "kind.py").read_text(encoding="utf-8").count(f'"{__version__}"') == 1
