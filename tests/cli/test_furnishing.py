"""The verbs that furnish a new place, as a shell sees them."""

import json

import httpx
import pytest

from undersky.cli import main
from undersky.cli.first_models import MODELS
from undersky.services.store import Store

LOGINS = {
    "UNDERSKY_ADMIN_LOGIN": "admin:the-admins-password",
    "UNDERSKY_RELEASE_LOGIN": "release:the-releasers-password",
    "UNDERSKY_TRAINER_LOGIN": "trainer:the-trainers-password",
    "MLFLOW_TRACKING_USERNAME": "reader",
    "MLFLOW_TRACKING_PASSWORD": "the-readers-password",
}


@pytest.fixture
def logins(monkeypatch):
    monkeypatch.setenv("UNDERSKY_REGISTRY", "http://127.0.0.1:9")
    for name, login in LOGINS.items():
        monkeypatch.setenv(name, login)


@pytest.mark.parametrize("verb", ["store prepare", "catalog serve"])
def test_each_verb_explains_itself_with_an_example(verb, capsys):
    with pytest.raises(SystemExit) as done:
        main([*verb.split(), "--help"])
    text = capsys.readouterr().out
    assert done.value.code == 0
    assert f"example:\n  undersky {verb}" in text


def test_a_bucket_is_made_and_read_by_anybody_where_it_is_published(store, monkeypatch, capsys):
    monkeypatch.setenv("UNDERSKY_STORE", "s3://new-place")
    for _ in range(2):
        assert main(["store", "prepare", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"store": "s3://new-place", "public": True}
    policy = Store.open("s3://new-place").client.get_bucket_policy(Bucket="new-place")["Policy"]
    (statement,) = json.loads(policy)["Statement"]
    assert (statement["Principal"], statement["Action"]) == ("*", ["s3:GetObject"])


def test_a_private_bucket_keeps_the_policy_that_it_has(store, monkeypatch, capsys):
    monkeypatch.setenv("UNDERSKY_STORE", "s3://new-place")
    assert main(["store", "prepare", "--private"]) == 0
    assert "its policy is left as it was" in capsys.readouterr().out
    client = Store.open("s3://new-place").client
    with pytest.raises(client.exceptions.ClientError, match="NoSuchBucketPolicy"):
        client.get_bucket_policy(Bucket="new-place")


@pytest.mark.oracle
def test_the_accounts_of_a_registry_are_made_and_made_again(registry_server, logins, monkeypatch, capsys):
    monkeypatch.setenv("UNDERSKY_REGISTRY", registry_server.uri)
    for _ in range(2):
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "reader")  # the last to open it was another
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "the-readers-password")
        assert main(["model", "accounts", "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert said["accounts"] == ["release", "trainer", "reader"]
        assert said["models"] == list(MODELS)
    answer = httpx.get(
        f"{registry_server.uri}/api/2.0/mlflow/registered-models/get",
        params={"name": "correction"},
        auth=("reader", "the-readers-password"),
        timeout=30,
    )
    assert answer.status_code == httpx.codes.OK
    for name in MODELS:
        httpx.request(
            "DELETE",
            f"{registry_server.uri}/api/2.0/mlflow/registered-models/delete",
            json={"name": name},
            auth=("admin", "the-admins-password"),
            timeout=30,
        )


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        ("UNDERSKY_ADMIN_LOGIN", "UNDERSKY_ADMIN_LOGIN is not set"),
        ("UNDERSKY_TRAINER_LOGIN", "UNDERSKY_TRAINER_LOGIN is not set"),
        ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_PASSWORD are not set"),
        ("UNDERSKY_REGISTRY", "UNDERSKY_REGISTRY is not set"),
    ],
)
def test_an_account_that_nobody_named_is_asked_for(missing, named, logins, monkeypatch, capsys):
    monkeypatch.delenv(missing)
    assert main(["model", "accounts"]) == 2
    assert named in capsys.readouterr().err


def test_a_login_without_a_password_is_refused_and_not_repeated(logins, monkeypatch, capsys):
    monkeypatch.setenv("UNDERSKY_ADMIN_LOGIN", "hush")
    assert main(["model", "accounts"]) == 2
    error = capsys.readouterr().err
    assert "UNDERSKY_ADMIN_LOGIN is no login" in error
    assert "hush" not in error


def test_a_registry_that_is_away_is_tried_again_later(logins, capsys):
    assert main(["model", "accounts"]) == 75
    assert "does not answer" in capsys.readouterr().err
