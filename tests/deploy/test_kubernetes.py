"""deploy/kubernetes: what refers to something finds it, pods keep the restricted standard, and the copies are current."""

import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml

from repository import DEPLOY, ROOT, default, document, documents, made_by_secrets_script, refusal, seconds, secrets, settings

KUBERNETES = DEPLOY / "kubernetes"
OVERLAY = KUBERNETES / "overlays/example"
COMPONENTS = sorted(path.parent for path in (KUBERNETES / "components").glob("*/kustomization.yaml"))
# Not a resource: parts of another program's configuration.
NOT_LISTED = {KUBERNETES / "components/autoscaling/prometheus-adapter.yaml"}
# What every cluster has.
BUILT_IN = {"v1", "apps/v1", "batch/v1", "policy/v1", "networking.k8s.io/v1", "autoscaling/v2"}
PROCESSES = {"dmrelay-api": "dmrelay-api", "dmrelay-worker": "dmrelay-worker", "dmrelay-migrate-VERSION": "dmrelay-api"}


def kustomizations(directory=OVERLAY):
    """The kustomization of a directory and those it stands on, each with where it is."""
    found = document(directory / "kustomization.yaml")
    yield directory, found
    for other in [*found.get("resources", []), *found.get("components", [])]:
        if (directory / other).is_dir():
            yield from kustomizations((directory / other).resolve())


def everything():
    """The kustomizations of the example, and of all components that it could have."""
    yield from kustomizations()
    for component in COMPONENTS:
        yield from kustomizations(component)


def resource_files():
    """The files that the kustomizations list as resources."""
    listed = [directory / name for directory, found in everything() for name in found.get("resources", [])]
    return [path for path in listed if not path.is_dir()]


RESOURCES = [resource for path in resource_files() for resource in documents(path)]


def of_kind(kind):
    """The resources of a kind, by name."""
    return {resource["metadata"]["name"]: resource for resource in RESOURCES if resource["kind"] == kind}


WORKLOADS = of_kind("Deployment") | of_kind("Job")


def pod(workload):
    """A workload's pod: its labels and its specification."""
    template = WORKLOADS[workload]["spec"]["template"]
    return template["metadata"]["labels"], template["spec"]


def container(workload):
    """The one container of a workload."""
    (only,) = pod(workload)[1]["containers"]
    return only


def selects(selector, labels):
    """Whether a selector takes something with these labels."""
    if "matchLabels" not in selector and "matchExpressions" not in selector:
        selector = {"matchLabels": selector}
    labelled = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    expressions = selector.get("matchExpressions", [])
    assert all(expression["operator"] == "In" for expression in expressions)
    return labelled and all(labels.get(expression["key"]) in expression["values"] for expression in expressions)


def ports(workload):
    """The names of a container's ports."""
    return {port["name"] for port in container(workload).get("ports", [])}


def patch_files():
    """The patches that are files, each with the directory of its kustomization."""
    for directory, found in everything():
        yield from ((directory, patch) for patch in found.get("patches", []) if "path" in patch)


def environment(directory):
    """The settings of base/settings.env and of an overlay's configMapGenerator."""
    lines = [line for line in (KUBERNETES / "base/settings.env").read_text().splitlines() if line and line[0] != "#"]
    for generator in document(directory / "kustomization.yaml")["configMapGenerator"]:
        lines += generator["literals"]
    return dict(line.split("=", 1) for line in lines)


class Files(unittest.TestCase):
    def test_every_file_is_used_and_every_listed_file_is_there(self):
        listed = {path.resolve() for path in resource_files()}
        there = {path for path in KUBERNETES.rglob("*.yaml") if path.name != "kustomization.yaml"}
        patches = {(directory / patch["path"]).resolve() for directory, patch in patch_files()}
        self.assertEqual(listed | patches, {path for path in there if "secrets" not in path.parts} - NOT_LISTED)

    def test_patches_have_targets(self):
        for directory, patch in patch_files():
            for part in documents(directory / patch["path"]):
                with self.subTest(patch=part["metadata"]["name"]):
                    self.assertIn(part["metadata"]["name"], of_kind(part["kind"]))
        for _, found in everything():
            for patch in found.get("patches", []):
                if "path" in patch:
                    continue
                targets = [name for name in of_kind(patch["target"]["kind"]) if re.fullmatch(patch["target"]["name"], name)]
                self.assertEqual(len(targets), 2)
                for operation in yaml.safe_load(patch["patch"]):
                    for name in targets:
                        self.assertIn(operation["path"].split("/")[-1], WORKLOADS[name]["spec"])

    def test_the_operators_rules_are_those_of_prometheus(self):
        with tempfile.NamedTemporaryFile() as file:
            subprocess.run([KUBERNETES / "prometheus-rule.sh", file.name], check=True)
            current = Path(file.name).read_text()
        self.assertEqual(
            (KUBERNETES / "components/monitoring/prometheus-rule.yaml").read_text(),
            current,
            "run deploy/kubernetes/prometheus-rule.sh",
        )
        groups = [group for path in sorted((ROOT / "grafana/rules").glob("*.yml")) for group in document(path)["groups"]]
        self.assertEqual(yaml.safe_load(current)["spec"], {"groups": groups})


class Pods(unittest.TestCase):
    def test_keep_the_restricted_standard(self):
        for name in WORKLOADS:
            with self.subTest(workload=name):
                specification, security = pod(name)[1], container(name)["securityContext"]
                self.assertTrue(specification["securityContext"]["runAsNonRoot"])
                self.assertEqual(specification["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
                self.assertFalse(specification["automountServiceAccountToken"])
                self.assertFalse(security["allowPrivilegeEscalation"])
                self.assertTrue(security["readOnlyRootFilesystem"])
                self.assertEqual(security["capabilities"], {"drop": ["ALL"]})
                self.assertFalse({"hostNetwork", "hostPID", "hostIPC"} & specification.keys())

    def test_run_as_the_images_user(self):
        user = re.findall(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[-1]
        for name in WORKLOADS:
            security = pod(name)[1]["securityContext"]
            self.assertEqual((str(security["runAsUser"]), str(security["runAsGroup"])), user)

    def test_are_limited(self):
        for name in WORKLOADS:
            with self.subTest(workload=name):
                resources = container(name)["resources"]
                self.assertTrue({"cpu", "memory"} <= resources["requests"].keys())
                self.assertIn("memory", resources["limits"])

    def test_are_probed_where_the_processes_answer(self):
        served = set(re.findall(r'route\("(/[a-z]+)"', (ROOT / "crates/runtime/src/ops.rs").read_text()))
        for name in of_kind("Deployment"):
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                with self.subTest(workload=name, probe=probe):
                    request = container(name)[probe]["httpGet"]
                    self.assertIn(request["path"], served)
                    self.assertIn(request["port"], ports(name))
            # A database that is down must not restart every process.
            self.assertEqual(container(name)["livenessProbe"]["httpGet"]["path"], "/livez")
            self.assertEqual(container(name)["readinessProbe"]["httpGet"]["path"], "/readyz")

    def test_listen_on_the_ports_they_name(self):
        listened = {environment(OVERLAY)[name].rsplit(":", 1)[1] for name in ("API_ADDR", "METRICS_ADDR")}
        for name in of_kind("Deployment"):
            named = {str(port["containerPort"]) for port in container(name)["ports"]}
            self.assertTrue(named <= listened)

    def test_have_time_to_stop(self):
        grace = seconds(environment(OVERLAY).get("SHUTDOWN_GRACE", default("SHUTDOWN_GRACE")))
        for name in of_kind("Deployment"):
            pause = container(name).get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            self.assertGreater(pod(name)[1]["terminationGracePeriodSeconds"], pause + grace + 5)

    def test_start_a_binary_of_the_image(self):
        for name, process in PROCESSES.items():
            self.assertEqual(container(name)["command"][0], f"/usr/local/bin/{process}")

    def test_settings_exist_and_can_be_read(self):
        shared = environment(OVERLAY)
        self.assertEqual(shared.keys() - settings("dmrelay-api") - settings("dmrelay-worker"), set())
        for name, process in PROCESSES.items():
            with self.subTest(workload=name):
                own = {variable["name"]: variable["value"] for variable in container(name)["env"]}
                self.assertEqual(own.keys() - settings(process), set())
                self.assertIsNone(refusal(process, shared | own))


class Secrets(unittest.TestCase):
    def test_every_file_is_mounted(self):
        for name in WORKLOADS:
            with self.subTest(workload=name):
                (volume,) = pod(name)[1]["volumes"]
                (mount,) = container(name)["volumeMounts"]
                self.assertEqual(mount["name"], volume["name"])
                self.assertEqual(volume["secret"]["secretName"], "dmrelay-secrets")
                files = {f"{mount['mountPath']}/{item['path']}" for item in volume["secret"]["items"]}
                named = {variable["value"] for variable in container(name)["env"] if variable["name"].endswith("_FILE")}
                self.assertEqual(files, named)

    def test_no_secret_is_an_environment_variable(self):
        for name in WORKLOADS:
            self.assertFalse({variable["name"] for variable in container(name)["env"]} & secrets())
        self.assertFalse(environment(OVERLAY).keys() & secrets())

    def test_overlay_and_vault_bring_what_the_script_makes_and_the_pods_take(self):
        taken = {item["key"] for name in WORKLOADS for item in pod(name)[1]["volumes"][0]["secret"]["items"]}
        (generator,) = document(OVERLAY / "kustomization.yaml")["secretGenerator"]
        vault = of_kind("ExternalSecret")["dmrelay-secrets"]["spec"]
        with tempfile.TemporaryDirectory() as directory:
            made, _ = made_by_secrets_script("server", directory)
        self.assertEqual(made.keys(), taken)
        self.assertEqual({file.removeprefix("secrets/") for file in generator["files"]}, taken)
        self.assertEqual({entry["secretKey"] for entry in vault["data"]}, taken)
        self.assertEqual(vault["target"]["name"], generator["name"])


class References(unittest.TestCase):
    def test_selectors_take_their_own_pods_and_no_others(self):
        for name, deployment in of_kind("Deployment").items():
            taking = [other for other in WORKLOADS if selects(deployment["spec"]["selector"], pod(other)[0])]
            self.assertEqual(taking, [name])

    def test_services_have_pods_with_their_ports(self):
        for name, service in of_kind("Service").items():
            with self.subTest(service=name):
                (workload,) = [other for other in WORKLOADS if selects(service["spec"]["selector"], pod(other)[0])]
                self.assertTrue(name.startswith(workload))
                for port in service["spec"]["ports"]:
                    self.assertIn(port["targetPort"], ports(workload))

    def test_budgets_and_scalers_have_deployments(self):
        for name, budget in of_kind("PodDisruptionBudget").items():
            self.assertTrue(selects(budget["spec"]["selector"], pod(name)[0]))
        for name, scaler in of_kind("HorizontalPodAutoscaler").items():
            self.assertEqual(scaler["spec"]["scaleTargetRef"]["name"], name)
            self.assertIn(name, of_kind("Deployment"))

    def test_policies_take_pods_and_ports_that_are_there(self):
        for name, policy in of_kind("NetworkPolicy").items():
            with self.subTest(policy=name):
                taken = [other for other in WORKLOADS if selects(policy["spec"]["podSelector"], pod(other)[0])]
                self.assertTrue(taken)
                for rule in policy["spec"].get("ingress", []):
                    for port in rule["ports"]:
                        for other in taken:
                            self.assertIn(port["port"], ports(other))
        self.assertEqual(of_kind("NetworkPolicy")["nothing-by-default"]["spec"]["podSelector"], {})

    def test_policies_name_whom_they_let_in_and_out(self):
        for name, policy in of_kind("NetworkPolicy").items():
            for direction, peers in (("ingress", "from"), ("egress", "to")):
                for rule in policy["spec"].get(direction, []):
                    with self.subTest(policy=name):
                        self.assertTrue(rule[peers])
                        for peer in rule[peers]:
                            # A whole namespace is nobody in particular.
                            self.assertTrue("ipBlock" in peer or peer["podSelector"]["matchLabels"])

    def test_prometheus_finds_both_processes_under_their_names(self):
        (monitor,) = of_kind("ServiceMonitor").values()
        label = monitor["spec"]["jobLabel"]
        found = {}
        for name, service in of_kind("Service").items():
            labels = service["metadata"].get("labels", {})
            if selects(monitor["spec"]["selector"], labels):
                found[name] = labels[label]
                self.assertIn(monitor["spec"]["endpoints"][0]["port"], {port["name"] for port in service["spec"]["ports"]})
        jobs = {job["job_name"]: job for job in document(ROOT / "grafana/prometheus.yml")["scrape_configs"]}
        scraped = {name: jobs[name] for name in ("dmrelay-api", "dmrelay-worker")}
        self.assertEqual(set(found.values()), scraped.keys())
        # Whose labels count where a metric has one that a target has too.
        honored = {job.get("honor_labels", False) for job in scraped.values()}
        self.assertEqual(honored, {monitor["spec"]["endpoints"][0].get("honorLabels", False)})

    def test_the_ingress_has_a_service(self):
        for ingress in of_kind("Ingress").values():
            for rule in ingress["spec"]["rules"]:
                for path in rule["http"]["paths"]:
                    backend = path["backend"]["service"]
                    named = {port["name"] for port in of_kind("Service")[backend["name"]]["spec"]["ports"]}
                    self.assertIn(backend["port"]["name"], named)

    def test_the_route_of_the_gateway_has_a_service_and_takes_as_long_as_a_stream(self):
        (route,) = of_kind("HTTPRoute").values()
        for rule in route["spec"]["rules"]:
            self.assertGreater(seconds(rule["timeouts"]["request"]), seconds(default("EVENT_STREAM_TIME")) + 30)
            for backend in rule["backendRefs"]:
                named = {port["port"] for port in of_kind("Service")[backend["name"]]["spec"]["ports"]}
                self.assertIn(backend["port"], named)

    def test_scalers_ask_for_metrics_that_exist(self):
        rules = document(KUBERNETES / "components/autoscaling/prometheus-adapter.yaml")["externalRules"]
        catalogue = (ROOT / "docs/metrics.md").read_text()
        for rule in rules:
            # By which label they are summed, and the metric after it.
            queried = re.findall(r"by \((\w+)\) \((?:\w+\()?(dmrelay_\w+)", rule["metricsQuery"])
            self.assertTrue(queried)
            for label, series in queried:
                self.assertIn(f"`{series}{{{label}}}`", catalogue)
        asked = set()
        for scaler in of_kind("HorizontalPodAutoscaler").values():
            for metric in scaler["spec"]["metrics"]:
                asked |= {metric["external"]["metric"]["name"]} if metric["type"] == "External" else set()
        self.assertEqual(asked, {rule["name"]["as"] for rule in rules})

    @unittest.skipUnless(shutil.which("promtool"), "promtool is not installed")
    def test_scalers_queries_can_be_read(self):
        rules = document(KUBERNETES / "components/autoscaling/prometheus-adapter.yaml")["externalRules"]
        queries = [rule["metricsQuery"].replace("<<.LabelMatchers>>", 'namespace="dmrelay"') for rule in rules]
        group = {"name": "queries", "rules": [{"record": f"query:{n}", "expr": query} for n, query in enumerate(queries)]}
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            yaml.safe_dump({"groups": [group]}, file)
            file.flush()
            subprocess.run(["promtool", "check", "rules", file.name], check=True, capture_output=True)


@unittest.skipUnless(shutil.which("kubectl") or shutil.which("kustomize"), "neither kubectl nor kustomize is installed")
class Built(unittest.TestCase):
    """What kustomize makes of the example and of all components, with secrets made for this."""

    @classmethod
    def setUpClass(cls):
        cls.example = cls.build()
        cls.text = cls.build([f"../../components/{component.name}" for component in COMPONENTS])
        cls.resources = [resource for resource in yaml.safe_load_all(cls.text) if resource]

    @classmethod
    def build(cls, components=None):
        """Builds the example, if given with other components."""
        with tempfile.TemporaryDirectory() as directory:
            copy = Path(directory) / "kubernetes"
            shutil.copytree(KUBERNETES, copy, ignore=shutil.ignore_patterns("secrets"))
            overlay = copy / "overlays/example"
            made_by_secrets_script("server", overlay / "secrets")
            if components is not None:
                found = document(overlay / "kustomization.yaml") | {"components": components}
                (overlay / "kustomization.yaml").write_text(yaml.safe_dump(found))
            command = ["kustomize", "build"] if shutil.which("kustomize") else ["kubectl", "kustomize"]
            return subprocess.run([*command, overlay], capture_output=True, text=True, check=True).stdout

    def test_the_example_needs_no_extension_of_the_cluster(self):
        versions = {resource["apiVersion"] for resource in yaml.safe_load_all(self.example) if resource}
        self.assertEqual(versions - BUILT_IN, set())

    def test_a_component_replaces_whom_the_api_lets_in(self):
        (policy,) = [one for one in self.resources if one["kind"] == "NetworkPolicy" and one["metadata"]["name"] == "ingress-to-api"]
        (rule,) = policy["spec"]["ingress"]
        (peer,) = rule["from"]
        self.assertEqual(peer["namespaceSelector"]["matchLabels"], {"kubernetes.io/metadata.name": "gateway"})

    def test_everything_is_in_the_namespace(self):
        for resource in self.resources:
            if resource["kind"] != "Namespace":
                self.assertEqual(resource["metadata"]["namespace"], "dmrelay", resource["metadata"]["name"])

    def test_names_of_settings_and_secrets_are_found(self):
        kinds = {"ConfigMap": r"configMapRef:\s+name: (\S+)", "Secret": r"secretName: (dmrelay-secrets\S*)"}
        for kind, pattern in kinds.items():
            names = {resource["metadata"]["name"] for resource in self.resources if resource["kind"] == kind}
            self.assertEqual(set(re.findall(pattern, self.text)), names)

    def test_the_job_has_the_version_in_its_name_and_changes_with_nothing_else(self):
        (job,) = [resource for resource in self.resources if resource["kind"] == "Job"]
        only = job["spec"]["template"]["spec"]["containers"][0]
        self.assertEqual(job["metadata"]["name"], "dmrelay-migrate-" + only["image"].split(":")[1])
        self.assertNotIn("envFrom", only)

    def test_scaled_deployments_have_no_number(self):
        for resource in self.resources:
            if resource["kind"] == "Deployment":
                self.assertNotIn("replicas", resource["spec"])
                # A label that the base adds to the pods must not get into the selector: that cannot be changed later.
                self.assertEqual(len(resource["spec"]["selector"]["matchLabels"]), 2)


class Waiting(unittest.TestCase):
    """wait-for-migration.sh, with a stand-in for kubectl."""

    def wait(self, outcome):
        """Waits for a Job with that outcome; the exit code and what was printed."""
        with tempfile.TemporaryDirectory() as directory:
            stub = Path(directory) / "kubectl"
            stub.write_text(f"""#!/bin/sh
                case "$*" in
                    *'get job'*) printf 'job.batch/dmrelay-migrate-%s\\n' 0.1.0 0.2.0 ;;
                    *'wait --for=condition={outcome} '*dmrelay-migrate-0.2.0) sleep 0.2 ;;
                    *'wait '*) sleep 3; exit 1 ;;
                    *logs*) echo the reason ;;
                esac
            """)
            stub.chmod(0o755)
            run = subprocess.run(
                [KUBERNETES / "wait-for-migration.sh"], env={"PATH": f"{directory}:/usr/bin:/bin"}, capture_output=True, text=True,
                check=False, timeout=30,
            )
            return run.returncode, run.stdout + run.stderr

    def test_it_ends_on_success_and_on_failure(self):
        self.assertEqual(self.wait("complete")[0], 0)
        code, printed = self.wait("failed")
        self.assertEqual(code, 1)
        self.assertIn("the reason", printed)
        self.assertEqual(self.wait("neither")[0], 1)


if __name__ == "__main__":
    unittest.main()
