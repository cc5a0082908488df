"""deploy/systemd."""

import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from repository import DEPLOY, default, made_by_secrets_script, seconds, settings

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
                named = dict(value.split("=") for value in values(unit, "Environment"))
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

    def test_each_worker_has_a_port_of_its_own(self):
        self.assertIn("--metrics-addr 127.0.0.1:909%i", values("dmrelay-worker@.service", "ExecStart")[0])
        self.assertEqual(default("METRICS_ADDR"), "127.0.0.1:9090")


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
