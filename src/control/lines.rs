//! Splits a stream into lines, however it arrives in pieces. Bounded: a line longer than the limit is an error.

/// A line is longer than the limit. The rest of the stream can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line is longer than {limit} bytes")]
pub struct LineTooLong {
    /// The limit, in bytes, without the line's end.
    pub limit: usize,
}

/// The part of a stream that was read but not yet taken as lines: at most one line and one more read.
#[derive(Debug)]
pub struct LineDecoder {
    bytes: Vec<u8>,
    /// Where the first line begins that was not taken.
    taken: usize,
    /// No line ends before this position, counted from `taken`.
    searched: usize,
    limit: usize,
}

impl LineDecoder {
    /// A decoder for lines of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), taken: 0, searched: 0, limit }
    }

    /// Appends bytes that were read.
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.taken == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(256 << 10);
        } else {
            self.bytes.drain(..self.taken);
        }
        self.searched -= self.taken;
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole line without its end, if there is one.
    ///
    /// # Errors
    /// [`LineTooLong`], on every call from then on.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, LineTooLong> {
        let unsearched = &self.bytes[self.searched..];
        let end = unsearched.iter().position(|byte| *byte == b'\n').map(|at| self.searched + at);
        if end.unwrap_or(self.bytes.len()) - self.taken > self.limit {
            return Err(LineTooLong { limit: self.limit });
        }
        let Some(end) = end else {
            self.searched = self.bytes.len();
            return Ok(None);
        };
        let line = &self.bytes[self.taken..end];
        self.taken = end + 1;
        self.searched = self.taken;
        Ok(Some(line.strip_suffix(b"\r").unwrap_or(line)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The lines of a stream that arrives in these pieces, and whether it could be read to its end.
    fn lines_of<'a>(pieces: impl Iterator<Item = &'a [u8]>, limit: usize) -> (Vec<Vec<u8>>, bool) {
        let mut decoder = LineDecoder::new(limit);
        let mut lines = Vec::new();
        for piece in pieces {
            decoder.extend(piece);
            loop {
                match decoder.next_line() {
                    Ok(Some(line)) => lines.push(line.to_vec()),
                    Ok(None) => break,
                    Err(_) => return (lines, false),
                }
            }
            assert!(decoder.bytes.len() <= limit + piece.len() + 1, "more is held than a line and a read");
        }
        (lines, true)
    }

    proptest! {
        #[test]
        fn any_stream_in_any_pieces_gives_its_lines(
            lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..20),
            cuts in proptest::collection::vec(1_usize..50, 1..200),
            limit in 0_usize..48,
        ) {
            let stream: Vec<u8> = lines.join(&b'\n').into_iter().chain([b'\n']).collect();
            let mut rest = stream.as_slice();
            let mut cuts = cuts.into_iter().cycle();
            let pieces = std::iter::from_fn(|| {
                let n = cuts.next()?.min(rest.len());
                let (piece, after) = rest.split_at(n);
                rest = after;
                (!piece.is_empty()).then_some(piece)
            });
            let (found, is_whole) = lines_of(pieces, limit);
            // The expected lines, taken from the stream in another way.
            let mut expected: Vec<&[u8]> = stream.split(|byte| *byte == b'\n').collect();
            expected.pop();
            let fits = |line: &&&[u8]| line.len() <= limit;
            let n_fit = expected.iter().take_while(fits).count();
            let expected: Vec<_> = expected[..n_fit].iter().map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
            prop_assert_eq!(&found, &expected);
            prop_assert_eq!(is_whole, n_fit == stream.iter().filter(|byte| **byte == b'\n').count());
        }
    }

    #[test]
    fn a_line_without_an_end_is_refused_when_it_is_too_long_and_not_later() {
        let mut decoder = LineDecoder::new(10);
        decoder.extend(b"0123456789");
        assert_eq!(decoder.next_line(), Ok(None));
        decoder.extend(b"0");
        assert_eq!(decoder.next_line(), Err(LineTooLong { limit: 10 }));
        assert_eq!(decoder.next_line(), Err(LineTooLong { limit: 10 }));
    }
}
