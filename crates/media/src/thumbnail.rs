//! Small pictures for lists.

use bytes::Bytes;
use image::codecs::jpeg::JpegEncoder;
use image::{ImageReader, Limits};
use std::io::Cursor;

/// The longer side of a thumbnail, in pixels.
const SIDE: u32 = 480;

/// The largest picture that is decoded, in pixels of a side, and the memory that decoding may take: a few bytes can claim to be a
/// picture of any size.
const SIDE_MAX: u32 = 12_000;
const DECODED_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// JPEG's quality, of 100.
const QUALITY: u8 = 78;

/// A small JPEG of a picture; `None` if it cannot be decoded, or is too large to. It takes processor time: not for a thread that
/// others wait for.
pub fn thumbnail(picture: &[u8]) -> Option<Bytes> {
    let mut reader = ImageReader::new(Cursor::new(picture)).with_guessed_format().ok()?;
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(SIDE_MAX), Some(SIDE_MAX));
    limits.max_alloc = Some(DECODED_BYTES_MAX);
    reader.limits(limits);
    let decoded = reader.decode().ok()?;
    let small =
        if decoded.width().max(decoded.height()) > SIDE { decoded.thumbnail(SIDE, SIDE) } else { decoded };
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, QUALITY);
    small.to_rgb8().write_with_encoder(encoder).ok()?;
    Some(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageFormat, RgbImage};

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        RgbImage::new(width, height).write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
        bytes
    }

    #[test]
    fn a_thumbnail_is_small_and_keeps_its_proportions() {
        let small = thumbnail(&png(1_000, 500)).unwrap();
        let read = image::load_from_memory(&small).unwrap();
        assert_eq!((read.width(), read.height()), (480, 240));
        let read = image::load_from_memory(&thumbnail(&png(20, 10)).unwrap()).unwrap();
        assert_eq!((read.width(), read.height()), (20, 10));
    }

    #[test]
    fn what_is_no_picture_or_a_bomb_has_none() {
        assert_eq!(thumbnail(b"no picture"), None);
        // A header that claims 60,000 by 60,000 pixels.
        let mut bomb = png(1, 1);
        bomb[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
        assert_eq!(thumbnail(&bomb), None);
    }
}
