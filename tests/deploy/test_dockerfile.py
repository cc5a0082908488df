"""The Dockerfile and its context."""

import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from repository import ROOT, cargo_metadata, pinned, workspace


def instructions():
    """The instructions of the Dockerfile, as pairs of word and rest."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]


def arguments():
    """The build arguments, with their defaults."""
    return dict(rest.split("=", 1) for word, rest in instructions() if word == "ARG")


def stages():
    """The stages, by name: what each is from, and its instructions."""
    found = {}
    for word, rest in instructions():
        if word == "FROM":
            base, name = re.fullmatch(r"(\S+) AS (\S+)", rest).groups()
            for argument, value in arguments().items():
                base = base.replace("${" + argument + "}", value)
            found[name] = (base, [])
        elif found:
            list(found.values())[-1][1].append((word, rest))
    return found


class Dockerfile(unittest.TestCase):
    def test_bases_are_pinned(self):
        names = set(stages())
        for name, (base, _) in stages().items():
            with self.subTest(stage=name):
                self.assertTrue(base in names or pinned(base), base)

    def test_the_compiler_is_new_enough(self):
        version = re.search(r"rust:(\d+)\.(\d+)\.\d+-", arguments()["RUST_IMAGE"])
        wanted = workspace()["package"]["rust-version"].split(".")
        self.assertGreaterEqual([int(part) for part in version.groups()], [int(part) for part in wanted])

    def test_the_version_is_the_workspaces(self):
        self.assertEqual(arguments()["VERSION"], workspace()["package"]["version"])

    def test_what_is_shipped_is_not_root_and_has_a_health_check_without_a_shell(self):
        for name in ("dmrelay", "simulator"):
            with self.subTest(stage=name):
                words = dict(stages()[name][1])
                self.assertRegex(words["USER"], r"^[1-9]\d*:[1-9]\d*$")
                self.assertRegex(words["HEALTHCHECK"], r'CMD \["/?[a-z]')
                self.assertRegex(words["CMD"], r'^\["/usr/local/bin/dmrelay-')

    def test_the_last_stage_is_dmrelay(self):
        self.assertEqual(list(stages())[-1], "dmrelay")

    def test_nothing_is_fetched_and_nothing_is_secret(self):
        for word, rest in instructions():
            with self.subTest(instruction=f"{word} {rest}"):
                self.assertNotEqual(word, "ADD")
                self.assertFalse(word == "RUN" and re.search(r"\b(curl|wget|git|apt-get|cargo install)\b", rest))
                self.assertFalse(word in ("ENV", "ARG") and re.search(r"(?i)secret|password|token|_key|_url", rest))

    def test_builds_are_locked(self):
        built = [rest for word, rest in instructions() if word == "RUN" and "cargo build" in rest]
        self.assertTrue(built)
        for rest in built:
            self.assertIn("--release --locked", rest)


class Context(unittest.TestCase):
    def setUp(self):
        lines = (ROOT / ".dockerignore").read_text().splitlines()
        self.rules = [line for line in lines if line and not line.startswith("#")]

    def test_it_is_the_workspace_and_nothing_else(self):
        self.assertEqual(self.rules[0], "*")
        admitted = {rule[1:] for rule in self.rules if rule.startswith("!")}
        members = {Path(member).parts[0] for member in workspace()["members"]}
        self.assertEqual(admitted, members | {"Cargo.toml", "Cargo.lock"})

    def test_dependencies_are_built_without_the_code(self):
        """The step that leaves the manifests, run here: Cargo must find the root of every crate in what it leaves."""
        (step,) = [rest for word, rest in stages()["manifests"][1] if word == "RUN"]
        with tempfile.TemporaryDirectory() as directory:
            source = Path(directory) / "src"
            source.mkdir()
            left_out = shutil.ignore_patterns(*(rule.removeprefix("**/") for rule in self.rules if rule.startswith("**/")))
            for name in (rule[1:] for rule in self.rules if rule.startswith("!")):
                if (ROOT / name).is_dir():
                    shutil.copytree(ROOT / name, source / name, ignore=left_out)
                else:
                    shutil.copy(ROOT / name, source)
            subprocess.run(["sh", "-eu", "-c", step], cwd=source, check=True)
            left = {path.name for path in source.rglob("*") if path.is_file()}
            self.assertEqual(left, {"Cargo.toml", "Cargo.lock", "lib.rs", "main.rs"})
            packages = cargo_metadata(source)["packages"]
            for package in packages:
                for target in package["targets"]:
                    self.assertTrue(Path(target["src_path"]).exists(), f"{package['name']}: {target['src_path']}")
        found = {package["name"] for package in packages}
        self.assertEqual(found, {package["name"] for package in cargo_metadata(ROOT)["packages"]})


if __name__ == "__main__":
    unittest.main()
