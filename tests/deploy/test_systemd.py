"""deploy/systemd."""

import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from repository import DEPLOY, default, document, made_by_secrets_script, seconds, settings

SYSTEMD = DEPLOY / "systemd"
UNITS = {path.name: path for path in SYSTEMD.glob("*.service")}
# Higher is worse, of 100.
EXPOSURE = 20


def values(unit, name):
    """The values of a directive in a unit, in order."""
    return re.findall(rf"^{name}=(.*)$", UNITS[unit].read_text(), re.MULTILINE)


class Units(unittest.TestCase):
    def test_they_are_three(self):
        self.assertEqual(UNITS.keys(), {"dmrelay-api.service", "dmrelay-worker@.service", "dmrelay-migrate.service"})

    def test_credentials_are_those_of_the_settings_and_made_by_the_script(self):
        with tempfile.TemporaryDirectory() as directory:
            made, _ = made_by_secrets_script("server", directory)
        for unit in UNITS:
            with self.subTest(unit=unit):
                loaded = dict(value.split(":") for value in values(unit, "LoadCredential"))
                self.assertEqual(loaded, {name: f"/etc/dmrelay/secrets/{name}" for name in loaded})
                self.assertTrue(loaded.keys() <= made.keys())
                given = dict(value.split("=") for value in values(unit, "Environment"))
                self.assertEqual(given.get("MEDIA_STORE", "%S/dmrelay/media"), "%S/dmrelay/media")
                named = {name: value for name, value in given.items() if name != "MEDIA_STORE"}
                self.assertEqual(set(named.values()), {f"%d/{name}" for name in loaded})
                self.assertTrue(all(setting.endswith("_FILE") for setting in named))
                process = Path(values(unit, "ExecStart")[0].split()[0]).name
                self.assertEqual(named.keys() - settings(process), set())

    def test_flags_exist(self):
        for unit in UNITS:
            command = values(unit, "ExecStart")[0].split()
            for flag in command[1:]:
                if flag.startswith("--"):
                    self.assertIn(flag[2:].upper().replace("-", "_"), settings(Path(command[0]).name))

    def test_they_are_started_again_and_have_time_to_stop(self):
        for unit in UNITS:
            with self.subTest(unit=unit):
                self.assertEqual(values(unit, "Restart"), ["on-failure"])
                # The database may come up much later.
                self.assertEqual(values(unit, "StartLimitIntervalSec"), ["0"])
                if unit != "dmrelay-migrate.service":
                    self.assertGreater(seconds(values(unit, "TimeoutStopSec")[0]), seconds(default("SHUTDOWN_GRACE")) + 5)
                    self.assertTrue(values(unit, "MemoryMax"))

    def test_none_is_root_even_without_the_hardening(self):
        for unit in UNITS:
            self.assertEqual(values(unit, "DynamicUser"), ["yes"])

    def test_each_has_a_port_of_its_own_that_prometheus_scrapes(self):
        ports = {}
        for unit in ("dmrelay-api.service", "dmrelay-worker@.service"):
            (ports[unit],) = re.findall(r"--metrics-addr 127\.0\.0\.1:(\S+)", values(unit, "ExecStart")[0])
        self.assertEqual(ports["dmrelay-worker@.service"], ports["dmrelay-api.service"].removesuffix("0") + "%i")
        # Of Prometheus, Alertmanager and the usual exporters.
        worker = {ports["dmrelay-worker@.service"].replace("%i", str(number)) for number in range(1, 10)}
        self.assertFalse({ports["dmrelay-api.service"], *worker} & {"9090", "9091", "9093", "9094", "9100", "9121", "9187"})
        scraped = {job["job_name"]: job["static_configs"][0]["targets"] for job in document(SYSTEMD / "prometheus.yml")["scrape_configs"]}
        self.assertEqual(scraped["dmrelay-api"], [f"127.0.0.1:{ports['dmrelay-api.service']}"])
        self.assertEqual(scraped["dmrelay-worker"], [f"127.0.0.1:{port}" for port in sorted(worker)[:2]])
        documented = (DEPLOY.parent / "docs/deployment.md").read_text()
        for port in (ports["dmrelay-api.service"], *sorted(worker)[:2]):
            self.assertIn(f"http://127.0.0.1:{port}/readyz", documented)


class Scripts(unittest.TestCase):
    """dmrelay-admin and upgrade.sh, with stand-ins for systemd and the binaries."""

    def setUp(self):
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.root = Path(held.name)
        self.prefix, self.new, self.bin = (self.root / name for name in ("prefix", "new", "bin"))
        for folder in (self.prefix, self.new, self.bin, self.root / "credentials"):
            folder.mkdir()
        for name in ("dmrelay-api", "dmrelay-worker"):
            self.program(self.prefix / name, "echo old")
            self.program(self.new / name, 'echo "new $*"; env | grep _FILE= | sort')
        # Loads the credentials and runs the command; notes the properties, and what systemctl is told.
        self.program(self.bin / "systemd-run", f"""
            while :; do
                case "$1" in
                    --property=LoadCredential=*) name=${{1#*=*=}}; touch "{self.root}/credentials/${{name%%:*}}" ;;
                    --*) ;;
                    *) break ;;
                esac
                echo "$1" >> "{self.root}/properties"
                shift
            done
            export CREDENTIALS_DIRECTORY="{self.root}/credentials"
            exec "$@"
        """)
        self.program(self.bin / "systemctl", f"""
            case "$1" in
                list-units) printf 'dmrelay-worker@%s.service loaded active\\n' 1 2 ;;
                *) echo "$*" >> "{self.root}/told" ;;
            esac
        """)

    def program(self, path, script):
        """Makes a shell script."""
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def run_script(self, name, *arguments, **environment):
        """Runs a script; what it printed and its exit code."""
        variables = {"PATH": f"{self.bin}:/usr/bin:/bin", "DMRELAY_PREFIX": str(self.prefix)} | environment
        command = [SYSTEMD / name, *arguments]
        run = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
        return run.stdout, run.returncode

    def told(self):
        """What systemctl was told."""
        path = self.root / "told"
        return path.read_text().splitlines() if path.exists() else []

    def test_admin_has_the_secrets_of_all_services_and_no_privileges(self):
        printed, code = self.run_script("dmrelay-admin", "doctor", "--json", DMRELAY_BINARY=str(self.new / "dmrelay-api"))
        self.assertEqual(code, 0)
        self.assertEqual(printed.splitlines()[0], "new admin doctor --json")
        loaded = {value.split(":")[0] for unit in UNITS for value in values(unit, "LoadCredential")}
        given = dict(line.split("=") for line in printed.splitlines()[1:])
        self.assertEqual(given, {f"{name.upper()}_FILE": f"{self.root}/credentials/{name}" for name in loaded})
        properties = (self.root / "properties").read_text()
        for line in ("DynamicUser=yes", "NoNewPrivileges=yes", "CapabilityBoundingSet=", "EnvironmentFile=-/etc/dmrelay/dmrelay.env"):
            self.assertIn(f"--property={line}\n", properties)

    def test_an_upgrade_migrates_before_it_restarts_and_can_be_taken_back(self):
        printed, code = self.run_script("upgrade.sh", self.new)
        self.assertEqual((code, printed.splitlines()[0]), (0, "new admin migrate"))
        restarts = [f"restart {unit}.service" for unit in ("dmrelay-api", "dmrelay-worker@1", "dmrelay-worker@2")]
        self.assertEqual(self.told(), restarts)
        self.assertIn("new", (self.prefix / "dmrelay-worker").read_text())
        _, code = self.run_script("upgrade.sh", "--rollback")
        self.assertEqual((code, self.told()), (0, restarts * 2))
        self.assertIn("old", (self.prefix / "dmrelay-worker").read_text())

    def test_an_upgrade_that_is_repeated_can_still_be_taken_back(self):
        for _ in range(2):
            _, code = self.run_script("upgrade.sh", self.new)
            self.assertEqual(code, 0)
        _, code = self.run_script("upgrade.sh", "--rollback")
        self.assertEqual(code, 0)
        for name in ("dmrelay-api", "dmrelay-worker"):
            self.assertIn("old", (self.prefix / name).read_text())

    def test_both_old_binaries_are_of_one_version(self):
        self.run_script("upgrade.sh", self.new)
        # The next version has the same worker.
        self.program(self.new / "dmrelay-api", "echo newer")
        self.run_script("upgrade.sh", self.new)
        self.run_script("upgrade.sh", "--rollback")
        for name in ("dmrelay-api", "dmrelay-worker"):
            self.assertIn("new $*", (self.prefix / name).read_text())

    def test_a_migration_that_fails_changes_nothing(self):
        self.program(self.new / "dmrelay-api", "exit 1")
        _, code = self.run_script("upgrade.sh", self.new)
        self.assertEqual((code, self.told()), (1, []))
        self.assertEqual({path.name: path.read_text() for path in self.prefix.iterdir()},
                         {name: "#!/bin/sh\necho old\n" for name in ("dmrelay-api", "dmrelay-worker")})


@unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not installed")
class Analyzed(unittest.TestCase):
    """What systemd says, in a root of its own where the binaries are."""

    def setUp(self):
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.root = Path(held.name)
        self.units = self.root / "etc/systemd/system"
        shutil.copytree(SYSTEMD, self.units)
        (self.units / "dmrelay-worker@.service").rename(self.units / "dmrelay-worker@1.service")
        for unit in self.units.glob("*.service"):
            for binary in re.findall(r"^ExecStart=(\S+)", unit.read_text(), re.MULTILINE):
                path = self.root / binary.lstrip("/")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch(0o755)

    def analyze(self, *arguments):
        """Runs systemd-analyze; what it said."""
        command = ["systemd-analyze", *arguments, f"--root={self.root}"]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def test_they_can_be_read(self):
        for unit in sorted(path.name for path in self.units.glob("*.service")):
            with self.subTest(unit=unit):
                run = self.analyze("verify", "--recursive-errors=no", "--man=no", unit)
                self.assertEqual((run.returncode, run.stderr), (0, ""))

    def test_they_are_exposed_to_little(self):
        for unit in sorted(path.name for path in self.units.glob("*.service")):
            with self.subTest(unit=unit):
                run = self.analyze("security", "--offline=true", f"--threshold={EXPOSURE}", unit)
                self.assertEqual(run.returncode, 0, run.stdout)


if __name__ == "__main__":
    unittest.main()
