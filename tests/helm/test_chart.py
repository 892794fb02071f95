"""The chart as it is installed: every example is valid, keeps every rule, and says what comes next."""

import json
import re

import check
import helm_python
import pytest
import yaml
from chartcheck.objects import lint, render, values_of
from check import CHART

from undersky.refs import ReleaseStage, Stage
from undersky.settings import Settings
from undersky.tile_refs import TileStage

EXAMPLES = check.examples()
STAGES = [str(stage) for stage in (*Stage, *TileStage, *ReleaseStage)]
SECRET_SETTINGS = {"ledger", "credentials", "release_login", "trainer_login", "admin_login"}
NOT_OF_A_CLUSTER = {"samples", "scratch", "worker", "kubeconfig"}
"""Of one machine, or of single stages, which `pods` sets."""
each_example = pytest.mark.parametrize("name", EXAMPLES)


def test_there_is_an_example_for_each_way_to_install():
    assert {"trial", "production", "no-gpu", "existing-airflow"} <= EXAMPLES.keys()


@pytest.mark.oracle
def test_every_example_is_valid_for_three_releases_and_keeps_every_rule(capsys):
    assert check.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(EXAMPLES)
    assert all("valid for 1.33, 1.35, 1.37" in line for line in lines)


@pytest.mark.oracle
def test_what_is_wrong_is_listed_and_ends_with_one(tmp_path, capsys):
    values = dict(values_of(EXAMPLES["trial"])) | {"tolerations": [{"key": 5}]}
    (tmp_path / "wrong-values.yaml").write_text(yaml.safe_dump(values))
    assert check.main([tmp_path / "wrong-values.yaml"]) == 1
    said = capsys.readouterr().out
    assert "wrong" in said.splitlines()[0]
    assert "Deployment/undersky-mlflow: Kubernetes 1.33 refuses" in said


def test_values_that_helm_refuses_are_told_in_its_words(tmp_path, capsys):
    (tmp_path / "x-values.yaml").write_text("stroe: {bucket: typo}\n")
    assert check.main([tmp_path / "x-values.yaml"]) == 1
    assert "stroe" in capsys.readouterr().out


@each_example
def test_helm_has_nothing_against_it(name):
    assert lint(CHART, values_of(EXAMPLES[name])) == []


@each_example
def test_the_notes_say_what_to_check_next(name, rendered):
    notes = rendered(name).notes
    assert "kubectl --namespace undersky get pods,jobs" in notes
    assert "create job first-models --from=cronjob/undersky-bootstrap" in notes
    assert "helm test undersky" in notes
    assert "auth can-i create pods" in notes
    assert ("no NetworkPolicy is in force" in notes) == (name == "existing-airflow")


@each_example
def test_each_stage_has_a_service_account_where_it_runs(name, rendered):
    namespace = values_of(EXAMPLES[name]).get("workers", {}).get("namespace", "undersky")
    accounts = {
        each.name.removeprefix("ServiceAccount/undersky-")
        for each in rendered(name).objects
        if each.kind == "ServiceAccount" and each.body["metadata"]["labels"].get("undersky/stage")
        if each.namespace == namespace
    }
    assert accounts == set(STAGES)


def test_an_identity_of_a_stage_beats_that_of_all(find):
    key = "eks.amazonaws.com/role-arn"
    own = find("production", "ServiceAccount", "undersky-train")["metadata"]["annotations"][key]
    others = find("production", "ServiceAccount", "undersky-map")["metadata"]["annotations"][key]
    assert (own.rpartition("/")[2], others.rpartition("/")[2]) == ("undersky-train", "undersky-reader")


def test_the_launcher_may_do_just_what_launching_takes(find):
    role = find("production", "Role", "undersky-launcher", "undersky-workers")
    assert {(tuple(rule["resources"]), tuple(sorted(rule["verbs"]))) for rule in role["rules"]} == {
        (("pods",), ("create", "delete", "get", "list", "patch", "watch")),
        (("pods/log",), ("get",)),
        (("events",), ("get", "list", "watch")),
    }
    subjects = find("production", "RoleBinding", "undersky-launcher")["subjects"]
    assert {(each["namespace"], each["name"]) for each in subjects} == {
        ("airflow", "airflow-scheduler"),
        ("airflow", "airflow-triggerer"),
    }


def test_a_training_gives_way_to_everything(find):
    training = find("trial", "PriorityClass", "undersky-training")
    scenes = find("trial", "PriorityClass", "undersky-scenes")
    assert training["value"] < scenes["value"] == 0
    assert training["preemptionPolicy"] == "Never"


def test_a_large_priority_stays_a_whole_number(tmp_path):
    values = {**values_of(EXAMPLES["trial"]), "priorities": {"scenes": 1_000_000}}
    (found,) = (o.body for o in render(CHART, values).objects if o.name == "PriorityClass/undersky-scenes")
    assert found["value"] == 1_000_000


def test_airflow_is_told_every_setting_that_is_no_secret(find):
    schema = json.loads((CHART / "values.schema.json").read_text())
    more = set(schema["properties"]["settings"]["properties"])
    told = set(find("production", "ConfigMap", "undersky-settings", "airflow")["data"]) | more
    told |= set(find("no-gpu", "ConfigMap", "undersky-settings")["data"])
    settings = {f"UNDERSKY_{name.upper()}" for name in Settings.model_fields}
    hidden = {f"UNDERSKY_{name.upper()}" for name in SECRET_SETTINGS}
    elsewhere = {f"UNDERSKY_{name.upper()}" for name in NOT_OF_A_CLUSTER}
    assert {name for name in told if name.startswith("UNDERSKY_")} == settings - hidden - elsewhere


@each_example
def test_the_settings_are_such_as_undersky_takes(name, rendered, monkeypatch):
    (settings,) = (o for o in rendered(name).objects if o.name == "ConfigMap/undersky-settings")
    for key, value in settings.body["data"].items():
        monkeypatch.setenv(key, value)
    read = Settings()
    assert read.runtime == "kubernetes"
    assert read.worker_image
    assert read.registry


@each_example
@pytest.mark.parametrize("stage", ["ingest", "correct", "train"])
def test_the_pods_of_its_stages_are_such_as_the_plugin_takes(name, stage, rendered):
    from undersky_airflow.rooms import STAGES as STAGES_OF_ROOMS
    from undersky_airflow.rooms import room_of

    (settings,) = (o for o in rendered(name).objects if o.name == "ConfigMap/undersky-settings")
    (one,) = (each for each in STAGES_OF_ROOMS if str(each) == stage)
    room = room_of(one, settings.body["data"]["UNDERSKY_PODS"])
    assert room.service_account == f"undersky-{stage}"
    assert room.env["AWS_REGION"] == settings.body["data"]["AWS_REGION"]
    if name == "no-gpu":
        assert room.gpus == 0
        assert room.ca_config_map == "example-ca"
        assert room.env["HTTPS_PROXY"] == "http://proxy.example.org:3128"


def test_logs_of_tasks_go_into_the_bucket_without_a_key_in_their_address(find):
    data = find("trial", "ConfigMap", "undersky-settings")["data"]
    assert data["AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER"] == "s3://undersky/airflow/logs"
    assert json.loads(data["AIRFLOW_CONN_UNDERSKY_STORE"]) == {
        "conn_type": "aws",
        "extra": {"endpoint_url": "http://s3.undersky.svc:8333", "region_name": "us-east-1"},
    }


def test_the_registry_asks_for_a_login_and_keeps_its_database_out_of_sight(find):
    (container,) = find("trial", "Deployment", "undersky-mlflow")["spec"]["template"]["spec"]["containers"]
    values = {each["name"]: each["value"] for each in container["env"]}
    assert "--app-name=basic-auth" in container["args"]
    assert values["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert values["MLFLOW_BACKEND_STORE_URI"] == "postgresql+psycopg2://"
    assert [each["secretRef"]["name"] for each in container["envFrom"]] == [
        "undersky-mlflow",
        "undersky-store",
    ]
    auth = find("trial", "ConfigMap", "undersky-mlflow")["data"]["auth.ini"]
    assert "database_uri = postgresql+psycopg2://\n" in auth
    assert "password" not in auth


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of MLflow's server, about SQLAlchemy
def test_the_registry_is_asked_under_the_names_that_lead_to_it(find):
    from mlflow.server.security_utils import is_allowed_host_header

    (container,) = find("production", "Deployment", "undersky-mlflow")["spec"]["template"]["spec"][
        "containers"
    ]
    values = {each["name"]: each["value"] for each in container["env"]}
    hosts = values["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    for host in ("undersky-mlflow.undersky.svc:5000", "localhost:5000", "models.example.org"):
        assert is_allowed_host_header(hosts, host)
    assert not is_allowed_host_header(hosts, "undersky-mlflow.evil.example")
    assert values["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"] == "https://models.example.org"


def test_without_a_secret_of_the_store_none_is_asked_for(rendered):
    text = json.dumps([each.body for each in rendered("production").objects])
    assert "undersky-store" not in re.sub("UNDERSKY_STORE", "", text)


def test_the_ledger_s_password_reaches_only_what_writes_there(rendered):
    def secrets_of(each):
        return {source["secretRef"]["name"] for c in each.containers() for source in c.get("envFrom") or ()}

    objects = rendered("trial").objects
    holders = {each.name for each in objects if "undersky-ledger" in secrets_of(each)}
    assert holders == {"Job/undersky-preparation", "CronJob/undersky-bootstrap", "Pod/undersky-doctor"}


def test_with_policies_an_address_that_nobody_gave_is_asked_for():
    values = dict(values_of(EXAMPLES["trial"]))
    values["networkPolicy"] = {"database": values["networkPolicy"]["database"]}
    with pytest.raises(helm_python.HelmError, match=r"networkPolicy\.store names no address"):
        render(CHART, values)


def test_a_quota_is_where_the_stages_are(find):
    quota = find("production", "ResourceQuota", "undersky-workers", "undersky-workers")["spec"]["hard"]
    assert quota["requests.cpu"] == "256"
    assert not [name for name in quota if "gpu" in name], "what a quota refuses, nobody is pre-empted for"
    (limits,) = find("production", "LimitRange", "undersky-workers")["spec"]["limits"]
    assert "cpu" not in limits["default"]  # a stage may borrow what its node has left
