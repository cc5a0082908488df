"""docker-compose.yml: hardened, ordered, apart, and made of settings, secrets and files that exist."""

import json
import re
import shutil
import subprocess
import tempfile
import unittest
from functools import cache
from pathlib import Path

from repository import DEPLOY, ROOT, default, document, made_by_secrets_script, pinned, refusal, seconds, secrets, settings

COMPOSE = document(ROOT / "docker-compose.yml")
DEMO = document(DEPLOY / "demo.yml")
BACKUP = document(DEPLOY / "backup.yml")
SERVICES = COMPOSE["services"]
# Beside those, what deploy/backup.yml brings.
ADDED = {name: service for name, service in BACKUP["services"].items() if name not in SERVICES}
EXPORTERS = {"postgres-exporter": ["data", "metrics"], "redis-exporter": ["data", "metrics"], "node-exporter": ["metrics"]}
OURS = {"migrate": "dmrelay-api", "api": "dmrelay-api", "worker": "dmrelay-worker"}
DIGEST = "sha256:" + "0" * 64
# They end by themselves.
ONCE = {"migrate", "demo", "restore"}
# Reachable from outside, on purpose.
PUBLIC = {"caddy"}


def services():
    """Each service, with its name."""
    return (SERVICES | ADDED).items()


def expanded(text):
    """A value with the defaults of its variables; one that must be set is a folder."""
    text = re.sub(r"\$\{\w+:\?[^}]*\}", "/mnt/backup", str(text))
    # The innermost first.
    while (less := re.sub(r"\$\{\w+:(?:-([^${}]*)|\+[^${}]*)\}", lambda found: found[1] or "", text)) != text:
        text = less
    return text


@cache
def environment_file(path):
    """The lines of an environment file."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


class Each(unittest.TestCase):
    def test_image_is_pinned_or_built_here(self):
        for name, service in services():
            with self.subTest(service=name):
                image = expanded(service["image"])
                self.assertTrue(pinned(image) or image.startswith("dmrelay") and image.endswith(":local"), image)

    def test_image_that_is_built_here_has_a_pinned_base(self):
        built = {DEPLOY / "caddy/Dockerfile", DEPLOY / "postgres/Dockerfile"}
        contexts = {service["build"]["context"] for _, service in services() if "build" in service}
        self.assertEqual({ROOT / context / "Dockerfile" for context in contexts}, built | {ROOT / "Dockerfile"})
        for path in built:
            text = path.read_text()
            for argument, value in re.findall(r"^ARG (\w+)=(\S+)$", text, re.MULTILINE):
                text = text.replace("${" + argument + "}", value)
            with self.subTest(file=path):
                (base,) = re.findall(r"^FROM (\S+)$", text, re.MULTILINE)
                self.assertTrue(pinned(base), base)
                self.assertRegex(text, r"(?m)^USER (999:999|65532:65532)$")

    def test_backups_are_of_the_same_postgresql(self):
        image = expanded(SERVICES["postgres"]["image"])
        self.assertEqual(expanded(BACKUP["services"]["postgres"]["build"]["args"]["POSTGRES_IMAGE"]), image)
        self.assertIn(f"ARG POSTGRES_IMAGE={image}\n", (DEPLOY / "postgres/Dockerfile").read_text())

    def test_may_do_nothing_it_need_not(self):
        for name, service in services():
            with self.subTest(service=name):
                self.assertRegex(service["user"], r"^[1-9]\d*:\d+$")
                self.assertTrue(service["read_only"])
                self.assertEqual(service["cap_drop"], ["ALL"])
                self.assertNotIn("cap_add", service)
                self.assertIn("no-new-privileges:true", service["security_opt"])
                self.assertNotIn("privileged", service)
                self.assertNotIn("network_mode", service)

    def test_is_limited(self):
        for name, service in services():
            with self.subTest(service=name):
                self.assertTrue({"cpus", "mem_limit", "pids_limit"} <= service.keys())
                # Docker refuses more than the machine has.
                self.assertLessEqual(service["cpus"], 1)
                self.assertTrue({"max-size", "max-file"} <= service["logging"]["options"].keys())

    def test_is_started_again_and_watched_unless_it_ends_by_itself(self):
        for name, service in services():
            with self.subTest(service=name):
                once = name in ONCE
                # The API and the workers get signals, after which Docker would not start them again.
                self.assertEqual(service["restart"], "no" if once else "always" if name in OURS else "unless-stopped")
                check = service["healthcheck"]
                self.assertEqual(check, {"disable": True}) if once else self.assertEqual(check["test"][0], "CMD")

    def test_port_is_this_machines_except_https(self):
        for name, service in services():
            for port in service.get("ports", []):
                with self.subTest(service=name, port=port):
                    if name in PUBLIC:
                        self.assertIn(port.split(":")[0], ("80", "443"))
                    else:
                        self.assertRegex(expanded(port), r"^127\.0\.0\.1:\d+:\d+$")

    def test_mounted_file_exists_and_is_read_only(self):
        for name, service in services():
            for volume in service.get("volumes", []):
                with self.subTest(service=name, volume=volume):
                    volume = expanded(volume)
                    source, _, options = volume.split(":") if volume.count(":") == 2 else (*volume.split(":"), None)
                    if source.startswith("."):
                        self.assertTrue((ROOT / source).exists())
                        self.assertEqual(options, "ro")
                    elif source == "/":
                        self.assertEqual((name, options), ("node-exporter", "ro,rslave"))
                    elif source != "/mnt/backup":
                        self.assertIn(source, COMPOSE["volumes"] | BACKUP["volumes"])

    def test_waits_only_for_what_can_come(self):
        for name, service in services():
            waits = service.get("depends_on", {})
            for other, wait in waits.items() if isinstance(waits, dict) else ():
                with self.subTest(service=name, other=other):
                    if wait["condition"] == "service_completed_successfully":
                        self.assertIn(other, ONCE)
                    else:
                        self.assertNotIn(other, ONCE)
                        self.assertIn("test", SERVICES[other]["healthcheck"])


class Pins(unittest.TestCase):
    """deploy/pin.sh, with a stand-in for Docker."""

    def setUp(self):
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.root = Path(held.name)
        (self.root / "deploy").mkdir()
        shutil.copy(DEPLOY / "pin.sh", self.root / "deploy")
        docker = self.root / "docker"
        docker.write_text(f"""#!/bin/sh
            if [ "$1" = buildx ]; then echo {DIGEST}; exit; fi
            echo "${{COMPOSE_FILE-none}}" >> "{self.root}/files"
            printf '%s\\n' services: '  api:' '    image: dmrelay:local' '  postgres:' '    image: postgres:17.11' \
                '  redis:' '    image: redis:7.4.11' networks:
        """)
        docker.chmod(0o755)

    def pin(self, **environment):
        """Runs the script; the files that Compose read, and what is pinned."""
        variables = {"PATH": f"{self.root}:/usr/bin:/bin"} | environment
        subprocess.run([self.root / "deploy/pin.sh"], env=variables, check=True)
        services = document(self.root / "deploy/digests.yml")["services"]
        return (self.root / "files").read_text().splitlines()[-1], services

    def test_each_run_pins_the_tags_of_foreign_images(self):
        pinned = {"redis": {"image": f"redis:7.4.11@{DIGEST}"}}
        self.assertEqual(self.pin(), ("none", pinned))
        files = "docker-compose.yml:deploy/digests.yml:deploy/backup.yml"
        without = "docker-compose.yml:deploy/backup.yml"
        self.assertEqual(self.pin(COMPOSE_FILE=files), (without, pinned))
        (self.root / ".env").write_text(f'COMPOSE_FILE="{files}"\n')
        self.assertEqual(self.pin(), (without, pinned))
        (self.root / ".env").write_text("COMPOSE_FILE=docker-compose.yml:deploy/digests.yml\n")
        self.assertEqual(self.pin(), ("docker-compose.yml", pinned))


class Ours(unittest.TestCase):
    def test_settings_exist_and_can_be_read(self):
        for name, process in OURS.items():
            environment = {key: expanded(value) for key, value in SERVICES[name]["environment"].items()}
            with self.subTest(service=name):
                # What both have for all three services is emptied in all of them.
                unknown = environment.keys() - settings(process) - secrets()
                self.assertEqual(unknown, set())
                self.assertIsNone(refusal(process, environment))

    def test_no_secret_is_in_an_environment(self):
        for name in OURS:
            environment = SERVICES[name]["environment"]
            for secret in secrets():
                with self.subTest(service=name, secret=secret):
                    self.assertEqual(environment[secret], "")

    def test_stops_in_order(self):
        for name in OURS:
            self.assertGreater(seconds(SERVICES[name]["stop_grace_period"]), seconds(default("SHUTDOWN_GRACE")) + 5)

    def test_is_asked_by_its_own_binary(self):
        for name in ("api", "worker"):
            command, check = SERVICES[name]["command"], SERVICES[name]["healthcheck"]["test"]
            self.assertEqual(check, ["CMD", f"/usr/local/bin/{OURS[name]}", "health"])
            self.assertEqual(command, [check[1]])

    def test_postgresql_keeps_what_it_has_acknowledged(self):
        for option in SERVICES["postgres"]["command"]:
            self.assertNotRegex(option, r"^(fsync|synchronous_commit|full_page_writes)=")


class Secrets(unittest.TestCase):
    def test_every_file_is_declared_and_given(self):
        for name, service in services():
            for key, value in service.get("environment", {}).items():
                if key.endswith("_FILE") and str(value).startswith("/run/secrets/"):
                    with self.subTest(service=name, setting=key):
                        self.assertIn(value.removeprefix("/run/secrets/"), service["secrets"])

    def test_everything_given_is_used_and_made_by_the_script(self):
        used = {secret for service in SERVICES.values() for secret in service.get("secrets", [])}
        self.assertEqual(used, COMPOSE["secrets"].keys())
        for kind in (None, "demo"):
            with self.subTest(kind=kind), tempfile.TemporaryDirectory() as directory:
                files, _ = made_by_secrets_script(kind, directory)
                for secret, declaration in COMPOSE["secrets"].items():
                    self.assertEqual(expanded(declaration["file"]), f"./secrets/{secret}")
                    self.assertIn(secret, files)
                self.assertEqual(expanded(BACKUP["secrets"]["backup"]["file"]), "./secrets/backup.conf")
                self.assertIn("backup.conf", files)

    def test_nobody_gets_what_is_not_theirs(self):
        self.assertEqual(SERVICES["migrate"]["secrets"], ["database_url"])
        self.assertNotIn("retell_api_key", SERVICES["api"]["secrets"])
        for name, service in services():
            with self.subTest(service=name):
                self.assertNotIn("bootstrap_api_key", service.get("secrets", []))

    def test_the_bootstrap_key_is_the_demos_alone(self):
        self.assertIn("deploy/demo.yml", environment_file(DEPLOY / "demo.env")["COMPOSE_FILE"].split(":"))
        self.assertEqual(DEMO["services"].keys(), {"api", "demo"})
        self.assertEqual(DEMO["secrets"].keys(), {"bootstrap_api_key"})
        for service in DEMO["services"].values():
            self.assertEqual(service["secrets"], ["bootstrap_api_key"])
        for kind, is_made in ((None, False), ("server", False), ("demo", True)):
            with self.subTest(kind=kind), tempfile.TemporaryDirectory() as directory:
                files, _ = made_by_secrets_script(kind, directory)
                self.assertEqual("bootstrap_api_key" in files, is_made)


class Networks(unittest.TestCase):
    def members(self, network):
        """The services in a network."""
        return {name for name, service in services() if network in service.get("networks", ["default"])}

    def test_the_database_and_redis_are_for_dmrelay_alone(self):
        self.assertTrue(COMPOSE["networks"]["data"]["internal"])
        # Of the exporters, those that ask them, with roles of their own.
        exporters = {name for name, networks in EXPORTERS.items() if "data" in networks}
        self.assertEqual(self.members("data"), {"postgres", "redis", *OURS, *exporters})
        for name in ("postgres", "redis"):
            self.assertEqual(SERVICES[name]["networks"], ["data"])
            self.assertNotIn("ports", SERVICES[name])

    def test_every_service_is_in_named_networks(self):
        self.assertEqual(self.members("default"), set())

    def test_a_port_needs_a_network_that_is_not_internal(self):
        for name, service in services():
            networks = COMPOSE["networks"] | BACKUP["networks"]
            outer = [network for network in service["networks"] if not (networks[network] or {}).get("internal")]
            self.assertTrue(outer or "ports" not in service, name)


class Monitoring(unittest.TestCase):
    def mounts(self, service):
        """Where files of the repository are, by their place in the container."""
        volumes = [volume.split(":") for volume in SERVICES[service]["volumes"] if volume.startswith(".")]
        return {target: ROOT / source for source, target, _ in volumes}

    def test_prometheus_reaches_what_it_scrapes(self):
        configuration = document(ROOT / "grafana/prometheus.yml")
        jobs = {}
        for job in configuration["scrape_configs"]:
            for discovery in job.get("dns_sd_configs", []):
                for name in discovery["names"]:
                    jobs[job["job_name"]] = name
                    self.assertTrue(set(SERVICES[name]["networks"]) & set(SERVICES["prometheus"]["networks"]))
                    # The port that the health check asks is the one with the metrics.
                    check = " ".join(SERVICES[name]["healthcheck"]["test"])
                    listens = SERVICES[name].get("environment", {}).get("METRICS_ADDR", check)
                    self.assertRegex(listens, rf":{discovery['port']}\b")
        exporters = {"dmrelay-postgres": "postgres-exporter", "dmrelay-redis": "redis-exporter", "dmrelay-host": "node-exporter"}
        self.assertEqual(jobs, {"dmrelay-api": "api", "dmrelay-worker": "worker", **exporters})

    def test_prometheus_finds_its_rules(self):
        mounts = self.mounts("prometheus")
        for rules in document(ROOT / "grafana/prometheus.yml").get("rule_files", []):
            folder, name = rules.split("/")
            self.assertTrue(list(mounts[f"/etc/prometheus/{folder}"].glob(name)), rules)

    def test_exporters_ask_as_roles_of_their_own(self):
        for name, networks in EXPORTERS.items():
            with self.subTest(service=name):
                self.assertEqual(SERVICES[name]["profiles"], ["monitoring"])
                self.assertEqual(SERVICES[name]["networks"], networks)
                self.assertFalse({"database_url", "redis_url", "postgres_password"} & set(SERVICES[name].get("secrets", [])))
        roles = (DEPLOY / "postgres/init.sh").read_text()
        self.assertIn(f"GRANT pg_monitor TO {SERVICES['postgres-exporter']['environment']['DATA_SOURCE_USER']};", roles)
        with tempfile.TemporaryDirectory() as directory:
            files, _ = made_by_secrets_script(None, directory)
            address = SERVICES["redis-exporter"]["environment"]["REDIS_ADDR"]
            self.assertIn(address, json.loads(files["redis_exporter_passwords"].read_text()))
            (user,) = re.findall(r"^user exporter (.*)$", files["redis_acl"].read_text(), re.MULTILINE)
            # No keys, and no category of commands.
            self.assertNotRegex(user, r"[~@]")

    def test_grafana_finds_its_dashboards_and_prometheus(self):
        mounts, environment = self.mounts("grafana"), SERVICES["grafana"]["environment"]
        for path in (ROOT / "grafana/provisioning/dashboards").glob("*.yml"):
            for provider in document(path)["providers"]:
                self.assertIn(provider["options"]["path"], mounts)
        for path in (ROOT / "grafana/provisioning/datasources").glob("*.yml"):
            for source in document(path)["datasources"]:
                url = re.sub(r"\$\{(\w+)\}", lambda name: environment[name[1]], source["url"])
                self.assertEqual(expanded(url), "http://prometheus:9090")

    def test_nobody_gets_into_grafana_without_a_password(self):
        environment = SERVICES["grafana"]["environment"]
        self.assertEqual(environment["GF_AUTH_ANONYMOUS_ENABLED"], "false")
        self.assertEqual(environment["GF_USERS_ALLOW_SIGN_UP"], "false")
        self.assertNotIn("GF_SECURITY_ADMIN_PASSWORD", environment)


class Https(unittest.TestCase):
    caddyfile = (DEPLOY / "caddy/Caddyfile").read_text()

    def limit(self, name):
        """A duration in the Caddyfile, in seconds."""
        return seconds(re.search(rf"^\s+{name} (\w+)$", self.caddyfile, re.MULTILINE)[1])

    def test_it_passes_on_what_the_api_admits(self):
        self.assertIn("max_size 2MiB\n", self.caddyfile)
        self.assertEqual(default("WEBHOOK_MAX_BYTES"), "2 * 1024 * 1024")
        self.assertIn("flush_interval -1\n", self.caddyfile)
        self.assertGreater(self.limit("write"), seconds(default("EVENT_STREAM_TIME")) + 30)
        self.assertLess(self.limit("keepalive"), seconds(default("HEADER_TIMEOUT")))
        self.assertGreater(self.limit("response_header_timeout"), seconds(default("API_TIMEOUT")))

    def test_its_ports_are_published(self):
        named = re.findall(r"^\s+https?_port (\d+)$", self.caddyfile, re.MULTILINE)
        self.assertEqual([port.split(":")[1] for port in SERVICES["caddy"]["ports"]], named)

    def test_the_api_is_reached_by_name_and_trusts_its_address(self):
        self.assertIn("reverse_proxy api:8080 {", self.caddyfile)
        self.assertTrue(set(SERVICES["caddy"]["networks"]) & set(SERVICES["api"]["networks"]))
        self.assertIn("172.16.0.0/12", expanded(SERVICES["api"]["environment"]["TRUSTED_PROXIES"]))

    def test_the_public_address_follows_the_host(self):
        text = SERVICES["api"]["environment"]["PUBLIC_URL"]
        self.assertEqual(expanded(text), default_url())
        self.assertTrue(text.startswith("${PUBLIC_URL:-${PUBLIC_HOST:+https://}${PUBLIC_HOST:-"))


def default_url():
    """The default of PUBLIC_URL."""
    return re.search(r"#PUBLIC_URL=(\S+)", (ROOT / ".env.example").read_text())[1]


class Backup(unittest.TestCase):
    def test_everything_it_has_of_its_own_is_hardened_alike(self):
        # Its services are checked with the others. PostgreSQL keeps what docker-compose.yml gives it.
        self.assertFalse({"user", "read_only", "cap_drop", "command", "environment"} & BACKUP["services"]["postgres"].keys())

    def test_scripts_know_what_their_containers_have(self):
        for name, script in (("backup", "backup.sh"), ("restore", "restore.sh")):
            service = BACKUP["services"][name]
            self.assertIn(f"./deploy/postgres/{script}:/usr/local/bin/{script}:ro", service["volumes"])
            self.assertIn({"source": "backup", "target": "/etc/pgbackrest/conf.d/backup.conf"}, service["secrets"])
        targets = {volume.removesuffix(":ro").rsplit(":", 1)[1] for volume in BACKUP["services"]["backup"]["volumes"]}
        configuration = (DEPLOY / "postgres/pgbackrest.conf").read_text()
        for option in ("repo1-path", "pg1-path", "pg1-socket-path"):
            (path,) = re.findall(rf"^{option}=(\S+)$", configuration, re.MULTILINE)
            self.assertIn(path, targets)

    def test_without_it_nothing_is_archived(self):
        self.assertNotIn("archive", " ".join(SERVICES["postgres"]["command"]))


class Demo(unittest.TestCase):
    demo = environment_file(DEPLOY / "demo.env")

    def test_it_is_apart_from_what_is_real(self):
        self.assertNotEqual(self.demo["COMPOSE_PROJECT_NAME"], ROOT.name)
        self.assertEqual(self.demo["COMPOSE_PROFILES"], "demo")
        self.assertEqual(self.demo["DMRELAY_SECRETS"], "./secrets/demo")
        self.assertTrue((ROOT / self.demo["DMRELAY_ENV_FILE"]).samefile(DEPLOY / "demo.env"))

    def test_only_the_demo_needs_the_profile(self):
        of_demo = {name for name, service in services() if "demo" in service.get("profiles", [])}
        self.assertEqual(of_demo, {"simulator", "demo"})

    def test_it_calls_the_simulator(self):
        named = {name: value for name, value in self.demo.items() if not name.startswith(("COMPOSE_", "DMRELAY_"))}
        self.assertEqual(named.keys(), {"GRAPH_URL", "INSTAGRAM_GRAPH_URL", "RETELL_URL"})
        for name, url in named.items():
            self.assertTrue(url.startswith("http://simulator:4010/"), name)
        self.assertIsNone(refusal("dmrelay-worker", named))

    def test_the_simulators_settings_exist(self):
        known = re.findall(r'env = "(SIMULATOR_\w+)"', (ROOT / "crates/simulator/src/main.rs").read_text())
        self.assertTrue(SERVICES["simulator"]["environment"].keys() <= set(known))

    def test_its_secrets_are_the_simulators(self):
        flags = (ROOT / "crates/simulator/src/main.rs").read_text()
        with tempfile.TemporaryDirectory() as directory:
            files, _ = made_by_secrets_script("demo", directory)
            for secret in ("meta_app_secrets", "meta_verify_token", "retell_api_key"):
                self.assertIn(f'default_value = "{files[secret].read_text()}"', flags)


if __name__ == "__main__":
    unittest.main()
