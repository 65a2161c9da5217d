//! Gzip as it is found: one member or several (also bgzip's), blanks or zeros between them, rubbish behind
//! the last.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use flate2::bufread::GzDecoder;
use memchr::memmem;

use crate::lookahead::Lookahead;

/// How a gzip member begins.
pub(crate) const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// The same, with the method, which is deflate in every gzip file.
const MAGIC_AND_METHOD: [u8; 3] = [0x1f, 0x8b, 8];
/// The beginning of bgzip's field in a member's header: with it every member is a block, and the last block
/// is empty.
const BGZIP_FIELD: &[u8] = b"BC\x02\x00";

/// Reads what all members hold.
pub(crate) struct Members<R> {
    /// `None` behind the last member.
    member: Option<GzDecoder<Lookahead<R>>>,
    /// Bytes of the present member so far.
    length: u64,
    /// Bytes behind the last member, once it was read.
    trailing: Rc<Cell<u64>>,
}

impl<R: Read> Members<R> {
    /// `input` begins with a member. How many bytes behind the last one are ignored is put into `trailing`.
    pub fn new(input: Lookahead<R>, trailing: Rc<Cell<u64>>) -> Self {
        Self { member: Some(GzDecoder::new(input)), length: 0, trailing }
    }

    /// What comes after a member: another one, or the end. `last` is it the empty block that ends bgzip's
    /// files, or no block.
    fn after(&mut self, mut input: Lookahead<R>, last: bool) -> io::Result<Option<GzDecoder<Lookahead<R>>>> {
        let blanks = skip(&mut input, |byte| byte == 0 || byte.is_ascii_whitespace())?;
        if input.peek(MAGIC.len()).starts_with(&MAGIC) {
            self.length = 0;
            return Ok(Some(GzDecoder::new(input)));
        }
        let mut rubbish = 0;
        loop {
            let bytes = input.peek(MAGIC_AND_METHOD.len());
            if memmem::find(bytes, &MAGIC_AND_METHOD).is_some() {
                let reason = "after a compressed part comes something else, and then another compressed part";
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
            // The signature may begin in the last two bytes.
            let length = match bytes.len() {
                0 => input.fill_buf()?.len(),
                few @ 1..=2 => few,
                many => many - 2,
            };
            if length == 0 {
                break;
            }
            rubbish += length as u64;
            input.consume(length);
        }
        self.trailing.set(blanks + rubbish);
        if !last {
            let reason = "the block that ends a file of bgzip is missing";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason));
        }
        Ok(None)
    }
}

impl<R: Read> Read for Members<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let length = member.read(into)?;
            self.length += length as u64;
            if length > 0 || into.is_empty() {
                return Ok(length);
            }
            let extra = member.header().and_then(|header| header.extra()).unwrap_or_default();
            let last = self.length == 0 || !extra.starts_with(BGZIP_FIELD);
            if let Some(member) = self.member.take() {
                self.member = self.after(member.into_inner(), last)?;
            }
        }
        Ok(0)
    }
}

/// Consumes bytes while `wanted`, and says how many.
fn skip(input: &mut impl BufRead, wanted: impl Fn(u8) -> bool) -> io::Result<u64> {
    let mut count = 0;
    loop {
        let bytes = input.fill_buf()?;
        let length = bytes.iter().take_while(|&&byte| wanted(byte)).count();
        if length == 0 {
            return Ok(count);
        }
        count += length as u64;
        input.consume(length);
    }
}
