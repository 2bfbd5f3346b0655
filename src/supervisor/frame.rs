//! Frames on a stream: `u32 header length, u32 blob length, header, blob`, little-endian. The header is JSON; the blob
//! holds bytes that JSON can't hold exactly. This module does not know what they mean.

use std::ops::Range;

/// The longest header that either side accepts, in bytes: room for an inventory of some ten thousand ended steps.
pub(super) const MAX_HEADER: usize = 16 << 20;
/// The longest blob: well above the kernel's limit of arguments and environment.
pub(super) const MAX_BLOB: usize = 16 << 20;

const PREFIX: usize = 8;

/// Makes one frame.
pub(super) fn encode(header: &[u8], blob: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(PREFIX + header.len() + blob.len());
    for part in [header, blob] {
        frame.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
    }
    frame.extend_from_slice(header);
    frame.extend_from_slice(blob);
    frame
}

/// The bytes are not frames, or a frame is too long.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Garbage;

/// One whole frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) header: Vec<u8>,

    pub(super) blob: Vec<u8>,
}

/// Bytes that were read from a stream and not yet taken as frames: at most one frame and one more read.
#[derive(Debug, Default)]
pub(super) struct FrameBuffer {
    bytes: Vec<u8>,
    taken: usize,
}

impl FrameBuffer {
    /// Adds bytes that were read.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        if self.taken > 0 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame, if it is there.
    ///
    /// # Errors
    /// [`Garbage`] when a length is beyond the limits: the stream can't be followed any further.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, Garbage> {
        let rest = &self.bytes[self.taken..];
        let (Some(header_len), Some(blob_len)) = (length(rest, 0..4), length(rest, 4..PREFIX)) else {
            return Ok(None);
        };
        if header_len > MAX_HEADER || blob_len > MAX_BLOB {
            return Err(Garbage);
        }
        let blob_at = PREFIX + header_len;
        let end = blob_at + blob_len;
        if rest.len() < end {
            return Ok(None);
        }
        let frame = Frame { header: rest[PREFIX..blob_at].to_vec(), blob: rest[blob_at..end].to_vec() };
        self.taken += end;
        if self.taken == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(64 << 10);
            self.taken = 0;
        }
        Ok(Some(frame))
    }
}

fn length(bytes: &[u8], at: Range<usize>) -> Option<usize> {
    let four = bytes.get(at)?.first_chunk::<4>()?;
    usize::try_from(u32::from_le_bytes(*four)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_any_cut_of_the_stream() {
        let stream = [encode(b"{}", b""), encode(b"{\"a\":1}", b"x\0\xff"), encode(b"", b"blob")].concat();
        for step in 1..stream.len() {
            let mut buffer = FrameBuffer::default();
            let mut seen = Vec::new();
            for chunk in stream.chunks(step) {
                buffer.extend(chunk);
                while let Some(frame) = buffer.next().unwrap() {
                    seen.push((frame.header, frame.blob));
                }
            }
            assert_eq!(
                seen,
                [
                    (b"{}".to_vec(), b"".to_vec()),
                    (b"{\"a\":1}".to_vec(), b"x\0\xff".to_vec()),
                    (b"".to_vec(), b"blob".to_vec())
                ]
            );
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_garbage() {
        let mut buffer = FrameBuffer::default();
        buffer.extend(b"GET / HTTP/1.1\r\n");
        assert_eq!(buffer.next(), Err(Garbage));
    }
}
