// Starts Debian's Chromium, without its own networking.

import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const PROGRAMS = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

export async function launch() {
  const folders = (process.env.PATH ?? "").split(":");
  const program = PROGRAMS.flatMap((name) => folders.map((folder) => `${folder}/${name}`)).find(existsSync);
  if (!program) throw new Error("chromium was not found: `make test` installs it, or `apt-get install chromium` does");
  return chromium.launch({
    executablePath: program,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-domain-reliability",
      "--no-first-run",
      "--no-pings",
    ],
  });
}
