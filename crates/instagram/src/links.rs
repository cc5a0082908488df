//! Links that lead a customer to an account, and their QR codes (Meta, "ig.me links").

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use qrcode::QrCode;
use qrcode::render::{svg, unicode};
use std::io::Cursor;
use url::Url;

/// Maximum length of the `ref` of an ig.me link.
const REF_CHARS_MAX: usize = 2_083;

/// A link that cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLink {
    /// The username is not a valid Instagram username.
    #[error("the username must be 1 to 30 letters, digits, '.' or '_'")]
    Username,
    /// The ref contains characters ig.me does not accept, or is too long.
    #[error("ref must be at most 2083 letters, digits, '_', '=' or '-'")]
    Reference,
    /// The link is too long for a QR code.
    #[error("the link is too long for a QR code")]
    TooLong,
}

/// A link with its QR codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QrLink {
    /// The link.
    pub link: String,
    /// The QR code as SVG.
    pub svg: String,
    /// The QR code as a PNG data URL.
    pub png_data_url: String,
}

/// The link that opens a direct message to the account: `https://ig.me/m/<username>?ref=<ref>`.
///
/// # Errors
/// [`InvalidLink`].
pub fn direct_message(username: &str, reference: Option<&str>) -> Result<String, InvalidLink> {
    let mut link = address("https://ig.me/m/", username)?;
    if let Some(reference) = reference {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '=' | '-');
        if reference.is_empty() || reference.len() > REF_CHARS_MAX || !reference.chars().all(allowed) {
            return Err(InvalidLink::Reference);
        }
        link.query_pairs_mut().append_pair("ref", reference);
    }
    Ok(link.into())
}

/// The link to the account's profile: `https://www.instagram.com/<username>/`.
///
/// # Errors
/// [`InvalidLink`].
pub fn profile(username: &str) -> Result<String, InvalidLink> {
    Ok(format!("{}/", address("https://www.instagram.com/", username)?))
}

fn address(base: &str, username: &str) -> Result<Url, InvalidLink> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
    if username.is_empty() || username.len() > 30 || !username.chars().all(allowed) {
        return Err(InvalidLink::Username);
    }
    Url::parse(&format!("{base}{username}")).map_err(|_| InvalidLink::Username)
}

/// The QR codes of a link.
///
/// # Errors
/// [`InvalidLink::TooLong`].
pub fn qr(link: &str) -> Result<QrLink, InvalidLink> {
    let code = QrCode::new(link).map_err(|_| InvalidLink::TooLong)?;
    let svg = code.render::<svg::Color>().min_dimensions(256, 256).build();
    let image = code.render::<image::Luma<u8>>().min_dimensions(256, 256).build();
    let mut png = Cursor::new(Vec::new());
    image.write_to(&mut png, image::ImageFormat::Png).map_err(|_| InvalidLink::TooLong)?;
    let png_data_url = format!("data:image/png;base64,{}", STANDARD.encode(png.into_inner()));
    Ok(QrLink { link: link.to_owned(), svg, png_data_url })
}

/// The QR code of a link, drawn for a terminal with a dark background.
///
/// # Errors
/// [`InvalidLink::TooLong`].
pub fn qr_for_terminal(link: &str) -> Result<String, InvalidLink> {
    let code = QrCode::new(link).map_err(|_| InvalidLink::TooLong)?;
    let dark = unicode::Dense1x2::Light;
    let light = unicode::Dense1x2::Dark;
    Ok(code.render::<unicode::Dense1x2>().dark_color(dark).light_color(light).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_as_meta_documents_them() {
        assert_eq!(direct_message("my_shop.1", None).unwrap(), "https://ig.me/m/my_shop.1");
        assert_eq!(
            direct_message("my_shop", Some("summer=1")).unwrap(),
            "https://ig.me/m/my_shop?ref=summer%3D1"
        );
        assert_eq!(profile("my_shop").unwrap(), "https://www.instagram.com/my_shop/");
        assert_eq!(direct_message("a/../b", None), Err(InvalidLink::Username));
        assert_eq!(direct_message("my_shop", Some("a b")), Err(InvalidLink::Reference));
    }

    #[test]
    fn a_qr_code_is_svg_and_png() {
        let qr = qr("https://ig.me/m/my_shop").unwrap();
        assert!(qr.svg.contains("<svg"));
        let png = STANDARD.decode(qr.png_data_url.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        let image = image::load_from_memory(&png).unwrap();
        assert!(image.width() >= 256);
        assert!(qr_for_terminal("https://ig.me/m/my_shop").unwrap().lines().count() > 10);
    }
}
