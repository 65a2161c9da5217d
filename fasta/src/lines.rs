//! Lines that end with LF, CRLF or CR, each line of a file as it likes.

use std::io::{self, BufRead};

use memchr::memchr2;

/// Reads line by line.
pub(crate) struct Lines<R> {
    input: R,
    /// Lines so far.
    number: u64,
    /// The last line ended with CR: an LF right behind it belongs to it.
    after_cr: bool,
    /// Some line ended with LF or CRLF.
    saw_lf: bool,
    /// Some line ended with CR alone.
    saw_cr: bool,
}

impl<R: BufRead> Lines<R> {
    pub fn new(input: R) -> Self {
        Self { input, number: 0, after_cr: false, saw_lf: false, saw_cr: false }
    }

    /// Reads the next line into `line`, without its end, and returns its number, from 1; `None` at the end of
    /// the input.
    pub fn next(&mut self, line: &mut Vec<u8>) -> io::Result<Option<u64>> {
        line.clear();
        let mut begun = false;
        loop {
            let bytes = match self.input.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if self.after_cr && !bytes.is_empty() {
                self.after_cr = false;
                if bytes[0] == b'\n' {
                    self.saw_lf = true;
                    self.input.consume(1);
                    continue;
                }
                self.saw_cr = true;
            }
            if bytes.is_empty() {
                self.saw_cr |= std::mem::take(&mut self.after_cr);
                self.number += u64::from(begun);
                return Ok(begun.then_some(self.number));
            }
            begun = true;
            let Some(end) = memchr2(b'\n', b'\r', bytes) else {
                line.extend_from_slice(bytes);
                let length = bytes.len();
                self.input.consume(length);
                continue;
            };
            line.extend_from_slice(&bytes[..end]);
            if bytes[end] == b'\r' {
                self.after_cr = true
            } else {
                self.saw_lf = true
            }
            self.input.consume(end + 1);
            self.number += 1;
            return Ok(Some(self.number));
        }
    }

    /// Whether some lines ended with CR alone and others did not.
    pub fn mixed(&self) -> bool {
        self.saw_cr && self.saw_lf
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::BufReader;

    fn lines(text: &[u8], buffer: usize) -> (Vec<Vec<u8>>, bool) {
        let mut lines = Lines::new(BufReader::with_capacity(buffer, text));
        let (mut found, mut line) = (Vec::new(), Vec::new());
        while let Some(number) = lines.next(&mut line).expect("in memory") {
            found.push(line.clone());
            assert_eq!(number, found.len() as u64);
        }
        (found, lines.mixed())
    }

    #[test]
    fn every_end_of_a_line() {
        for buffer in 1..8 {
            let expected = [&b"a"[..], b"b", b"", b"c", b"", b"d"].map(<[u8]>::to_vec).to_vec();
            assert_eq!(lines(b"a\nb\r\n\rc\n\nd", buffer), (expected, true));
            assert_eq!(lines(b"a\r\r", buffer), (vec![b"a".to_vec(), vec![]], false));
            assert_eq!(lines(b"a\r\n", buffer), (vec![b"a".to_vec()], false));
            assert_eq!(lines(b"", buffer), (vec![], false));
        }
    }

    proptest! {
        #[test]
        fn lines_come_back(parts in proptest::collection::vec(("[a-z]{0,5}", 0usize..3), 0..20), buffer in 1usize..9) {
            let ends = ["\n", "\r\n", "\r"];
            // CR before an empty line that LF ends would be CRLF.
            let ambiguous = parts.windows(2).any(|w| w[0].1 == 2 && w[1].0.is_empty() && w[1].1 == 0);
            prop_assume!(!ambiguous);
            let text: String = parts.iter().flat_map(|(line, end)| [line.as_str(), ends[*end]]).collect();
            let expected: Vec<Vec<u8>> = parts.iter().map(|(line, _)| line.clone().into_bytes()).collect();
            prop_assert_eq!(lines(text.as_bytes(), buffer).0, expected);
        }
    }
}
