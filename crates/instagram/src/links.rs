//! Links that lead a customer to an account, and their QR codes (Meta, "ig.me links").

use qrcode::render::{svg, unicode};
use qrcode::{Color, QrCode};
use url::Url;

/// The side of a module of a QR code as a PNG image, in pixels.
const MODULE_PIXELS: usize = 8;

/// The width of the light border around a QR code, in modules.
const QUIET_ZONE: usize = 4;

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

/// The QR code of a link as an SVG document.
///
/// # Errors
/// [`InvalidLink::TooLong`].
pub fn qr_svg(link: &str) -> Result<String, InvalidLink> {
    let code = QrCode::new(link).map_err(|_| InvalidLink::TooLong)?;
    Ok(code.render::<svg::Color>().min_dimensions(256, 256).build())
}

/// The QR code of a link as a PNG image, in black and white, with the quiet zone of ISO/IEC 18004 around it.
///
/// # Errors
/// [`InvalidLink::TooLong`].
pub fn qr_png(link: &str) -> Result<Vec<u8>, InvalidLink> {
    let code = QrCode::new(link).map_err(|_| InvalidLink::TooLong)?;
    let across = code.width() + 2 * QUIET_ZONE;
    let size = across * MODULE_PIXELS;
    let modules = code.to_colors();
    let is_dark = |x: usize, y: usize| {
        let place =
            |pixel: usize| (pixel / MODULE_PIXELS).checked_sub(QUIET_ZONE).filter(|at| *at < code.width());
        place(x).zip(place(y)).is_some_and(|(x, y)| modules[y * code.width() + x] == Color::Dark)
    };
    // One bit a pixel, eight pixels a byte: a line is `across` bytes long.
    let mut pixels = Vec::with_capacity(size * across);
    for y in 0..size {
        let bytes = (0..across)
            .map(|byte| (0..8).fold(0_u8, |bits, bit| bits << 1 | u8::from(!is_dark(byte * 8 + bit, y))));
        pixels.extend(bytes);
    }
    let mut file = Vec::new();
    let side = u32::try_from(size).map_err(|_| InvalidLink::TooLong)?;
    let mut encoder = png::Encoder::new(&mut file, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&pixels));
    // It is written to memory.
    written.map_err(|_| InvalidLink::TooLong)?;
    Ok(file)
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
        let link = "https://ig.me/m/my_shop";
        assert!(qr_svg(link).unwrap().contains("<svg"));
        let file = qr_png(link).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(&file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.bit_depth), (info.height, png::BitDepth::One));
        assert!(info.width >= 256);
        // The code that the picture shows is that of the link.
        let across = usize::try_from(info.width).unwrap() / MODULE_PIXELS;
        let line = |y: usize| &pixels[(y * MODULE_PIXELS + 4) * info.line_size..][..info.line_size];
        let shown: Vec<bool> =
            (0..across).flat_map(|y| line(y)[..across].iter().map(|byte| *byte == 0)).collect();
        let code = QrCode::new(link).unwrap();
        let inner =
            |index: usize| (index / code.width() + QUIET_ZONE) * across + index % code.width() + QUIET_ZONE;
        let modules = code.to_colors();
        assert!(
            modules.iter().enumerate().all(|(index, color)| shown[inner(index)] == (*color == Color::Dark))
        );
        assert_eq!(
            shown.iter().filter(|dark| **dark).count(),
            modules.iter().filter(|one| **one == Color::Dark).count()
        );
        assert!(qr_for_terminal(link).unwrap().lines().count() > 10);
    }
}
