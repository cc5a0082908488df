//! The documents match the code: code blocks are files that compile, tables match the code, links resolve.

use anyhow::{Context, Result, ensure};
use dmrelay_domain::permission::{Permission, Role};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const GUIDE: &str = "docs/frontend-guide.md";
const EXAMPLES: [&str; 2] = ["docs/examples/frontend/src", "clients/typescript/src"];

/// A fenced block of a page.
#[derive(Debug)]
struct Block {
    /// What follows the fence: a language, then `name=value` pairs.
    info: String,
    text: String,
}

impl Block {
    fn named(&self, name: &str) -> Option<&str> {
        self.info.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }
}

#[test]
fn code_in_the_frontend_guide_matches_the_compiled_files() -> Result<()> {
    let mut shown = BTreeSet::new();
    for block in blocks(&read(GUIDE)?)? {
        let language = block.info.split_whitespace().next().unwrap_or_default();
        let Some(source) = block.named("src") else {
            ensure!(!["ts", "tsx"].contains(&language), "a block is of no file:\n{}", block.text);
            continue;
        };
        let file = format!("docs/{source}");
        let whole = read(&file)?;
        let wanted = match block.named("region") {
            Some(region) => section(&whole, region).with_context(|| format!("{file}: region {region}"))?,
            None => whole,
        };
        assert_eq!(block.text, wanted, "{GUIDE} shows another {file} than there is");
        shown.insert(file);
    }
    assert!(shown.len() > 5, "only {shown:?} were shown");
    Ok(())
}

#[test]
fn every_example_is_in_the_frontend_guide() -> Result<()> {
    let guide = read(GUIDE)?;
    let mut looked = 0;
    let guide = format!("{guide}{}", read("clients/typescript/README.md")?);
    let all = EXAMPLES.iter().map(|folder| files(&Path::new(ROOT).join(folder), &["ts", "tsx"]));
    for file in all.collect::<Result<Vec<_>>>()?.into_iter().flatten() {
        let name = file.file_name().and_then(|name| name.to_str()).context("name")?;
        // Generated, and what the package gives out.
        if ["api.ts", "index.ts", "react.ts"].contains(&name) {
            continue;
        }
        looked += 1;
        assert!(guide.contains(name), "{GUIDE} does not speak of {name}");
        // Customers' messages are never HTML, not even in an example.
        assert!(!fs::read_to_string(&file)?.contains("dangerouslySetInnerHTML="), "{name}");
    }
    assert!(looked > 10, "only {looked} examples were found");
    Ok(())
}

#[test]
fn the_permission_table_matches_the_code() -> Result<()> {
    let page = read("docs/api.md")?;
    let table = between(&page, "<!-- permissions -->\n", "<!-- /permissions -->").context("docs/api.md")?;
    assert_eq!(table.trim(), permissions().trim(), "docs/api.md has another table than the code");
    Ok(())
}

/// Each permission, and the roles that have it.
fn permissions() -> String {
    let row = |first: &str, cell: &dyn Fn(Role) -> String| {
        let cells: Vec<String> = Role::ALL.iter().map(|role| cell(*role)).collect();
        format!("|{first}|{}|", cells.join("|"))
    };
    let mut rows =
        vec![row(" permission ", &|role| format!(" `{role}` ")), row("---", &|_| "---".to_owned())];
    rows.extend(Permission::ALL.iter().map(|permission| {
        let may = |role: Role| if role.may(*permission) { " yes " } else { " " }.to_owned();
        row(&format!(" `{permission}` "), &may)
    }));
    rows.join("\n")
}

#[test]
fn links_between_documents_resolve() -> Result<()> {
    let mut pages = files(&Path::new(ROOT).join("docs"), &["md"])?;
    pages.push(Path::new(ROOT).join("README.md"));
    let mut followed = 0;
    for page in pages {
        let text = fs::read_to_string(&page)?;
        let folder = page.parent().context("folder")?;
        for target in links(&text)? {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            followed += 1;
            let (file, heading) = target.split_once('#').unwrap_or((&target, ""));
            let to = if file.is_empty() { page.clone() } else { folder.join(file) };
            assert!(to.exists(), "{}: {target} leads nowhere", page.display());
            if !heading.is_empty() && to.extension().is_some_and(|extension| extension == "md") {
                let headings = headings(&fs::read_to_string(&to)?)?;
                assert!(headings.contains(heading), "{}: {target} names no heading", page.display());
            }
        }
    }
    assert!(followed > 20, "only {followed} links were found");
    Ok(())
}

/// The targets of `[text](target)`, outside of code.
fn links(page: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for line in prose(page)? {
        let mut outside = String::new();
        // Every second part is inside backticks; a link's own text may be code.
        for (index, part) in line.split('`').enumerate() {
            outside.push_str(if index % 2 == 0 { part } else { "code" });
        }
        let mut rest = outside.as_str();
        while let Some((_, after)) = rest.split_once("](") {
            let (target, more) = after.split_once(')').context("an open link")?;
            found.push(target.to_owned());
            rest = more;
        }
    }
    Ok(found)
}

/// The headings of a page as anchors, as GitHub generates them.
fn headings(page: &str) -> Result<BTreeSet<String>> {
    let anchor = |title: &str| -> String {
        let kept = title.trim().to_lowercase();
        kept.chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect()
    };
    let lines = prose(page)?;
    let titles = lines.iter().filter_map(|line| {
        let title = line.trim_start_matches('#');
        (title.len() < line.len()).then(|| title.strip_prefix(' ')).flatten()
    });
    Ok(titles.map(anchor).collect())
}

/// The lines outside of fenced blocks.
fn prose(page: &str) -> Result<Vec<&str>> {
    let mut lines = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        if line.starts_with("```") {
            inside = !inside;
        } else if !inside {
            lines.push(line);
        }
    }
    ensure!(!inside, "a block is not closed");
    Ok(lines)
}

fn blocks(page: &str) -> Result<Vec<Block>> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(info), None) => open = Some(Block { info: info.to_owned(), text: String::new() }),
            (Some(_), Some(_)) => found.extend(open.take()),
            (None, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    ensure!(open.is_none(), "a block is not closed");
    Ok(found)
}

/// The lines between `// region: name` and the next `// endregion`, without their common indentation.
fn section(file: &str, name: &str) -> Option<String> {
    let marked = between(file, &format!("// region: {name}\n"), "// endregion")?;
    let lines: Vec<&str> = marked.trim_end().lines().collect();
    let filled = lines.iter().filter(|line| !line.is_empty());
    let indent = filled.map(|line| line.len() - line.trim_start().len()).min()?;
    let kept: Vec<&str> = lines.iter().map(|line| line.get(indent..).unwrap_or_default()).collect();
    Some(kept.join("\n") + "\n")
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, after) = text.split_once(start)?;
    after.split_once(end).map(|(inside, _)| inside)
}

fn read(file: &str) -> Result<String> {
    fs::read_to_string(Path::new(ROOT).join(file)).with_context(|| file.to_owned())
}

/// The files of a folder with one of these extensions, except installed or built ones.
fn files(folder: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !["node_modules", "build"].contains(&name) {
            found.extend(files(&path, extensions)?);
        } else if path
            .extension()
            .is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted))
        {
            found.push(path);
        }
    }
    Ok(found)
}
