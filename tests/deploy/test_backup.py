"""deploy/postgres: backups and upgrades, with real servers. Each script runs as written; only paths differ from the containers'."""

import re
import shutil
import time
import unittest

from repository import ROOT
from servers import Postgres, require

# dmrelay's tables belong to its role; one has a permission for another role.
TABLES = """
    CREATE TABLE messages (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text NOT NULL);
    CREATE INDEX ON messages (body);
    GRANT SELECT ON messages TO reader;
"""
# The owner and the permissions of everything of dmrelay's.
OWNED = """
    SELECT relname, relkind, relowner::regrole, coalesce(relacl, acldefault('r', relowner))
    FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1
"""
# The same, and roles with passwords and memberships.
RIGHTS = f"""
    SELECT rolname, rolsuper, rolcanlogin, rolconnlimit, rolpassword FROM pg_authid WHERE rolname !~ '^pg_' ORDER BY 1;
    SELECT roleid::regrole, member::regrole FROM pg_auth_members WHERE member::regrole::text = 'exporter' ORDER BY 1, 2;
    SELECT datname, datdba::regrole, datacl FROM pg_database WHERE datname = 'dmrelay';
    {OWNED}
"""

# The command `date`, some days later: now, and the hour of a backup. A time that is given in full stays as it is.
LATER = """
case "$*" in
    +%s) exec /bin/date -d '{days} day' +%s ;;
    '-d 3:00 +%s') exec /bin/date -d '{days} day 3:00' +%s ;;
    *) exec /bin/date "$@" ;;
esac
"""


def filled(server):
    """A server with roles, tables and a message."""
    server.create()
    server.sql("CREATE ROLE reader LOGIN PASSWORD 'secret'; GRANT CONNECT ON DATABASE dmrelay TO reader")
    server.sql(TABLES, role="dmrelay")
    say(server, "first")
    return server


def say(server, body):
    """dmrelay writes a message."""
    server.sql(f"INSERT INTO messages (body) VALUES ('{body}')", role="dmrelay")


def said(server, role="dmrelay"):
    """The messages that a role reads."""
    return server.sql("SELECT body FROM messages ORDER BY id", role=role).splitlines()


class Archived(unittest.TestCase):
    """deploy/backup.yml."""

    def setUp(self):
        require("pgbackrest")
        self.server = Postgres(self, archives=True)
        self.repository = self.server.root / "repository"
        self.repository.mkdir()
        self.server.own()
        self.server.environment |= {
            "PGBACKREST_CONFIG": str(self.server.scripts / "pgbackrest.conf"),
            # The folder of secrets/backup.conf, which is the only file with this ending there.
            "PGBACKREST_CONFIG_INCLUDE_PATH": str(self.server.root / "secrets"),
            "PGBACKREST_REPO1_PATH": str(self.repository),
            "PGBACKREST_PG1_PATH": str(self.server.data),
            "PGBACKREST_PG1_SOCKET_PATH": str(self.server.socket),
            "PGBACKREST_LOCK_PATH": str(self.server.root / "lock"),
            "BACKUP_METRICS": str(self.server.root),
        }
        filled(self.server)

    def backup(self, *arguments, **options):
        """Runs backup.sh."""
        return self.server.run(self.server.scripts / "backup.sh", *arguments, **options)

    def restore(self, *arguments):
        """Restores with restore.sh and starts the server."""
        self.server.run(self.server.scripts / "restore.sh", *arguments)
        self.server.start()

    def archive(self):
        """Ends the segment of the WAL and waits until it is archived."""
        segment = self.server.sql("SELECT pg_walfile_name(pg_switch_wal())")
        self.server.wait(f"{segment} is archived", lambda: self.server.sql(
            f"SELECT last_archived_wal >= '{segment}' FROM pg_stat_archiver") == "t")

    def test_a_lost_server_is_restored_to_the_last_archived_transaction(self):
        rights = self.server.sql(RIGHTS)
        self.backup("now", "full")
        say(self.server, "second")
        self.backup("now", "incr")
        say(self.server, "third")
        self.archive()
        self.server.destroy()
        self.restore()
        self.assertEqual(said(self.server), ["first", "second", "third"])
        self.assertEqual(said(self.server, role="reader"), ["first", "second", "third"])
        self.assertEqual(self.server.sql(RIGHTS), rights)
        # It goes on, on a new timeline, and so do the backups.
        say(self.server, "fourth")
        self.archive()
        self.backup("now", "incr")
        self.server.destroy()
        self.restore()
        self.assertEqual(said(self.server), ["first", "second", "third", "fourth"])

    def test_a_mistake_is_undone_by_a_restore_to_the_moment_before(self):
        self.backup("now", "full")
        say(self.server, "second")
        # A backup is known by the second in which it ended; the moment must be in a later one.
        self.server.sql("SELECT pg_sleep(1)")
        moment = self.server.sql("SELECT now()")
        self.server.sql("DELETE FROM messages; DROP OWNED BY reader; DROP ROLE reader")
        # In order: what was not archived yet, is.
        self.server.stop()
        self.restore("--time", moment)
        self.assertEqual(said(self.server), ["first", "second"])
        self.assertEqual(said(self.server, role="reader"), ["first", "second"])

    def test_a_restore_refuses_a_running_server_and_a_time_without_a_zone(self):
        self.backup("now", "full")
        refused = self.server.run(self.server.scripts / "restore.sh", check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("postmaster.pid", refused.stdout)
        for moment in ("2026-11-26 13:45:00", "2026-11-26", "yesterday"):
            refused = self.server.run(self.server.scripts / "restore.sh", "--time", moment, check=False)
            self.assertEqual(refused.returncode, 2)
        self.assertEqual(said(self.server), ["first"])

    def test_nothing_is_lost_while_archiving_fails(self):
        self.backup("now", "full")
        away = self.repository.with_name("away")
        self.repository.rename(away)
        say(self.server, "second")
        segment = self.server.sql("SELECT pg_walfile_name(pg_switch_wal())")
        self.server.wait("archiving fails", lambda: self.server.sql("SELECT failed_count > 0 FROM pg_stat_archiver") == "t")
        self.server.sql("CHECKPOINT")
        self.assertTrue((self.server.data / "pg_wal" / segment).exists())
        away.rename(self.repository)
        self.archive()
        self.server.destroy()
        self.restore()
        self.assertEqual(said(self.server), ["first", "second"])

    def test_a_new_server_archives_into_the_old_repository_only_after_stanza_upgrade(self):
        self.backup("now", "full")
        self.server.destroy()
        filled(self.server)
        self.assertNotEqual(self.backup("now", "full", check=False).returncode, 0)
        # As upgrade.sh does.
        self.server.run("pgbackrest", "--stanza=dmrelay", "stanza-upgrade")
        # Backups of the former server do not count.
        self.assertNotEqual(self.backup("check", check=False).returncode, 0)
        self.backup("now", "full")
        self.backup("check")
        say(self.server, "second")
        self.archive()
        self.server.destroy()
        self.restore()
        self.assertEqual(said(self.server), ["first", "second"])

    def test_the_schedule_makes_what_is_due(self):
        self.assertNotEqual(self.backup("check", check=False).returncode, 0)
        # One round of the loop.
        self.server.put_program("sleep", "kill -TERM $PPID; exec /bin/sleep 5")
        self.backup(check=False)
        self.assertEqual(self.backups(), ["full"])
        self.backup("check")
        age = time.time() - self.metric()
        self.assertTrue(0 <= age < 60, age)
        # Nothing is due until the hour comes round again.
        self.backup(check=False)
        self.assertEqual(self.backups(), ["full"])
        # A day later, and a week later.
        for days, kinds in ((1, ["full", "incr"]), (8, ["full", "incr", "full"])):
            self.server.put_program("date", LATER.format(days=days))
            self.backup(check=False)
            self.assertEqual(self.backups(), kinds)

    def metric(self):
        """The time of the last backup, as the node exporter reads it."""
        text = (self.server.root / "backup.prom").read_text()
        return int(re.search(r"^dmrelay_backup_timestamp_seconds (\d+)$", text, re.MULTILINE)[1])

    def test_a_backup_that_fails_is_told(self):
        self.server.put_program("sleep", "kill -TERM $PPID; exec /bin/sleep 5")
        self.server.put_program("pgbackrest", 'case "$*" in *" backup") exit 1 ;; esac\nexec /usr/bin/pgbackrest "$@"')
        self.assertIn("backup failed; next attempt in 10 minutes", self.backup(check=False).stdout)
        self.assertEqual(self.metric(), 0)

    def backups(self):
        """The kinds of the backups, the oldest first."""
        printed = self.server.run("pgbackrest", "--stanza=dmrelay", "info").stdout
        lines = [line.split() for line in printed.splitlines() if " backup: " in line]
        return [kind for kind, _, _ in sorted(lines, key=lambda words: words[2].split("_")[-1])]

    def test_backups_are_encrypted(self):
        self.backup("now", "full")
        for path in self.repository.rglob("*"):
            if path.is_file():
                self.assertNotIn(b"dmrelay", path.read_bytes(), path)


# `docker compose` for one server without containers: its data is in the folder that is named like the volume. $INTERRUPTED is the
# command during which the caller gets SIGHUP. What the container of the backups is told stands in the file `backups`.
COMPOSE = """
set -eu
shift
echo "$*" >> told
[ "$*" != "${INTERRUPTED:-}" ] || kill -HUP $PPID
volume=${POSTGRES_VOLUME:-$(sed -n 's/^POSTGRES_VOLUME=//p' .env)}
export PGDATA=$PWD/${volume:-data}
start() { pg_ctl start --silent --wait --log="$PWD/log" --options="$OPTIONS"; }
case "$*" in
    'config --services') printf '%s\\n' postgres ${BACKUP:+backup} ;;
    'exec -T postgres '*) shift 3; exec "$@" ;;
    *stop*postgres*) pg_ctl stop --silent --mode=fast ;;
    'up -d --build --wait postgres')
        if [ "$PGDATA" = "$PWD/data" ]; then start; exit; fi
        [ -z "${FAILS:-}" ]
        initdb --username=postgres --no-sync > /dev/null
        start
        createdb dmrelay
        "$SCRIPTS/init.sh"
        ;;
    'up -d' | 'up -d api worker') pg_ctl status > /dev/null || start ;;
    'rm --stop --force api worker' | 'rm --stop --force api worker backup') ;;
    'run --rm --no-deps backup '*)
        shift 4
        echo "$*" >> backups
        [ "$*" != "${FAILING_BACKUP:-}" ]
        ;;
    *) echo "unexpected: $*" >&2; exit 1 ;;
esac
"""


class Dumped(unittest.TestCase):
    """The lines of docs/deployment.md, and upgrade.sh."""

    def setUp(self):
        self.server = filled(Postgres(self))
        self.rights = self.server.sql(RIGHTS)
        self.server.put_program("docker", COMPOSE)
        self.server.environment |= {"OPTIONS": " ".join(self.server.options), "SCRIPTS": str(self.server.scripts)}
        (self.server.root / ".env").write_text("WORKER_REPLICAS=2\n")
        self.server.own()

    def documented(self, program):
        """Runs the line with that program, which the page has once, in the folder of the server."""
        (line,) = re.findall(rf"`(docker compose exec -T postgres {program} [^`]+)`", (ROOT / "docs/deployment.md").read_text())
        return self.server.run("bash", "-eu", "-c", f"cd '{self.server.root}'; {line}")

    def test_a_dump_is_restored_with_owners_and_permissions(self):
        self.documented("pg_dump")
        say(self.server, "second")
        self.server.sql("REVOKE ALL ON messages FROM reader; ALTER TABLE messages ADD COLUMN later text", role="dmrelay")
        self.documented("pg_restore")
        self.assertEqual(said(self.server), ["first"])
        self.assertEqual(said(self.server, role="reader"), ["first"])
        self.assertEqual(self.server.sql(RIGHTS), self.rights)
        say(self.server, "second")

    def upgrade(self, **environment):
        """Runs upgrade.sh with a copy in the folder of the server, whose parents it works in. There is one version here."""
        script = self.server.root / "deploy/postgres/upgrade.sh"
        script.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.server.scripts / "upgrade.sh", script)
        self.server.own()
        return self.server.run(script, "postgres:18.6-bookworm", "postgres18", check=False, **{"UPGRADE_SAME_MAJOR": "1"} | environment)

    def without_reader(self):
        """Roles that nobody but the operator knows of are theirs to create."""
        self.server.sql("REVOKE ALL ON messages FROM reader", role="dmrelay")
        self.server.sql("DROP OWNED BY reader; DROP ROLE reader")

    def lines(self, name):
        """The lines of a file in the folder of the server."""
        path = self.server.root / name
        return path.read_text().splitlines() if path.exists() else []

    def assert_old(self, ran):
        """The upgrade failed, and everything is as before."""
        self.assertEqual(ran.returncode, 1, ran.stdout)
        self.assertEqual(self.server.sql("SHOW data_directory"), str(self.server.data))
        self.assertEqual(said(self.server), ["first"])
        self.assertEqual(self.lines(".env"), ["WORKER_REPLICAS=2"])
        self.assertEqual(self.lines("told")[-1], "up -d")

    def assert_new(self):
        """The server has the new volume, and so has .env."""
        self.server.environment["PGDATA"] = str(self.server.root / "postgres18")
        self.assertEqual(self.server.sql("SHOW data_directory"), self.server.environment["PGDATA"])
        self.assertEqual(said(self.server), ["first"])
        self.assertEqual(
            self.lines(".env"), ["WORKER_REPLICAS=2", "POSTGRES_IMAGE=postgres:18.6-bookworm", "POSTGRES_VOLUME=postgres18"]
        )
        self.assertIn("up -d", self.lines("told"))

    def test_an_upgrade_moves_everything_to_another_volume(self):
        self.without_reader()
        before = self.server.sql(OWNED)
        ran = self.upgrade()
        self.assertEqual(ran.returncode, 0, ran.stdout)
        self.assert_new()
        self.assertEqual(self.server.sql(OWNED), before)
        self.assertEqual(self.lines("backups"), [])
        say(self.server, "second")
        self.assertNotEqual(self.upgrade().returncode, 0)

    def test_an_upgrade_ends_with_a_backup(self):
        self.without_reader()
        ran = self.upgrade(BACKUP="yes")
        self.assertEqual(ran.returncode, 0, ran.stdout)
        self.assert_new()
        self.assertEqual(self.lines("backups"), ["pgbackrest --stanza=dmrelay stanza-upgrade", "backup.sh now full"])

    def test_an_upgrade_whose_backup_fails_stays_and_says_what_to_do(self):
        self.without_reader()
        ran = self.upgrade(BACKUP="yes", FAILING_BACKUP="backup.sh now full")
        self.assertEqual(ran.returncode, 1, ran.stdout)
        self.assertIn("docker compose exec backup backup.sh now full", ran.stdout)
        self.assert_new()

    def test_an_upgrade_that_fails_leaves_the_old_version_running(self):
        ran = self.upgrade(FAILS="yes")
        self.assert_old(ran)
        self.assertIn("remove the new volume postgres18", ran.stdout)
        # The new server has no role `reader`.
        ran = self.upgrade()
        self.assert_old(ran)
        self.assertIn('role "reader" does not exist', ran.stdout)

    def test_an_upgrade_to_the_same_major_version_is_refused(self):
        self.without_reader()
        ran = self.upgrade(UPGRADE_SAME_MAJOR="")
        self.assert_old(ran)
        self.assertRegex(ran.stdout, r"postgres:18\.6-bookworm is PostgreSQL \d+, as before")

    def test_an_upgrade_that_is_interrupted_leaves_one_version_running(self):
        self.without_reader()
        for command in ("stop postgres", "exec -T postgres vacuumdb -U postgres --analyze-only --quiet dmrelay"):
            with self.subTest(command=command):
                self.assert_old(self.upgrade(INTERRUPTED=command))
                shutil.rmtree(self.server.root / "postgres18", ignore_errors=True)
        # By then the new database is complete.
        self.assertEqual(self.upgrade(INTERRUPTED="up -d api worker").returncode, 1)
        self.assert_new()


if __name__ == "__main__":
    unittest.main()
