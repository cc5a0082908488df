"""What the tests of this folder know of the repository: its files, its workspace, and the settings its processes have."""

import json
import os
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PROCESSES = ("dmrelay-api", "dmrelay-worker")
# Where settings are declared.
RUNTIME = ROOT / "crates/runtime/src/settings"
SETTINGS = [ROOT / "api/src/process.rs", ROOT / "worker/src/process.rs", *RUNTIME.glob("*.rs")]


class Strict(yaml.SafeLoader):
    """Refuses a key that stands twice, where YAML's usual reading drops one of them."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"twice: {sorted(twice)}", node.start_mark)
        return super().construct_mapping(node, deep)


def documents(path):
    """The documents of a YAML file."""
    with open(path, encoding="utf-8") as file:
        return [document for document in yaml.load_all(file, Strict) if document is not None]


def document(path):
    """The one document of a YAML file."""
    (only,) = documents(path)
    return only


@cache
def workspace():
    """The workspace's Cargo.toml."""
    return tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]


@cache
def declared():
    """The settings the sources declare, of whichever process."""
    text = "\n".join(path.read_text() for path in SETTINGS)
    return frozenset(re.findall(r'env = "([A-Z][A-Z0-9_]+)"', text)) | of_secrets()


def of_secrets():
    """The settings of secrets, which are arguments of a macro."""
    return frozenset(re.findall(r'"([A-Z][A-Z0-9_]+)",', (RUNTIME / "secrets.rs").read_text()))


@cache
def secrets():
    """The secrets, each of which may be in a file."""
    return frozenset(name.removesuffix("_FILE") for name in of_secrets() if name.endswith("_FILE"))


@cache
def binary(process):
    """The built process, unless there is none or its settings have changed since."""
    path = TARGET / "debug" / process
    changed = max(source.stat().st_mtime for source in SETTINGS)
    return path if path.exists() and path.stat().st_mtime > changed else None


@cache
def settings(process):
    """The settings of a process: as its --help has them, or those of both where it is not built."""
    if binary(process) is None:
        return declared()
    text = subprocess.run([binary(process), "--help"], capture_output=True, text=True, check=True).stdout
    return frozenset(re.findall(r"\[env: ([A-Z0-9_]+)", text))


@cache
def default(setting):
    """The default of a setting."""
    text = "\n".join(path.read_text() for path in SETTINGS)
    return re.search(rf'env = "{setting}", default_value(?:_t)? = "?([^",)]+)', text)[1].replace("_", "")


def seconds(text):
    """A duration with a unit, in seconds. Compose, systemd and dmrelay write them alike."""
    number, unit = re.fullmatch(r"(\d+)(s|m|min|h)?", str(text)).groups()
    return int(number) * {None: 1, "s": 1, "m": 60, "min": 60, "h": 3600}[unit]


def refusal(process, environment):
    """What a process says against the values of an environment, or None; it reads them all and connects to nothing. `openapi`
    prints a document; `health` asks a port where nobody listens, and ends with 1: only a value that cannot be read is 2."""
    if binary(process) is None:
        return None
    command = [binary(process), *(["openapi"] if process == "dmrelay-api" else ["health"])]
    environment = {name: str(value) for name, value in environment.items()} | {"METRICS_ADDR": "127.0.0.1:1"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    accepted = run.returncode == 0 or (process == "dmrelay-worker" and run.returncode == 1)
    return None if accepted else run.stderr


def pinned(image):
    """Whether an image is one for good: by a digest, or by a version down to its third number."""
    name, _, digest = image.partition("@")
    if digest:
        return re.fullmatch(r"sha256:[0-9a-f]{64}", digest) is not None
    # PostgreSQL's versions have two numbers.
    numbers = r"\d+\.\d+" if name.startswith("postgres:") else r"\d+\.\d+\.\d+"
    return re.search(rf":v?{numbers}(-[a-z0-9]+)*$", name) is not None


def made_by_secrets_script(kind, directory):
    """Runs deploy/secrets.sh into a directory; the files it has made, by name, and what it has printed."""
    command = [DEPLOY / "secrets.sh", *([kind] if kind else []), directory]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    files = {path.name: path for path in Path(directory).iterdir() if not path.name.startswith(".")}
    return files, printed


def cargo_metadata(directory):
    """The workspace in a directory, as Cargo sees it."""
    command = ["cargo", "metadata", "--no-deps", "--offline", "--locked", "--format-version=1"]
    run = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise AssertionError(run.stderr)
    return json.loads(run.stdout)
