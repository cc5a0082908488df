"""docker-compose.yml: hardened, ordered, apart, and made of settings, secrets and files that exist."""

import re
import tempfile
import unittest
from functools import cache

from repository import DEPLOY, ROOT, default, document, made_by_secrets_script, pinned, refusal, seconds, secrets, settings

COMPOSE = document(ROOT / "docker-compose.yml")
DEMO = document(DEPLOY / "demo.yml")
SERVICES = COMPOSE["services"]
OURS = {"migrate": "dmrelay-api", "api": "dmrelay-api", "worker": "dmrelay-worker"}
# They end by themselves.
ONCE = {"migrate", "demo"}


def services():
    """Each service, with its name."""
    return SERVICES.items()


def expanded(text):
    """A value with the defaults of its variables."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(text))


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
                self.assertTrue(pinned(image) or image in ("dmrelay:local", "dmrelay-simulator:local"), image)

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
                self.assertEqual(service["restart"], "no" if once else "unless-stopped")
                check = service["healthcheck"]
                self.assertEqual(check, {"disable": True}) if once else self.assertEqual(check["test"][0], "CMD")

    def test_port_is_this_machines(self):
        for name, service in services():
            for port in service.get("ports", []):
                with self.subTest(service=name, port=port):
                    self.assertRegex(expanded(port), r"^127\.0\.0\.1:\d+:\d+$")

    def test_mounted_file_exists_and_is_read_only(self):
        for name, service in services():
            for volume in service.get("volumes", []):
                with self.subTest(service=name, volume=volume):
                    source, _, options = volume.split(":") if volume.count(":") == 2 else (*volume.split(":"), None)
                    if source.startswith("."):
                        self.assertTrue((ROOT / source).exists())
                        self.assertEqual(options, "ro")
                    else:
                        self.assertIn(source, COMPOSE["volumes"])

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
        self.assertEqual(self.members("data"), {"postgres", "redis", *OURS})
        for name in ("postgres", "redis"):
            self.assertEqual(SERVICES[name]["networks"], ["data"])
            self.assertNotIn("ports", SERVICES[name])

    def test_every_service_is_in_named_networks(self):
        self.assertEqual(self.members("default"), set())

    def test_a_port_needs_a_network_that_is_not_internal(self):
        for name, service in services():
            outer = [network for network in service["networks"] if not (COMPOSE["networks"][network] or {}).get("internal")]
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
                    self.assertTrue(SERVICES[name]["environment"]["METRICS_ADDR"].endswith(f":{discovery['port']}"))
        self.assertEqual(jobs, {"dmrelay-api": "api", "dmrelay-worker": "worker"})

    def test_prometheus_finds_its_rules(self):
        mounts = self.mounts("prometheus")
        for rules in document(ROOT / "grafana/prometheus.yml").get("rule_files", []):
            folder, name = rules.split("/")
            self.assertTrue(list(mounts[f"/etc/prometheus/{folder}"].glob(name)), rules)

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
