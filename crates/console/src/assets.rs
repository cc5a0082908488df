//! The style sheet and the scripts, compiled in. Their addresses contain a digest of all of them, so that
//! browsers may keep them for ever, and scripts find one another.

use dmrelay_domain::signature;
use std::sync::LazyLock;

/// A file.
#[derive(Debug)]
pub struct Asset {
    /// Its name.
    pub name: &'static str,
    /// Its content type.
    pub kind: &'static str,
    /// Its content.
    pub text: &'static str,
}

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

static ALL: [Asset; 7] = [
    Asset { name: "console.css", kind: CSS, text: include_str!("../assets/console.css") },
    Asset { name: "fragments.js", kind: JS, text: include_str!("../assets/fragments.js") },
    Asset { name: "composer.js", kind: JS, text: include_str!("../assets/composer.js") },
    Asset { name: "keys.js", kind: JS, text: include_str!("../assets/keys.js") },
    Asset { name: "notices.js", kind: JS, text: include_str!("../assets/notices.js") },
    Asset { name: "words.js", kind: JS, text: include_str!("../assets/words.js") },
    Asset { name: "icon.svg", kind: "image/svg+xml", text: include_str!("../assets/icon.svg") },
];

static DIGEST: LazyLock<String> = LazyLock::new(|| {
    let all: String = ALL.iter().map(|asset| asset.text).collect();
    hex::encode(&signature::sha256(all.as_bytes())[..8])
});

/// The address of a file.
pub fn address(name: &str) -> String {
    format!("{}/assets/{}/{name}", crate::BASE, *DIGEST)
}

/// The file with this name, if it is of this version.
pub fn find(digest: &str, name: &str) -> Option<&'static Asset> {
    ALL.iter().find(|asset| asset.name == name && digest == *DIGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_and_styles_stay_small() {
        let size = |end: &str| -> usize {
            ALL.iter().filter(|one| one.name.ends_with(end)).map(|one| one.text.len()).sum()
        };
        assert!((1_000..40_000).contains(&size(".js")), "{}", size(".js"));
        assert!((1_000..40_000).contains(&size(".css")), "{}", size(".css"));
    }

    #[test]
    fn files_are_found_by_their_address() {
        let address = address("console.css");
        let mut parts = address.rsplit('/');
        let (name, digest) = (parts.next().unwrap(), parts.next().unwrap());
        assert_eq!(find(digest, name).map(|asset| asset.kind), Some(CSS));
        assert!(find("0000000000000000", name).is_none() && find(digest, "other.js").is_none());
    }
}
