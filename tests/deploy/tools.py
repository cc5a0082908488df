"""What the tools themselves say: Docker Compose, hadolint, Caddy and Kubernetes' schemas. Only with `check.sh --tools`."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from repository import ROOT, document, made_by_secrets_script
from test_kubernetes import RESOURCES

TOOLS = Path(os.environ.get("DEPLOY_TOOLS", "/nonexistent"))
# The oldest that the manifests are for, and the newest that there was when they were written.
VERSIONS = ("1.30", "1.37")
# Of the Prometheus Operator and others: no part of Kubernetes.
FOREIGN = {"ServiceMonitor", "PrometheusRule", "HTTPRoute", "ExternalSecret"}


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

    def test_compose_reads_all_profiles_and_the_backup(self):
        with tempfile.TemporaryDirectory() as directory:
            made_by_secrets_script(None, directory)
            places = {"DMRELAY_SECRETS": directory, "DMRELAY_ENV_FILE": f"{directory}/none", "BACKUP_FOLDER": directory}
            files = ["-f", "docker-compose.yml", "-f", "deploy/backup.yml"]
            settings = {"PUBLIC_HOST": "relay.example.com", "POSTGRES_VOLUME": "postgres18"}
            found = self.compose("--env-file", "/dev/null", *files, "--profile", "*", **places, **settings)
        services = found["services"]
        self.assertTrue({"caddy", "postgres-exporter", "redis-exporter", "node-exporter", "backup", "restore"} <= services.keys())
        self.assertEqual(services["api"]["environment"]["PUBLIC_URL"], "https://relay.example.com")
        # Backups are of the volume that PostgreSQL uses, and its hardening and options stay.
        for name in ("postgres", "backup", "restore"):
            sources = {volume["target"]: volume["source"] for volume in services[name]["volumes"]}
            self.assertEqual(sources["/var/lib/postgresql/data"], "postgres18")
            self.assertTrue(services[name]["read_only"])
        self.assertIn("shared_buffers=256MB", services["postgres"]["command"])

    def test_images_are_pinned_by_digest(self):
        digest = "sha256:" + "0" * 64
        with tempfile.TemporaryDirectory() as directory:
            copy = Path(directory) / "copy"
            (copy / "deploy").mkdir(parents=True)
            for name in ("docker-compose.yml", "deploy/pin.sh"):
                shutil.copy(ROOT / name, copy / name)
            docker = Path(directory) / "docker"
            docker.write_text(f'#!/bin/sh\n[ "$1" = buildx ] && echo {digest} && exit\nshift\nexec "{TOOLS}/docker-compose" "$@"\n')
            docker.chmod(0o755)
            environment = {"PATH": f"{directory}:{os.environ['PATH']}"}
            subprocess.run([copy / "deploy/pin.sh"], env=environment, check=True, capture_output=True)
            pinned = document(copy / "deploy/digests.yml")["services"]
        # All that is not built here, except PostgreSQL's, which a setting pins.
        declared = {name: service for name, service in document(ROOT / "docker-compose.yml")["services"].items()}
        foreign = {name for name, service in declared.items() if "dmrelay" not in service["image"]} - {"postgres"}
        self.assertEqual(pinned.keys(), foreign)
        for service in pinned.values():
            self.assertRegex(service["image"], rf"^[^@]+:[^@]+@{digest}$")

    def test_caddy_reads_its_file(self):
        with tempfile.TemporaryDirectory() as directory:
            environment = {"PATH": os.environ["PATH"], "HOME": directory, "PUBLIC_HOST": "relay.example.com"}
            arguments = ["--config", "deploy/caddy/Caddyfile", "--adapter", "caddyfile"]
            found = run("caddy", "validate", *arguments, env=environment)
            self.assertEqual(found.returncode, 0, found.stderr)
            self.assertEqual(run("caddy", "fmt", "--diff", "deploy/caddy/Caddyfile", env=environment).returncode, 0)

    def test_compose_reads_the_demo(self):
        services = self.compose("--env-file", "deploy/demo.env")["services"]
        self.assertTrue({"simulator", "demo"} <= services.keys())
        self.assertEqual(services["api"]["environment"]["BOOTSTRAP_API_KEY_FILE"], "/run/secrets/bootstrap_api_key")
        self.assertIn("bootstrap_api_key", [secret["source"] for secret in services["api"]["secrets"]])
        for name in ("api", "worker"):
            self.assertEqual(services[name]["environment"]["RETELL_URL"], "http://simulator:4010/retell")

    def test_hadolint_finds_nothing(self):
        # Versions of packages cannot be named where the repository keeps only current ones.
        files = ["Dockerfile", "deploy/caddy/Dockerfile", "deploy/postgres/Dockerfile"]
        found = run("hadolint", "--ignore", "DL3008", *files)
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
