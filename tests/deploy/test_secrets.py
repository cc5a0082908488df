"""deploy/secrets.sh."""

import stat
import subprocess
import tempfile
import unittest
from pathlib import Path

from repository import DEPLOY, ROOT, made_by_secrets_script


class Secrets(unittest.TestCase):
    def setUp(self):
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        # Made by the script, with the modes it gives.
        self.directory = Path(held.name) / "secrets"

    def test_nothing_is_ever_overwritten(self):
        files, _ = made_by_secrets_script(None, self.directory)
        files["retell_api_key"].write_text("key_of_mine")
        before = {name: path.read_bytes() for name, path in files.items()}
        again, printed = made_by_secrets_script(None, self.directory)
        self.assertEqual({name: path.read_bytes() for name, path in again.items()}, before)
        self.assertNotIn("made", printed)

    def test_what_is_missing_is_made_to_fit(self):
        files, _ = made_by_secrets_script(None, self.directory)
        for name in ("database_url", "redis_url", "redis_acl"):
            files[name].unlink()
        files, _ = made_by_secrets_script(None, self.directory)
        self.assertIn(f":{files['database_password'].read_text()}@postgres:5432/", files["database_url"].read_text())
        self.assertIn(f":{files['redis_password'].read_text()}@redis:6379/", files["redis_url"].read_text())
        self.assertIn(f" >{files['redis_password'].read_text()} ", files["redis_acl"].read_text())

    def test_no_secret_is_printed_and_no_two_are_alike(self):
        files, printed = made_by_secrets_script(None, self.directory)
        other, _ = made_by_secrets_script(None, self.directory.with_name("other"))
        for name, path in files.items():
            value = path.read_text()
            if value:
                with self.subTest(secret=name):
                    self.assertNotIn(value, printed)
                    self.assertNotEqual(value, other[name].read_text())

    def test_only_the_owner_gets_to_them(self):
        for kind, mode in ((None, 0o644), ("demo", 0o644), ("server", 0o600)):
            with self.subTest(kind=kind):
                directory = self.directory / str(kind)
                files, _ = made_by_secrets_script(kind, directory)
                self.assertEqual(stat.S_IMODE(directory.stat().st_mode), 0o700)
                self.assertEqual({stat.S_IMODE(path.stat().st_mode) for path in files.values()}, {mode})
                # A mode that an editor has left is mended.
                files["encryption_keys"].chmod(0o640)
                made_by_secrets_script(kind, directory)
                self.assertEqual(stat.S_IMODE(files["encryption_keys"].stat().st_mode), mode)

    def test_git_does_not_see_them(self):
        made_by_secrets_script(None, self.directory)
        self.assertEqual((self.directory / ".gitignore").read_text(), "*\n")
        places = [ROOT / "secrets", DEPLOY / "kubernetes/overlays/example/secrets"]
        tracked = subprocess.run(["git", "ls-files", *places], cwd=ROOT, capture_output=True, text=True, check=True)
        self.assertEqual(tracked.stdout, "")

    def test_it_names_what_is_to_be_filled_in(self):
        _, printed = made_by_secrets_script("server", self.directory)
        empty = {line.split()[1].rstrip(":").rsplit("/", 1)[1] for line in printed.splitlines() if line.startswith("empty")}
        self.assertEqual(empty, {"retell_api_key", "meta_app_secrets", "database_url", "redis_url"})


class Scripts(unittest.TestCase):
    def test_every_script_can_be_read_and_run(self):
        for path in [*DEPLOY.rglob("*.sh"), DEPLOY / "systemd/dmrelay-admin"]:
            with self.subTest(script=path.name):
                shell = path.read_text().splitlines()[0].removeprefix("#!/bin/")
                subprocess.run([shell, "-n", path], check=True)
                self.assertTrue(path.stat().st_mode & 0o100)


if __name__ == "__main__":
    unittest.main()
