//! Small pictures for lists.

use bytes::Bytes;
use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageReader, Limits, Rgb, RgbImage, Rgba};
use std::io::Cursor;
use tokio::sync::Semaphore;

/// The longer side of a thumbnail, in pixels.
const SIDE: u32 = 480;

/// The largest picture that is decoded, in pixels, and the memory that decoding may take: a few bytes can claim to be a picture of any
/// size. What people send through Instagram is smaller.
const PIXELS_MAX: u64 = 16_000_000;
const DECODED_BYTES_MAX: u64 = 96 * 1024 * 1024;

/// JPEG's quality, of 100.
const QUALITY: u8 = 78;

/// A small JPEG of a picture; `None` if it cannot be decoded, or is too large to. It takes processor time: not for a thread that
/// others wait for.
fn thumbnail(picture: &[u8]) -> Option<Bytes> {
    let mut reader = ImageReader::new(Cursor::new(picture)).with_guessed_format().ok()?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(DECODED_BYTES_MAX);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().ok()?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > PIXELS_MAX {
        return None;
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let decoded = DynamicImage::from_decoder(decoder).ok()?;
    let mut small = if width.max(height) > SIDE { decoded.thumbnail(SIDE, SIDE) } else { decoded };
    small.apply_orientation(orientation);
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, QUALITY);
    on_white(&small).write_with_encoder(encoder).ok()?;
    Some(bytes.into())
}

/// What can be seen through shows white: JPEG has no transparency.
fn on_white(picture: &DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.to_rgb8();
    }
    let seen = picture.to_rgba8();
    RgbImage::from_fn(seen.width(), seen.height(), |x, y| {
        let Rgba([red, green, blue, alpha]) = *seen.get_pixel(x, y);
        let mixed = |color: u8| {
            let (color, alpha) = (u16::from(color), u16::from(alpha));
            u8::try_from((color * alpha + 255 * (255 - alpha)) / 255).unwrap_or(u8::MAX)
        };
        Rgb([mixed(red), mixed(green), mixed(blue)])
    })
}

/// Pictures are decoded one at a time: each may take much memory.
static DECODING: Semaphore = Semaphore::const_new(1);

/// The same on a thread for it, in turn with others of the process.
pub async fn thumbnail_in_turn(picture: Bytes) -> Option<Bytes> {
    let _turn = DECODING.acquire().await.ok()?;
    tokio::task::spawn_blocking(move || thumbnail(&picture)).await.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageFormat, RgbaImage};

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
    fn what_is_transparent_is_white() {
        let mut bytes = Vec::new();
        RgbaImage::new(10, 10).write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
        let read = image::load_from_memory(&thumbnail(&bytes).unwrap()).unwrap().to_rgb8();
        assert!(read.get_pixel(5, 5).0.iter().all(|color| *color > 250));
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
