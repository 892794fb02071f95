"""Rules that every rendered object must keep: each a function from all objects to sentences of complaint."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from chartcheck.objects import Json, Object

Policy = Callable[[Sequence[Object]], Iterator[str]]

VOLUMES = {
    "configMap",
    "emptyDir",
    "projected",
    "secret",
    "downwardAPI",
    "persistentVolumeClaim",
    "ephemeral",
}
"""Kinds of volumes that the restricted standard allows, without CSI, which nothing here needs."""
SIZES = ("cpu", "memory", "ephemeral-storage")
CLUSTER_WIDE = {"PriorityClass"}
"""Kinds without a namespace that the chart may have."""
READ_AND_LAUNCH = {"get", "list", "watch", "create", "delete", "patch"}
_SECRET_NAME = re.compile(
    r"PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIAL|LOGIN|PRIVATE|ACCESS_KEY|API_KEY", re.IGNORECASE
)
_LOGIN_IN_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@", re.IGNORECASE)
_IMAGE = re.compile(r"^[^\s@]+?(?P<tag>:[\w][\w.-]*)?(?P<digest>@sha256:[0-9a-f]{64})?$")


def restricted(objects: Sequence[Object]) -> Iterator[str]:
    """Every pod keeps the restricted standard, and its root cannot be written."""
    for each in objects:
        if each.pod is None:
            continue
        spec, security = each.pod_spec, each.pod_spec.get("securityContext") or {}
        if security.get("runAsNonRoot") is not True or not security.get("runAsUser"):
            yield f"{each.name}: runs as root, or may"
        if (security.get("seccompProfile") or {}).get("type") != "RuntimeDefault":
            yield f"{each.name}: no seccomp profile RuntimeDefault"
        for field in ("hostNetwork", "hostPID", "hostIPC"):
            if spec.get(field):
                yield f"{each.name}: {field}"
        for volume in spec.get("volumes") or ():
            if strange := set(volume) - {"name"} - VOLUMES:
                yield f"{each.name}: volume {volume['name']} is a {', '.join(sorted(strange))}"
        for container in each.containers():
            yield from _restricted_container(each, container)


def _restricted_container(each: Object, container: Json) -> Iterator[str]:
    where = f"{each.name}, container {container['name']}"
    security = container.get("securityContext") or {}
    wanted = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True}
    for field, value in wanted.items():
        if security.get(field) is not value:
            yield f"{where}: {field} is not {str(value).lower()}"
    if security.get("privileged"):
        yield f"{where}: privileged"
    if security.get("runAsUser") == 0 or security.get("runAsNonRoot") is False:
        yield f"{where}: runs as root"
    capabilities = security.get("capabilities") or {}
    if capabilities.get("drop") != ["ALL"] or capabilities.get("add"):
        yield f"{where}: keeps capabilities"
    if any("hostPort" in port for port in container.get("ports") or ()):
        yield f"{where}: hostPort"


def sized(objects: Sequence[Object]) -> Iterator[str]:
    """Every container says what it takes and what it may use; every scratch volume has an end."""
    for each in objects:
        for container in each.containers():
            resources = container.get("resources") or {}
            for part in ("requests", "limits"):
                missing = [size for size in SIZES if not (resources.get(part) or {}).get(size)]
                if missing:
                    yield f"{each.name}, container {container['name']}: no {part} of {', '.join(missing)}"
        for volume in each.pod_spec.get("volumes") or ():
            if "emptyDir" in volume and not (volume["emptyDir"] or {}).get("sizeLimit"):
                yield f"{each.name}: volume {volume['name']} has no size limit"


def pinned(objects: Sequence[Object]) -> Iterator[str]:
    """Every image is named by a tag other than `latest`, or by its digest."""
    for each in objects:
        for container in each.containers():
            image = str(container.get("image", ""))
            found = _IMAGE.match(image)
            if not found or not (found["tag"] or found["digest"]) or found["tag"] == ":latest":
                yield f"{each.name}, container {container['name']}: image {image!r} may be another tomorrow"


def secretless(objects: Sequence[Object]) -> Iterator[str]:
    """Nothing secret stands in an object: neither a Secret, nor a value that looks like one."""
    for each in objects:
        if each.kind == "Secret":
            yield f"{each.name}: the chart makes no Secrets"
        pairs = dict(each.body.get("data") or {}) if each.kind == "ConfigMap" else {}
        for container in each.containers():
            pairs |= {env["name"]: env["value"] for env in container.get("env") or () if "value" in env}
            pairs |= {f"argument {i}": word for i, word in enumerate(_words(container))}
        for name, value in pairs.items():
            if _SECRET_NAME.search(name) and value and "$(" not in str(value):
                yield f"{each.name}: {name} is written out"
            if _LOGIN_IN_URL.search(str(value)):
                yield f"{each.name}: {name} holds an address with a password"


def _words(container: Json) -> Iterator[str]:
    yield from map(str, container.get("command") or ())
    yield from map(str, container.get("args") or ())


def tokenless(objects: Sequence[Object]) -> Iterator[str]:
    """Nothing here speaks to the cluster, so nothing is given a token."""
    for each in objects:
        if each.kind == "ServiceAccount" and each.body.get("automountServiceAccountToken") is not False:
            yield f"{each.name}: its token is mounted wherever it is used"
        if each.pod is not None and each.pod_spec.get("automountServiceAccountToken") is not False:
            yield f"{each.name}: a token is mounted"


def probed(objects: Sequence[Object]) -> Iterator[str]:
    """Every container of a server is asked whether it is ready, and whether it still lives."""
    for each in objects:
        if each.kind in ("Deployment", "StatefulSet", "DaemonSet"):
            for container in each.containers():
                for probe in ("readinessProbe", "livenessProbe"):
                    if probe not in container:
                        yield f"{each.name}, container {container['name']}: no {probe}"


def narrow(objects: Sequence[Object]) -> Iterator[str]:
    """Rights are a few verbs on a few things, in one namespace."""
    namespaces = {each.namespace for each in objects if each.kind in ("Role", "RoleBinding")}
    if len(namespaces) > 1:
        yield f"rights in {len(namespaces)} namespaces: {', '.join(sorted(map(str, namespaces)))}"
    for each in objects:
        if each.kind in ("ClusterRole", "ClusterRoleBinding"):
            yield f"{each.name}: rights in the whole cluster"
        elif each.kind not in CLUSTER_WIDE and each.namespace is None:
            yield f"{each.name}: names no namespace"
        if each.kind == "RoleBinding" and each.body["roleRef"]["kind"] != "Role":
            yield f"{each.name}: binds a {each.body['roleRef']['kind']}"
        if each.kind in ("Role", "ClusterRole"):
            yield from _broad(each)


def _broad(role: Object) -> Iterator[str]:
    for rule in role.body["rules"]:
        resources, verbs = set(rule["resources"]), set(rule["verbs"])
        if strange := verbs - READ_AND_LAUNCH:
            yield f"{role.name}: may {', '.join(sorted(strange))}"
        if strange := resources - {"pods", "pods/log", "events"}:
            yield f"{role.name}: rights on {', '.join(sorted(strange))}"


def shut_in(objects: Sequence[Object]) -> Iterator[str]:
    """Where there are network policies, each pod is refused everything, and then allowed what it needs."""
    policies = [each for each in objects if each.kind == "NetworkPolicy"]
    if not policies:
        return
    for each in objects:
        if each.pod is None:
            continue
        labels = (each.pod.get("metadata") or {}).get("labels") or {}
        here = [p for p in policies if p.namespace == each.namespace and _selects(p, labels)]
        if not any(_refuses_all(policy) for policy in here):
            yield f"{each.name}: no policy refuses what nobody allows"
        allowed = [rule for policy in here for rule in policy.body["spec"].get("egress") or ()]
        if any(not rule.get("to") or not rule.get("ports") for rule in allowed):
            yield f"{each.name}: may reach everything"
        if len(allowed) < 2:  # the first is the cluster's DNS
            yield f"{each.name}: reaches nothing but DNS"


def _selects(policy: Object, labels: Mapping[str, str]) -> bool:
    selector = policy.body["spec"]["podSelector"]
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(
        labels.get(each["key"]) in each["values"]
        for each in selector.get("matchExpressions") or ()
        if each["operator"] == "In"
    )


def _refuses_all(policy: Object) -> bool:
    spec = policy.body["spec"]
    both = set(spec["policyTypes"]) == {"Ingress", "Egress"}
    return both and not spec.get("egress") and not spec.get("ingress")


def joined(objects: Sequence[Object]) -> Iterator[str]:
    """What an object names is there: service accounts, pods of a service and its port, a role."""
    names = {(each.kind, each.namespace, each.body["metadata"]["name"]) for each in objects}
    for each in objects:
        account = each.pod_spec.get("serviceAccountName")
        if each.pod is not None and ("ServiceAccount", each.namespace, account) not in names:
            yield f"{each.name}: nobody makes its service account {account}"
        if each.kind == "RoleBinding":
            role = each.body["roleRef"]["name"]
            if ("Role", each.namespace, role) not in names:
                yield f"{each.name}: nobody makes the role {role}"
        if each.kind == "Service" and not any(_serves(each, other) for other in objects):
            yield f"{each.name}: leads to no container"


def _serves(service: Object, other: Object) -> bool:
    if other.kind != "Deployment" or other.namespace != service.namespace:
        return False
    labels = other.body["spec"]["template"]["metadata"]["labels"]
    ports = {p.get("name") for each in other.containers() for p in each.get("ports") or ()}
    selector = service.body["spec"]["selector"]
    wanted = {each["targetPort"] for each in service.body["spec"]["ports"]}
    return selector.items() <= labels.items() and wanted <= ports


POLICIES: Mapping[str, Policy] = {
    policy.__name__: policy
    for policy in (restricted, sized, pinned, secretless, tokenless, probed, narrow, shut_in, joined)
}
"""By name, all of them."""
