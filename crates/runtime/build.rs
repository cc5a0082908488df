//! Tells the program which commit it is built from: `DMRELAY_COMMIT` where it is set (in a container there is no git), or
//! what git says, for release builds. Other builds do not ask, so that a commit rebuilds nothing.

#![expect(clippy::disallowed_methods, reason = "a build script has no settings but those of Cargo")]

use std::env;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=DMRELAY_COMMIT");
    let told = env::var("DMRELAY_COMMIT").ok().filter(|commit| !commit.is_empty());
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = told.or_else(|| if is_release { git_commit() } else { None });
    println!("cargo:rustc-env=DMRELAY_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
}

/// The commit that is checked out; marked where files have changed since.
fn git_commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    // The log of HEAD changes with every commit and checkout.
    println!("cargo:rerun-if-changed={}", git(&["rev-parse", "--git-path", "logs/HEAD"])?);
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let is_clean = git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Some(if is_clean { commit } else { format!("{commit}-changed") })
}
