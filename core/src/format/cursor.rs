//! Reading and writing consecutive little-endian fields: the order of the calls is the layout.

/// Takes fields from the front of a byte slice; `None` once it has run out.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*head)
    }

    pub fn skip(&mut self, bytes: usize) -> Option<()> {
        self.rest = self.rest.get(bytes..)?;
        Some(())
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

/// Fills a block from its front. What would not fit is dropped; the blocks and fields here have constant
/// sizes, and the tests compare both ends of each block.
pub(super) struct Filler<'a> {
    block: &'a mut [u8],
    filled: usize,
}

impl<'a> Filler<'a> {
    pub fn new(block: &'a mut [u8]) -> Self {
        Self { block, filled: 0 }
    }

    pub fn put(&mut self, field: &[u8]) {
        let end = self.filled.saturating_add(field.len());
        if let Some(place) = self.block.get_mut(self.filled..end) {
            place.copy_from_slice(field);
            self.filled = end;
        }
    }

    pub fn written(&self) -> &[u8] {
        self.block.get(..self.filled).unwrap_or(&[])
    }
}
