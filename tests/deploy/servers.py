"""Throw-away PostgreSQL servers, started the way docker-compose.yml starts its own. PostgreSQL refuses to run as root, so root runs
it as the user `postgres`."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from repository import DEPLOY, document, made_by_secrets_script

# Of Debian's and PGDG's packages; they are not in everyone's PATH.
BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
PATH = os.pathsep.join([*(str(path) for path in BINARIES[-1:]), os.environ["PATH"]])
PACKAGES = {"postgres": "postgresql", "initdb": "postgresql", "pgbackrest": "pgbackrest"}
AS_POSTGRES = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []


def require(*programs):
    """Fails if a program is missing: backups that were not tested are none."""
    for program in programs:
        if shutil.which(program, path=PATH) is None:
            raise AssertionError(f"{program} is missing; on Debian and Ubuntu: sudo apt-get install {PACKAGES[program]}")


class Postgres:
    """A folder with the data of one server, its secrets, and what its container would be given."""

    def __init__(self, test, archives=False):
        require("postgres", "initdb")
        # Not below TMPDIR: the path of a socket is limited to 107 bytes.
        held = tempfile.TemporaryDirectory(prefix="dmrelay-", dir="/tmp")
        test.addCleanup(held.cleanup)
        self.root = Path(held.name)
        self.data, self.socket, self.bin = (self.root / name for name in ("data", "socket", "bin"))
        # Copies, because the server's user need not be able to read the repository.
        self.scripts = shutil.copytree(DEPLOY / "postgres", self.root / "scripts")
        self.secrets, _ = made_by_secrets_script(None, self.root / "secrets")
        for folder in (self.data, self.socket, self.bin):
            folder.mkdir()
        self.data.chmod(0o700)
        # The image's own entrypoint, as far as it matters here.
        self.put_program("docker-entrypoint.sh", 'exec "$@"')
        self.entrypoint = self.scripts / "entrypoint.sh" if archives else "docker-entrypoint.sh"
        self.process = None
        # Without fsync, because no machine crashes here.
        self.options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={self.socket}", "-c", "fsync=off"]
        self.environment = {
            "PATH": f"{self.bin}{os.pathsep}{PATH}",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "PGDATA": str(self.data),
            "PGHOST": str(self.socket),
            "PGUSER": "postgres",
            "POSTGRES_DB": "dmrelay",
            "POSTGRES_SOCKETS": str(self.socket),
            "SECRETS": str(self.root / "secrets"),
        }
        self.own()
        test.addCleanup(self.stop)

    def put_program(self, name, script):
        """Puts a shell script where the server's commands are looked for first."""
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def own(self):
        """Gives everything to the user that runs the server."""
        if AS_POSTGRES:
            subprocess.run(["chown", "-R", "postgres:", self.root], check=True)

    def run(self, *command, check=True, stdin=None, **environment):
        """Runs a command as the server's user; what it printed."""
        ran = subprocess.run(
            [*AS_POSTGRES, *map(str, command)], env=self.environment | environment, cwd="/", stdin=stdin, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=120,
        )
        if check and ran.returncode != 0:
            raise AssertionError(f"{' '.join(map(str, command))}: {ran.stdout}\n{self.log()}")
        return ran

    def log(self):
        """What the server has logged last."""
        path = self.root / "log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""

    def create(self):
        """A new volume: what the image does with POSTGRES_DB, POSTGRES_INITDB_ARGS and docker-entrypoint-initdb.d."""
        compose = document(DEPLOY.parent / "docker-compose.yml")["services"]["postgres"]["environment"]
        arguments = compose["POSTGRES_INITDB_ARGS"].split()
        password = self.root / "secrets/postgres_password"
        self.run("initdb", "--username=postgres", f"--pwfile={password}", "--no-sync", *arguments)
        self.start()
        self.run("createdb", "dmrelay")
        self.run(self.scripts / "init.sh")

    def start(self):
        """Starts the server as its container would, and waits until it accepts writes."""
        with open(self.root / "log", "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [*AS_POSTGRES, self.entrypoint, "postgres", *self.options], env=self.environment, cwd="/", stdout=log, stderr=log
            )
        asked = "SELECT pg_is_in_recovery()"
        self.wait("the server accepts writes", lambda: self.sql(asked, database="postgres", check=False) == "f")

    def stop(self):
        """Stops the server in order: the rest of its WAL is archived."""
        if self.process is not None:
            self.run("pg_ctl", "stop", "--mode=fast", "--silent", check=False)
            self.process.wait(timeout=60)
            self.process = None

    def destroy(self):
        """The machine is lost: the server ends without a checkpoint, and its files are gone."""
        self.run("pg_ctl", "stop", "--mode=immediate", "--silent")
        self.process.wait(timeout=60)
        self.process = None
        shutil.rmtree(self.data)
        self.data.mkdir(mode=0o700)
        self.own()

    def sql(self, statement, role="postgres", database="dmrelay", check=True):
        """The rows that a statement returns, as text."""
        options = ["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set", "ON_ERROR_STOP=1"]
        return self.run("psql", *options, "-U", role, "-d", database, "-c", statement, check=check).stdout.strip()

    def wait(self, what, condition):
        """Waits for a condition."""
        deadline = time.monotonic() + 60
        while not condition():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise AssertionError(f"in vain: {what}\n{self.log()}")
            time.sleep(0.05)
