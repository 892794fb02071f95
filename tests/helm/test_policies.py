"""Each rule of the chart catches what it is for: a good object is broken in one place, and named."""

import pytest
from chartcheck.objects import Object
from chartcheck.policies import POLICIES


def pod(body):
    return body["spec"]["template"]["spec"]


def container(body):
    return pod(body)["containers"][0]


def forget(path):
    """Takes a field away."""

    def change(body):
        *way, last = path.split(".")
        place = body
        for step in way:
            place = place[int(step)] if step.isdigit() else place[step]
        del place[last]

    return change


def put(path, value):
    """Sets a field."""

    def change(body):
        *way, last = path.split(".")
        place = body
        for step in way:
            place = place[int(step)] if step.isdigit() else place.setdefault(step, {})
        place[last] = value

    return change


CONTAINER = "spec.template.spec.containers.0"
MLFLOW = "Deployment/undersky-mlflow"


def broken(rendered, name, *changes):
    """The objects of the trial, one of them changed."""
    objects = []
    for each in rendered("trial").objects:
        body = dict(each.body)
        if each.name == name:
            for change in changes:
                change(body)
        objects.append(Object(body, each.template))
    return objects


def found(policy, objects):
    return list(POLICIES[policy](objects))


@pytest.mark.parametrize("policy", POLICIES)
def test_the_chart_as_it_is_keeps_the_rule(policy, rendered):
    assert found(policy, rendered("trial").objects) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("spec.template.spec.hostNetwork", True), "hostNetwork"),
        (put("spec.template.spec.hostPID", True), "hostPID"),
        (put("spec.template.spec.securityContext.runAsNonRoot", False), "runs as root"),
        (put("spec.template.spec.securityContext.runAsUser", 0), "runs as root"),
        (forget("spec.template.spec.securityContext.seccompProfile"), "seccomp"),
        (put(f"{CONTAINER}.securityContext.allowPrivilegeEscalation", True), "allowPrivilegeEscalation"),
        (put(f"{CONTAINER}.securityContext.readOnlyRootFilesystem", False), "readOnlyRootFilesystem"),
        (put(f"{CONTAINER}.securityContext.privileged", True), "privileged"),
        (put(f"{CONTAINER}.securityContext.runAsUser", 0), "runs as root"),
        (put(f"{CONTAINER}.securityContext.capabilities", {"drop": []}), "capabilities"),
        (put(f"{CONTAINER}.securityContext.capabilities.add", ["SYS_ADMIN"]), "capabilities"),
        (put(f"{CONTAINER}.ports.0.hostPort", 80), "hostPort"),
        (put("spec.template.spec.volumes.0.hostPath", {"path": "/"}), "hostPath"),
    ],
)
def test_a_pod_that_may_more_than_the_restricted_standard(change, said, rendered):
    (sentence,) = found("restricted", broken(rendered, MLFLOW, change))
    assert MLFLOW in sentence
    assert said in sentence


def test_a_container_that_comes_first_is_looked_at_too(rendered):
    change = put("spec.template.spec.initContainers.0.securityContext.privileged", True)
    (sentence,) = found("restricted", broken(rendered, "Job/undersky-preparation", change))
    assert "container bucket: privileged" in sentence


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (forget(f"{CONTAINER}.resources"), "no requests of cpu, memory, ephemeral-storage"),
        (forget(f"{CONTAINER}.resources.limits.memory"), "no limits of memory"),
        (forget(f"{CONTAINER}.resources.requests.cpu"), "no requests of cpu"),
        (forget("spec.template.spec.volumes.0.emptyDir.sizeLimit"), "no size limit"),
    ],
)
def test_a_container_without_an_end(change, said, rendered):
    sentences = found("sized", broken(rendered, MLFLOW, change))
    assert any(said in sentence for sentence in sentences)


@pytest.mark.parametrize(
    "image", ["undersky-worker", "undersky-worker:latest", "registry.example:5000/undersky-worker", ""]
)
def test_an_image_that_may_be_another_tomorrow(image, rendered):
    (sentence,) = found("pinned", broken(rendered, MLFLOW, put(f"{CONTAINER}.image", image)))
    assert repr(image) in sentence


@pytest.mark.parametrize("image", ["w:0.1.0", "registry.example:5000/a/w:1", f"w@sha256:{'0' * 64}"])
def test_an_image_that_is_pinned(image, rendered):
    assert found("pinned", broken(rendered, MLFLOW, put(f"{CONTAINER}.image", image))) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put(f"{CONTAINER}.env", [{"name": "PGPASSWORD", "value": "admin"}]), "PGPASSWORD is written out"),
        (
            put(f"{CONTAINER}.env", [{"name": "ADDRESS", "value": "postgresql://me:hush@host/db"}]),
            "ADDRESS holds an address with a password",
        ),
        (put(f"{CONTAINER}.args", ["--db=postgresql://me:hush@host/db"]), "holds an address with a password"),
    ],
)
def test_a_password_that_is_written_out(change, said, rendered):
    (sentence,) = found("secretless", broken(rendered, MLFLOW, change))
    assert said in sentence


def test_a_password_in_a_config_map_or_a_secret_of_the_chart(rendered):
    name = "ConfigMap/undersky-settings"
    (sentence,) = found("secretless", broken(rendered, name, put("data.UNDERSKY_TRAINER_LOGIN", "trainer:x")))
    assert "UNDERSKY_TRAINER_LOGIN is written out" in sentence
    (sentence,) = found("secretless", broken(rendered, name, put("kind", "Secret")))
    assert "makes no Secrets" in sentence


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (MLFLOW, forget("spec.template.spec.automountServiceAccountToken")),
        (MLFLOW, put("spec.template.spec.automountServiceAccountToken", True)),
        ("ServiceAccount/undersky-train", forget("automountServiceAccountToken")),
    ],
)
def test_a_token_that_nobody_needs(name, change, rendered):
    (sentence,) = found("tokenless", broken(rendered, name, change))
    assert name in sentence
    assert "token" in sentence


@pytest.mark.parametrize("probe", ["readinessProbe", "livenessProbe"])
def test_a_server_that_is_not_asked(probe, rendered):
    (sentence,) = found("probed", broken(rendered, MLFLOW, forget(f"{CONTAINER}.{probe}")))
    assert f"no {probe}" in sentence


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("Role/undersky-launcher", put("kind", "ClusterRole"), "the whole cluster"),
        ("Role/undersky-launcher", put("rules.0.verbs", ["*"]), "may *"),
        ("Role/undersky-launcher", put("rules.0.resources", ["secrets"]), "rights on secrets"),
        ("Role/undersky-launcher", put("metadata.namespace", "elsewhere"), "rights in 2 namespaces"),
        ("RoleBinding/undersky-launcher", put("roleRef.kind", "ClusterRole"), "binds a ClusterRole"),
        (MLFLOW, forget("metadata.namespace"), "names no namespace"),
    ],
)
def test_rights_that_go_too_far(name, change, said, rendered):
    sentences = found("narrow", broken(rendered, name, change))
    assert any(said in sentence for sentence in sentences)


def test_a_pod_that_no_policy_shuts_in(rendered):
    change = put("spec.template.metadata.labels", {"app.kubernetes.io/name": "another"})
    sentences = found("shut_in", broken(rendered, MLFLOW, change))
    assert any(f"{MLFLOW}: no policy refuses" in sentence for sentence in sentences)


def test_a_policy_that_leads_everywhere(rendered):
    change = put("spec.egress", [{"to": []}, {"to": []}])
    sentences = found("shut_in", broken(rendered, "NetworkPolicy/undersky-mlflow", change))
    assert any("may reach everything" in sentence for sentence in sentences)


def test_a_pod_that_was_forgotten(rendered):
    change = put("spec.egress", [])
    sentences = found("shut_in", broken(rendered, "NetworkPolicy/undersky-catalog", change))
    assert any("reaches nothing but DNS" in sentence for sentence in sentences)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        (MLFLOW, put("spec.template.spec.serviceAccountName", "nobody"), "service account nobody"),
        ("RoleBinding/undersky-launcher", put("roleRef.name", "nothing"), "the role nothing"),
        ("Service/undersky-mlflow", put("spec.ports.0.targetPort", "https"), "leads to no container"),
        ("Service/undersky-mlflow", put("spec.selector", {"a": "b"}), "leads to no container"),
    ],
)
def test_a_name_that_leads_nowhere(name, change, said, rendered):
    (sentence,) = found("joined", broken(rendered, name, change))
    assert said in sentence
