"""Who reaches whom, as a cluster would decide it from the policies alone."""

import check
import pytest
from chartcheck.objects import values_of
from chartcheck.policies import _selects

STAGES = (
    *("ingest", "validate-l1", "correct", "validate-surface", "map", "validate-map", "detect"),
    *("validate-objects", "roll", "dataset", "train", "evaluate"),
)


def labels_of(stage):
    return {
        "app.kubernetes.io/name": "undersky",
        "app.kubernetes.io/component": "stage",
        "undersky/stage": stage,
    }


def policies_on(objects, labels, namespace):
    kinds = (each for each in objects if each.kind == "NetworkPolicy")
    return [p for p in kinds if p.namespace == namespace and _selects(p, labels)]


def reached(objects, labels, namespace):
    """Where a pod's packets may go: (who, port)."""
    found = set()
    for policy in policies_on(objects, labels, namespace):
        for rule in policy.body["spec"].get("egress") or ():
            for peer in rule["to"]:
                found |= {(peer_name(peer), port["port"]) for port in rule["ports"]}
    return found


def peer_name(peer):
    if "ipBlock" in peer:
        return peer["ipBlock"]["cidr"]
    labels = (peer.get("podSelector") or {}).get("matchLabels") or {}
    part = labels.get("app.kubernetes.io/component") or labels.get("app.kubernetes.io/name")
    return part or next(iter(labels.values()), "anybody")


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_reaches_the_bucket_and_just_what_it_needs(stage, rendered):
    objects = rendered("production").objects
    found = reached(objects, labels_of(stage), "undersky-workers") - {("kube-dns", 53)}
    bucket = {("52.219.0.0/16", 443), ("3.5.136.0/22", 443)}
    more = {
        "ingest": {("0.0.0.0/0", 443)},
        "train": {("mlflow", 5000), ("192.0.2.10/32", 443)},
        "evaluate": {("mlflow", 5000), ("192.0.2.10/32", 443)},
    }
    assert found == bucket | more.get(stage, set())


@pytest.mark.parametrize("name", ["trial", "production", "no-gpu"])
@pytest.mark.parametrize("stage", STAGES)
def test_nobody_reaches_a_stage_and_no_stage_reaches_the_ledger(name, stage, rendered):
    objects = rendered(name).objects
    namespace = "undersky-workers" if name == "production" else "undersky"
    on = policies_on(objects, labels_of(stage), namespace)
    assert any("Ingress" in policy.body["spec"]["policyTypes"] for policy in on)
    assert not any(policy.body["spec"].get("ingress") for policy in on)
    assert 5432 not in {port for _, port in reached(objects, labels_of(stage), namespace)}


def test_the_metadata_of_the_cloud_is_not_of_the_outside_world(rendered):
    (policy,) = policies_on(
        [each for each in rendered("production").objects if each.name == "NetworkPolicy/undersky-ingest"],
        labels_of("ingest"),
        "undersky-workers",
    )
    (rule,) = policy.body["spec"]["egress"]
    assert "169.254.0.0/16" in rule["to"][0]["ipBlock"]["except"]


def test_a_stage_that_is_none_of_ours_reaches_names_and_nothing_else(rendered):
    objects = rendered("production").objects
    assert reached(objects, {"app": "somebody's"}, "undersky-workers") == set()


@pytest.mark.parametrize(
    ("part", "callers"),
    [
        ("mlflow", {"accounts", "stage", "airflow", "ingress-nginx"}),
        ("catalog", {"doctor", "airflow", "ingress-nginx"}),
    ],
)
def test_a_server_is_reached_by_those_who_are_named(part, callers, find):
    (rule,) = find("production", "NetworkPolicy", f"undersky-{part}")["spec"]["ingress"]
    found = set()
    for peer in rule["from"]:
        selector = peer.get("podSelector") or {}
        labels = selector.get("matchLabels") or {}
        values = [each["values"] for each in selector.get("matchExpressions") or ()]
        if labels.get("app.kubernetes.io/component"):
            found.add(labels["app.kubernetes.io/component"])
        elif values:
            found.add(values[0][0])
        else:
            namespace = peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
            found.add(namespace)
    assert found == callers


@pytest.mark.parametrize("name", ["trial", "no-gpu"])
def test_beside_airflow_in_one_namespace_only_our_pods_are_shut_in(name, find):
    spec = find(name, "NetworkPolicy", "undersky-deny")["spec"]
    assert spec["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "undersky"}}


def test_in_a_namespace_that_is_the_stages_own_all_pods_are_shut_in(find):
    deny = find("production", "NetworkPolicy", "undersky-deny", "undersky-workers")
    assert deny["spec"]["podSelector"] == {}


def test_where_others_may_live_only_our_pods_are_shut_in(find):
    deny = find("production", "NetworkPolicy", "undersky-deny", "undersky")
    assert deny["spec"]["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "undersky"}}


def test_where_policies_are_turned_off_there_are_none(rendered):
    assert not values_of(check.examples()["existing-airflow"])["networkPolicy"]["enabled"]
    assert not [each for each in rendered("existing-airflow").objects if each.kind == "NetworkPolicy"]
