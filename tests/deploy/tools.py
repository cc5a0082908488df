"""What the tools themselves say: Docker Compose, hadolint and Kubernetes' schemas. Only with `check.sh --tools`."""

import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

from repository import ROOT, made_by_secrets_script
from test_kubernetes import RESOURCES

TOOLS = Path(os.environ.get("DEPLOY_TOOLS", "/nonexistent"))
# The oldest that the manifests are for, and the newest that there was when they were written.
VERSIONS = ("1.30", "1.37")
# Of the Prometheus Operator and others: no part of Kubernetes.
FOREIGN = {"ServiceMonitor", "PrometheusRule"}


def run(tool, *arguments, **options):
    """Runs a tool from the root of the repository."""
    command = [TOOLS / tool, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, **options)


class Tools(unittest.TestCase):
    def compose(self, *arguments, **environment):
        """What Docker Compose makes of docker-compose.yml; it warns of nothing."""
        # No settings of who runs this.
        environment = {"PATH": os.environ["PATH"]} | environment
        found = run("docker-compose", *arguments, "config", "--format", "json", env=environment)
        self.assertEqual((found.returncode, found.stderr), (0, ""))
        return json.loads(found.stdout)

    def test_compose_reads_its_file(self):
        with tempfile.TemporaryDirectory() as directory:
            made_by_secrets_script(None, directory)
            places = {"DMRELAY_SECRETS": directory, "DMRELAY_ENV_FILE": f"{directory}/none"}
            services = self.compose("--env-file", "/dev/null", **places)["services"]
        self.assertEqual(
            services.keys(), {"postgres", "redis", "migrate", "api", "worker", "prometheus", "grafana"}
        )

    def test_compose_reads_the_demo(self):
        services = self.compose("--env-file", "deploy/demo.env")["services"]
        self.assertTrue({"simulator", "demo"} <= services.keys())
        self.assertEqual(services["api"]["environment"]["BOOTSTRAP_API_KEY_FILE"], "/run/secrets/bootstrap_api_key")
        self.assertIn("bootstrap_api_key", [secret["source"] for secret in services["api"]["secrets"]])
        for name in ("api", "worker"):
            self.assertEqual(services[name]["environment"]["RETELL_URL"], "http://simulator:4010/retell")

    def test_hadolint_finds_nothing(self):
        found = run("hadolint", "Dockerfile")
        self.assertEqual((found.returncode, found.stdout), (0, ""))

    def test_kubernetes_knows_every_field(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            items = [resource for resource in RESOURCES if resource["kind"] not in FOREIGN]
            for version in VERSIONS:
                for item in items:
                    with self.subTest(version=version, kind=item["kind"], name=item["metadata"]["name"]):
                        file.seek(0)
                        file.truncate()
                        json.dump(item, file)
                        file.flush()
                        found = run("kubernetes-validate", "--strict", "--quiet", "-k", version, file.name)
                        self.assertEqual((found.returncode, found.stdout + found.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main()
