//! What bytes are, by themselves: neither the webhook nor the server's `Content-Type` can be relied on.

/// A type of media that may be shown and downloaded. None of them is ever run by a browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentType {
    /// `image/jpeg`.
    Jpeg,
    /// `image/png`.
    Png,
    /// `image/gif`.
    Gif,
    /// `image/webp`.
    Webp,
    /// `image/heic`.
    Heic,
    /// `image/avif`.
    Avif,
    /// `video/mp4`.
    Mp4,
    /// `video/quicktime`.
    QuickTime,
    /// `video/webm`.
    WebM,
    /// `video/x-msvideo`.
    Avi,
    /// `audio/mp4`.
    M4a,
    /// `audio/aac`.
    Aac,
    /// `audio/mpeg`.
    Mp3,
    /// `audio/ogg`.
    Ogg,
    /// `audio/wav`.
    Wav,
    /// `application/pdf`.
    Pdf,
}

impl ContentType {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Jpeg,
        Self::Png,
        Self::Gif,
        Self::Webp,
        Self::Heic,
        Self::Avif,
        Self::Mp4,
        Self::QuickTime,
        Self::WebM,
        Self::Avi,
        Self::M4a,
        Self::Aac,
        Self::Mp3,
        Self::Ogg,
        Self::Wav,
        Self::Pdf,
    ];

    /// As in the header, and the usual extension.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Jpeg => ("image/jpeg", "jpg"),
            Self::Png => ("image/png", "png"),
            Self::Gif => ("image/gif", "gif"),
            Self::Webp => ("image/webp", "webp"),
            Self::Heic => ("image/heic", "heic"),
            Self::Avif => ("image/avif", "avif"),
            Self::Mp4 => ("video/mp4", "mp4"),
            Self::QuickTime => ("video/quicktime", "mov"),
            Self::WebM => ("video/webm", "webm"),
            Self::Avi => ("video/x-msvideo", "avi"),
            Self::M4a => ("audio/mp4", "m4a"),
            Self::Aac => ("audio/aac", "aac"),
            Self::Mp3 => ("audio/mpeg", "mp3"),
            Self::Ogg => ("audio/ogg", "ogg"),
            Self::Wav => ("audio/wav", "wav"),
            Self::Pdf => ("application/pdf", "pdf"),
        }
    }

    /// As the header `Content-Type` says it.
    pub fn as_str(self) -> &'static str {
        self.names().0
    }

    /// The usual extension of such files, without a dot.
    pub fn extension(self) -> &'static str {
        self.names().1
    }

    /// Parses what [`Self::as_str`] gives.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What these bytes are, by how they begin. `is_audio` tells what Meta says of it: the container of a voice message is that of a video.
/// `None` for anything that is not to be shown: a page, a program, an error in words.
pub fn kind_of(bytes: &[u8], is_audio: bool) -> Option<ContentType> {
    let brand = || bytes.get(8..12).unwrap_or_default();
    Some(match bytes {
        [0xff, 0xd8, 0xff, ..] => ContentType::Jpeg,
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => ContentType::Png,
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => ContentType::Gif,
        [b'R', b'I', b'F', b'F', ..] if brand() == b"WEBP" => ContentType::Webp,
        [b'R', b'I', b'F', b'F', ..] if brand() == b"WAVE" => ContentType::Wav,
        [b'R', b'I', b'F', b'F', ..] if brand() == b"AVI " => ContentType::Avi,
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => match brand() {
            b"M4A " | b"M4B " => ContentType::M4a,
            b"qt  " => ContentType::QuickTime,
            b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1" => {
                ContentType::Heic
            }
            b"avif" | b"avis" => ContentType::Avif,
            _ if is_audio => ContentType::M4a,
            _ => ContentType::Mp4,
        },
        [0x1a, 0x45, 0xdf, 0xa3, ..] => ContentType::WebM,
        [b'O', b'g', b'g', b'S', ..] => ContentType::Ogg,
        [b'I', b'D', b'3', ..] => ContentType::Mp3,
        // An AAC frame has layer 0, one of MP3 another (ISO/IEC 13818-7, 11172-3).
        [0xff, second, ..] if second & 0xf6 == 0xf0 => ContentType::Aac,
        [0xff, second, ..] if second & 0xe0 == 0xe0 && second & 0x06 != 0 => ContentType::Mp3,
        [b'%', b'P', b'D', b'F', b'-', ..] => ContentType::Pdf,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_are_known_by_how_they_begin() {
        for (bytes, is_audio, kind) in [
            (&b"\xff\xd8\xff\xe0\0\x10JFIF"[..], false, Some(ContentType::Jpeg)),
            (b"\x89PNG\r\n\x1a\n\0", false, Some(ContentType::Png)),
            (b"GIF89a", false, Some(ContentType::Gif)),
            (b"RIFF\0\0\0\0WEBPVP8 ", false, Some(ContentType::Webp)),
            (b"RIFF\0\0\0\0WAVEfmt ", true, Some(ContentType::Wav)),
            (b"RIFF\0\0\0\0AVI LIST", false, Some(ContentType::Avi)),
            (b"\0\0\0\x18ftypisom\0\0\0\0", false, Some(ContentType::Mp4)),
            (b"\0\0\0\x18ftypisom\0\0\0\0", true, Some(ContentType::M4a)),
            (b"\0\0\0\x18ftypM4A \0\0\0\0", true, Some(ContentType::M4a)),
            (b"\0\0\0\x18ftypqt  \0\0\0\0", false, Some(ContentType::QuickTime)),
            (b"\0\0\0\x18ftypheic\0\0\0\0", false, Some(ContentType::Heic)),
            (b"\0\0\0\x18ftypavif\0\0\0\0", false, Some(ContentType::Avif)),
            (b"\x1a\x45\xdf\xa3", false, Some(ContentType::WebM)),
            (b"OggS\0", true, Some(ContentType::Ogg)),
            (b"ID3\x04", true, Some(ContentType::Mp3)),
            (b"\xff\xfb\x90", true, Some(ContentType::Mp3)),
            (b"\xff\xf1\x50", true, Some(ContentType::Aac)),
            (b"%PDF-1.7", false, Some(ContentType::Pdf)),
            (b"<!doctype html>", false, None),
            (b"URL signature expired", false, None),
            (b"<svg xmlns=", false, None),
            (b"MZ\x90", false, None),
            (b"RIFF", false, None),
            (b"", false, None),
        ] {
            assert_eq!(kind_of(bytes, is_audio), kind, "{bytes:?}");
        }
        for kind in ContentType::ALL {
            assert_eq!(ContentType::parse(kind.as_str()), Some(kind));
        }
    }
}
