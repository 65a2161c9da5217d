//! A buffered reader that can look ahead.

use std::io::{self, BufRead, Read};

/// Bytes of the buffer, and most that can be looked ahead.
const CAPACITY: usize = 1 << 16;

/// Reads ahead without consuming. An error comes after all bytes that were read before it.
pub(crate) struct Lookahead<R> {
    input: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    error: Option<io::Error>,
}

impl<R: Read> Lookahead<R> {
    pub fn new(input: R) -> Self {
        Self { input, buffer: vec![0; CAPACITY].into(), start: 0, end: 0, error: None }
    }

    /// The next bytes, at least `count` of them unless the input ends, or fails, before.
    pub fn peek(&mut self, count: usize) -> &[u8] {
        if self.start > 0 && self.end - self.start < count {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        while self.end - self.start < count && self.error.is_none() {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(0) => break,
                Ok(length) => self.end += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.error = Some(error),
            }
        }
        &self.buffer[self.start..self.end]
    }
}

impl<R: Read> BufRead for Lookahead<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            self.peek(1);
            if self.end == 0
                && let Some(error) = self.error.take()
            {
                return Err(error);
            }
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, count: usize) {
        self.start = self.end.min(self.start + count);
    }
}

impl<R: Read> Read for Lookahead<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let length = bytes.len().min(into.len());
        into[..length].copy_from_slice(&bytes[..length]);
        self.consume(length);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time, then an error.
    struct Drops(u8);

    impl Read for Drops {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.0 += 1;
            match self.0 {
                4 => Err(io::ErrorKind::UnexpectedEof.into()),
                byte => {
                    into[0] = byte;
                    Ok(1)
                }
            }
        }
    }

    #[test]
    fn bytes_before_an_error_are_read() {
        let mut input = Lookahead::new(Drops(0));
        assert_eq!(input.peek(2), [1, 2]);
        input.consume(1);
        assert_eq!(input.peek(10), [2, 3]);
        assert_eq!(input.fill_buf().expect("bytes are left"), [2, 3]);
        input.consume(2);
        assert_eq!(input.fill_buf().expect_err("the error").kind(), io::ErrorKind::UnexpectedEof);
    }
}
