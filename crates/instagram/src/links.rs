//! Links that lead a customer to an account, and their QR codes (Meta, "ig.me links").

use qrcode::render::{svg, unicode};
use qrcode::{Color, QrCode};
use url::Url;

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
    #[error("must be at most 2083 letters, digits, '_', '=' or '-'")]
    Reference,
}

/// A QR code that cannot be drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCode {
    /// The link is too long for a QR code.
    #[error("the link is too long for a QR code")]
    TooLong,
    /// The picture is too small for it.
    #[error("must be at least {0} for this code")]
    TooSmall(usize),
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

/// The QR code of a link as an SVG document, which is shown with a side of `size` pixels.
///
/// # Errors
/// [`InvalidCode`].
pub fn qr_svg(link: &str, size: u32) -> Result<String, InvalidCode> {
    let code = QrCode::new(link).map_err(|_| InvalidCode::TooLong)?;
    let drawn = code.render::<svg::Color>().quiet_zone(true).module_dimensions(1, 1).build();
    // The view box is in modules; `width` and `height` scale it.
    let across = code.width() + 2 * QUIET_ZONE;
    let sides = format!("width=\"{across}\" height=\"{across}\"");
    Ok(drawn.replacen(&sides, &format!("width=\"{size}\" height=\"{size}\""), 1))
}

/// The QR code of a link as a PNG image of `size` pixels across, in black and white, with at least the quiet zone of ISO/IEC 18004 around
/// it.
///
/// # Errors
/// [`InvalidCode`].
pub fn qr_png(link: &str, size: u32) -> Result<Vec<u8>, InvalidCode> {
    let code = QrCode::new(link).map_err(|_| InvalidCode::TooLong)?;
    let (side, width) = (usize::try_from(size).unwrap_or(usize::MAX), code.width());
    // Modules are whole pixels, so that every scanner reads them: what is left goes to the border.
    let module = side / (width + 2 * QUIET_ZONE);
    if module == 0 {
        return Err(InvalidCode::TooSmall(width + 2 * QUIET_ZONE));
    }
    let border = (side - module * width) / 2;
    let modules = code.to_colors();
    // One bit a pixel, lines filled up to whole bytes (W3C, "Portable Network Graphics", 7.2). Light is 1.
    let light = vec![u8::MAX; side.div_ceil(8)];
    let mut pixels = light.repeat(border);
    for row in modules.chunks(width) {
        let mut line = light.clone();
        let dark = row.iter().enumerate().filter(|(_, color)| **color == Color::Dark);
        for pixel in dark.flat_map(|(x, _)| border + x * module..border + (x + 1) * module) {
            line[pixel / 8] &= !(0x80 >> (pixel % 8));
        }
        pixels.extend(line.repeat(module));
    }
    pixels.extend(light.repeat(side - border - width * module));
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, size, size);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&pixels));
    // It is written to memory.
    written.map_err(|_| InvalidCode::TooLong)?;
    Ok(file)
}

/// The QR code of a link, drawn for a terminal with a dark background.
///
/// # Errors
/// [`InvalidCode::TooLong`].
pub fn qr_for_terminal(link: &str) -> Result<String, InvalidCode> {
    let code = QrCode::new(link).map_err(|_| InvalidCode::TooLong)?;
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
        let drawing = qr_svg(link, 300).unwrap();
        assert!(drawing.contains("<svg") && drawing.contains("width=\"300\" height=\"300\""), "{drawing}");
        assert!(drawing.contains("viewBox=\"0 0 "), "{drawing}");
        let code = QrCode::new(link).unwrap();
        for size in [64, 250, 256, 1_001] {
            let file = qr_png(link, size).unwrap();
            let mut reader = png::Decoder::new(std::io::Cursor::new(&file)).read_info().unwrap();
            let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
            let info = reader.next_frame(&mut pixels).unwrap();
            assert_eq!((info.width, info.height, info.bit_depth), (size, size, png::BitDepth::One));
            // The code that the picture shows is that of the link, in the middle.
            let is_dark = |x: usize, y: usize| pixels[y * info.line_size + x / 8] >> (7 - x % 8) & 1 == 0;
            let side = usize::try_from(size).unwrap();
            let module = side / (code.width() + 2 * QUIET_ZONE);
            let border = (side - module * code.width()) / 2;
            assert!(border >= QUIET_ZONE * module);
            let modules = code.to_colors();
            for (index, color) in modules.iter().enumerate() {
                let place = |at: usize| border + at * module + module / 2;
                let shown = is_dark(place(index % code.width()), place(index / code.width()));
                assert_eq!(shown, *color == Color::Dark, "{size}: {index}");
            }
            let dark = (0..side * side).filter(|at| is_dark(at % side, at / side)).count();
            let wanted = modules.iter().filter(|one| **one == Color::Dark).count() * module * module;
            assert_eq!(dark, wanted, "{size}");
        }
        let long = direct_message("my_shop", Some(&"a".repeat(900))).unwrap();
        assert!(matches!(qr_png(&long, 64), Err(InvalidCode::TooSmall(least)) if least > 64));
        let longest = direct_message("my_shop", Some(&"=".repeat(2_083))).unwrap();
        assert_eq!(qr_svg(&longest, 256), Err(InvalidCode::TooLong));
        assert!(qr_for_terminal(link).unwrap().lines().count() > 10);
    }
}
