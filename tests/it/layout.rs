//! The allowed dependencies between crates. A new one must be deliberate: add it here and to the architecture
//! document.

use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;

const ARROWS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("entity", &["domain"]),
    ("migration", &[]),
    ("simulator", &[]),
    ("queue", &[]),
    ("runtime", &["domain"]),
    ("vault", &["domain"]),
    ("store", &["domain", "entity"]),
    ("instagram", &["domain", "runtime"]),
    ("agent", &["domain", "runtime"]),
    ("notify", &["domain", "runtime"]),
    ("media", &["domain", "runtime"]),
    (
        "app",
        &[
            "domain",
            "runtime",
            "vault",
            "store",
            "queue",
            "instagram",
            "agent",
            "notify",
            "media",
            "migration",
        ],
    ),
    ("views", &["domain", "store", "instagram"]),
    ("console", &["domain", "views"]),
    (
        "admin",
        &[
            "domain",
            "runtime",
            "vault",
            "store",
            "queue",
            "instagram",
            "agent",
            "notify",
            "migration",
            "app",
            "views",
        ],
    ),
    (
        "api",
        &[
            "domain",
            "runtime",
            "vault",
            "store",
            "queue",
            "instagram",
            "agent",
            "notify",
            "media",
            "app",
            "views",
            "console",
            "admin",
        ],
    ),
    (
        "worker",
        &["domain", "runtime", "vault", "store", "queue", "instagram", "agent", "notify", "media", "app"],
    ),
];

/// Crates that may depend on everything.
const FREE: [&str; 3] = ["dmrelay", "dmrelay-tests", "dmrelay-bench"];

#[test]
fn crates_depend_only_in_the_direction_of_the_architecture() -> Result<()> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let packages = metadata["packages"].as_array().context("packages")?;
    let mut seen = BTreeSet::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        if FREE.contains(&name) {
            continue;
        }
        let short = name.strip_prefix("dmrelay-").with_context(|| format!("{name} is not ours"))?;
        let (_, allowed) = ARROWS
            .iter()
            .find(|(krate, _)| *krate == short)
            .with_context(|| format!("{name} has no place"))?;
        seen.insert(short.to_owned());
        let dependencies = package["dependencies"].as_array().context("dependencies")?;
        for dependency in dependencies.iter().filter(|dependency| dependency["kind"].is_null()) {
            let on = dependency["name"].as_str().unwrap_or_default();
            let Some(on) = on.strip_prefix("dmrelay-") else { continue };
            assert!(allowed.contains(&on), "{name} must not depend on dmrelay-{on}");
        }
    }
    assert_eq!(seen.len(), ARROWS.len());
    Ok(())
}

#[test]
fn apalis_the_environment_and_the_clock_are_used_only_where_allowed() -> Result<()> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let homes = [
        ("apalis", "crates/queue/"),
        ("backoff::", "crates/domain/src/retry.rs"),
        ("SystemTime::now(", "crates/domain/src/clock.rs"),
    ];
    let mut looked = 0;
    for folder in ["api/src", "worker/src", "entity/src", "migration/src", "crates"] {
        for file in rust_files(&format!("{root}/{folder}").into())? {
            let path = file.strip_prefix(root)?.to_string_lossy().into_owned();
            if path.contains("crates/simulator/") {
                continue;
            }
            let text = std::fs::read_to_string(&file)?;
            looked += 1;
            for (word, home) in homes {
                assert!(!text.contains(word) || path.starts_with(home), "{path} uses {word}");
            }
        }
    }
    assert!(looked > 50, "only {looked} files were found");
    Ok(())
}

/// A prepared statement that reads `*` fails once a later version adds a column.
#[test]
fn no_statement_selects_all_columns() -> Result<()> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/store/src");
    let mut looked = 0;
    for file in rust_files(&root.into())? {
        let text = std::fs::read_to_string(&file)?;
        looked += 1;
        // The columns of a subquery or an array are named there.
        let text = text.replace("SELECT * FROM (", "").replace("SELECT * FROM UNNEST(", "");
        for word in ["SELECT *", "RETURNING *"] {
            assert!(!text.contains(word), "{} has {word}", file.display());
        }
    }
    assert!(looked > 10, "only {looked} files were found");
    Ok(())
}

fn rust_files(folder: &std::path::PathBuf) -> Result<Vec<std::path::PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}
