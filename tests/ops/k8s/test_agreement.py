"""What the manifests say agrees with the product: its routes, ports, settings, metrics and limits."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from actors.adapters.journal.segment import RECORD_BYTES
from actors.domain.processors import parse_processors
from actors.settings import DEFAULT_BIND, Settings
from ops.archiving.__main__ import parse_archiving
from tests.gateway.exposition import everything_told, sample_names
from tests.ops.k8s.manifests import K8S, ROOT, Manifest, find, objects, pod, pod_settings, pods
from tests.test_documents import GIVEN, documented_settings

SECRETS = ("DATABASE_URL", "REDIS_URL", "ADMIN_TOKEN")
"""What a deployment keeps in the Secret that the manifests name."""
SERVER_PORTS = {"DATABASE_URL": {5432, 6432}, "REDIS_URL": {6379, 26379}}
"""Where PostgreSQL or PgBouncer, and Redis or its Sentinels listen."""
NO_SETTINGS = {"MALLOC_ARENA_MAX"}
"""What the C library reads."""
ADAPTER: dict[str, Any] = yaml.safe_load((K8S / "components" / "autoscaling" / "adapter-rule.yaml").read_text())
KINDS = ("StatefulSet", "Job", "CronJob")
"""What makes pods: of replicas, of the migration, of the archive."""
KB, MB = 1000, 1000**2
CONNECTION_BYTES, CHARGE_BYTES = 11 * KB, 40 * KB
PROMTOOL = shutil.which("promtool")


def labels(kind: str) -> dict[str, str]:
    """Give the labels of the pods that an object of this kind makes."""
    (template,) = (template for made_by, template in pods() if made_by == kind)
    found: dict[str, str] = template["metadata"]["labels"]
    return found


def selectors(manifest: Manifest) -> Iterator[dict[str, str]]:
    """Give what an object selects its own pods by."""
    spec = manifest.get("spec", {})
    match manifest["kind"]:
        case "Service":
            yield spec["selector"]
        case "NetworkPolicy":
            yield spec["podSelector"]["matchLabels"]
        case "StatefulSet":
            yield spec["selector"]["matchLabels"]
            for each in spec["template"]["spec"]["topologySpreadConstraints"]:
                yield each["labelSelector"]["matchLabels"]
        case "PodDisruptionBudget" | "PodMonitor":
            yield spec["selector"]["matchLabels"]


def container(kind: str = "StatefulSet") -> Manifest:
    (template,) = (template for made_by, template in pods() if made_by == kind)
    (found,) = template["spec"]["containers"]
    only: Manifest = found
    return only


def egress_ports(policy: str) -> set[int]:
    return {each["port"] for rule in find("NetworkPolicy", policy)["spec"]["egress"] for each in rule["ports"]}


def overlaid_settings() -> dict[str, str]:
    kustomization = yaml.safe_load((K8S / "overlays" / "example" / "kustomization.yaml").read_text())
    (generator,) = kustomization["configMapGenerator"]
    return dict(each.split("=", 1) for each in generator["literals"])


def test_what_selects_replicas_selects_these_pods_and_no_others() -> None:
    chosen = [selector for manifest in objects() for selector in selectors(manifest)]
    of_replicas = [selector for selector in chosen if selector.items() <= labels("StatefulSet").items()]
    assert len(of_replicas) == 8
    for kind, policy in (("Job", "fiel-migration"), ("CronJob", "fiel-archive")):
        of_others = [selector for selector in chosen if selector.items() <= labels(kind).items()]
        assert of_others == [find("NetworkPolicy", policy)["spec"]["podSelector"]["matchLabels"]]
    assert len(chosen) == len(of_replicas) + 2


def test_probes_ask_for_routes_that_exist() -> None:
    routes = re.findall(r'app\.add_route\("([^"]+)"', (ROOT / "http" / "gateway" / "app.py").read_text())
    probed = {
        name: container()[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert probed == {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    (endpoint,) = find("PodMonitor")["spec"]["podMetricsEndpoints"]
    assert {*probed.values(), endpoint["path"]} <= set(routes)


def test_everybody_comes_to_the_port_that_a_replica_listens_on() -> None:
    (port,) = container()["ports"]
    assert {address.rpartition(":")[2] for address in DEFAULT_BIND.split(",")} == {str(port["containerPort"])}
    assert f"EXPOSE {port['containerPort']}" in (ROOT / "Dockerfile").read_text()
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container()[name]["httpGet"]["port"] == port["name"]
    services = [each for each in objects() if each["kind"] == "Service"]
    assert [each["targetPort"] for service in services for each in service["spec"]["ports"]] == [port["name"]] * 2
    (endpoint,) = find("PodMonitor")["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] == port["name"]
    (rule,) = find("NetworkPolicy", "fiel-replicas")["spec"]["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": port["containerPort"]}]


def test_what_is_set_are_settings_with_values_that_a_replica_takes() -> None:
    given = {**pod_settings(), **overlaid_settings()}
    own = {each["name"] for kind in KINDS for each in container(kind)["env"]}
    assert {*given, *own, *SECRETS} - NO_SETTINGS - documented_settings().keys() == set()
    for settings in (pod_settings(), given):
        Settings.from_environment({**GIVEN, **settings, "REPLICA": "fiel-0"})


def test_settings_and_manifests_hold_no_secret_and_name_where_they_come_from() -> None:
    assert [each for each in objects() if each["kind"] == "Secret"] == []
    assert set(SECRETS) & {*pod_settings(), *overlaid_settings()} == set()
    assert container()["envFrom"][1] == {"secretRef": {"name": "fiel-secrets"}}
    for kind in ("Job", "CronJob"):
        (url,) = container(kind)["env"]
        assert url == {
            "name": "DATABASE_URL",
            "valueFrom": {"secretKeyRef": {"name": "fiel-secrets", "key": "DATABASE_URL"}},
        }


def test_the_services_of_the_cluster_do_not_become_settings() -> None:
    assert [template["spec"]["enableServiceLinks"] for _, template in pods()] == [False] * len(KINDS)


def test_a_journal_is_on_a_claim_that_stays_and_belongs_to_who_writes_it() -> None:
    replicas = find("StatefulSet")["spec"]
    (claim,) = replicas["volumeClaimTemplates"]
    mounts = {each["mountPath"]: each["name"] for each in container()["volumeMounts"]}
    assert mounts[pod_settings()["JOURNAL_DIR"]] == claim["metadata"]["name"]
    assert replicas["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert pod()["securityContext"]["fsGroup"] == pod()["securityContext"]["runAsGroup"]
    open_max = int(documented_settings()["OPEN_MAX"])
    assert 10 * open_max * RECORD_BYTES < quantity(claim["spec"]["resources"]["requests"]["storage"])


def test_the_archive_runs_a_command_that_the_product_has_and_writes_to_a_claim_that_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python, option, module, *arguments = container("CronJob")["command"]
    assert (python, option, module) == ("python", "-m", "ops.archiving")
    (mount,) = container("CronJob")["volumeMounts"]
    (volume,) = find("CronJob", "fiel-archive")["spec"]["jobTemplate"]["spec"]["template"]["spec"]["volumes"]
    assert volume["name"] == mount["name"]
    assert find("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
    monkeypatch.setenv("DATABASE_URL", GIVEN["DATABASE_URL"])
    given = parse_archiving([str(tmp_path) if each == mount["mountPath"] else each for each in arguments])
    assert given.folder == tmp_path


def test_each_replica_has_a_name_that_stays() -> None:
    (name,) = container()["env"]
    assert name == {"name": "REPLICA", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    assert find("StatefulSet")["spec"]["serviceName"] == find("Service", "fiel-replicas")["metadata"]["name"]
    assert find("Service", "fiel-replicas")["spec"]["clusterIP"] == "None"


@pytest.mark.parametrize("kind", KINDS)
def test_no_pod_may_do_more_than_it_needs(kind: str) -> None:
    (template,) = (template["spec"] for made_by, template in pods() if made_by == kind)
    assert template["automountServiceAccountToken"] is False
    context = template["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] > 0
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(kind)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(container(kind)["resources"]["limits"]) == {"memory"}


def test_the_policy_lets_replicas_reach_what_the_settings_name() -> None:
    allowed = egress_ports("fiel-replicas")
    for settings in (pod_settings(), overlaid_settings()):
        for processor in parse_processors(settings["PROCESSORS"]):
            assert urlsplit(processor.url).port in allowed
    assert {53, *SERVER_PORTS["DATABASE_URL"], *SERVER_PORTS["REDIS_URL"]} <= allowed
    assert egress_ports("fiel-migration") == egress_ports("fiel-archive") == {53, 5432}


def test_a_replica_has_the_memory_that_it_was_measured_with_and_that_its_bounds_allow() -> None:
    measured = r"^\| memory of a replica \| .*?(\d+) MB after 100,000"
    row = re.search(measured, (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    assert row is not None
    settings = Settings.from_environment({**GIVEN, **pod_settings(), "REPLICA": "fiel-0"})
    connections = int(pod_settings().get("CONNECTIONS_MAX", documented_settings()["CONNECTIONS_MAX"]))
    charges = settings.in_flight_max * len(settings.processors)
    needed = int(row[1]) * MB + connections * CONNECTION_BYTES + charges * CHARGE_BYTES
    resources = container()["resources"]
    assert needed < quantity(resources["limits"]["memory"]) == quantity(resources["requests"]["memory"])


def test_nodes_are_drained_of_one_replica_at_a_time() -> None:
    assert find("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    scaled = find("HorizontalPodAutoscaler")["spec"]
    assert scaled["minReplicas"] == find("StatefulSet")["spec"]["replicas"] > 1
    (down,) = scaled["behavior"]["scaleDown"]["policies"]
    assert (down["type"], down["value"]) == ("Pods", 1)
    assert down["periodSeconds"] > pod()["terminationGracePeriodSeconds"]


def test_the_alerts_find_the_replicas_by_their_job() -> None:
    assert labels("StatefulSet")[find("PodMonitor")["spec"]["jobLabel"]] == "fiel"


def test_the_autoscaler_asks_for_what_the_adapter_makes_of_metrics_that_exist() -> None:
    (metric,) = find("HorizontalPodAutoscaler")["spec"]["metrics"]
    (rule,) = ADAPTER["rules"]
    assert metric["pods"]["metric"]["name"] == rule["name"]["as"]
    named = set(re.findall(r"\bfiel_\w+", rule["seriesQuery"] + rule["metricsQuery"]))
    assert named - sample_names(everything_told()) == set()
    waiting_for = re.search(r'waiting_for=~"([^"]+)"', rule["metricsQuery"])
    assert waiting_for is not None
    documented = re.findall(r"^\| (`[a-z_`, ]+`) \| [^|]+ \|$", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)
    assert set(waiting_for[1].split("|")) <= {name for cell in documented for name in re.findall(r"`(\w+)`", cell)}


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
def test_the_backlog_is_told_while_a_processor_works_and_unknown_while_none_does(tmp_path: Path) -> None:
    (rule,) = ADAPTER["rules"]
    query = rule["metricsQuery"].replace("<<.GroupBy>>", "pod").replace("<<.LabelMatchers>>", 'namespace="fiel"')
    series = {
        'fiel_unsettled_payments{namespace="fiel",pod="POD",waiting_for="journalled"}': 400,
        'fiel_unsettled_payments{namespace="fiel",pod="POD",waiting_for="held"}': 30,
        'fiel_unsettled_payments{namespace="fiel",pod="POD",waiting_for="charging"}': 7,
        'fiel_processor_charges{namespace="fiel",pod="POD",processor="default"}': 1,
        'fiel_processor_charges{namespace="fiel",pod="POD",processor="fallback"}': 1,
        'fiel_breaker_state{namespace="fiel",pod="POD",processor="fallback",state="open"}': 1,
        'fiel_breaker_state{namespace="fiel",pod="POD",processor="fallback",state="closed"}': 0,
    }
    breaker = 'fiel_breaker_state{namespace="fiel",pod="POD",processor="default",state="closed"}'
    told = [
        {"series": name.replace("POD", pod_name), "values": str(value)}
        for pod_name, closed in (("fiel-0", 1), ("fiel-1", 0))
        for name, value in {**series, breaker: closed}.items()
    ]
    test = {
        "input_series": told,
        "promql_expr_test": [
            {"expr": query, "eval_time": "0m", "exp_samples": [{"labels": '{pod="fiel-0"}', "value": 430}]}
        ],
    }
    (tmp_path / "tests.yml").write_text(json.dumps({"tests": [test]}))
    command = [str(PROMTOOL), "test", "rules", str(tmp_path / "tests.yml")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - ours
    assert done.returncode == 0, done.stdout + done.stderr


def quantity(text: str) -> int:
    """Read a quantity of bytes as Kubernetes writes it."""
    number, unit = text[:-2], text[-2:]
    return int(number) << {"Ki": 10, "Mi": 20, "Gi": 30}[unit]
