//! Memory at the addresses that core needs, and an executor as unkind as its contract allows.

use bytemuck::{Pod, Zeroable};
use foldpoint_core::Executor;
use foldpoint_core::executor::{PairWork, chunks};

/// Bytes that start at a multiple of 64.
#[derive(Clone, Debug)]
pub struct Aligned {
    lines: Vec<Line>,
    length: usize,
}

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; 64]);

impl Aligned {
    /// `length` times `byte`.
    pub fn filled(length: usize, byte: u8) -> Self {
        Self { lines: vec![Line([byte; 64]); length.div_ceil(64)], length }
    }

    /// A copy of `bytes`.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut copy = Self::filled(bytes.len(), 0);
        copy.bytes_mut().copy_from_slice(bytes);
        copy
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.lines)[..self.length]
    }

    /// The bytes, to write.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.length]
    }
}

/// Runs the last chunk first and hands out the scratch parts in turn, full of what earlier chunks left.
#[derive(Clone, Copy, Debug)]
pub struct Backwards {
    /// Parts of the scratch memory, at least 1.
    pub workers: usize,
}

impl Executor for Backwards {
    fn workers(&self) -> usize {
        self.workers
    }

    fn for_each_pair(&self, data: [&mut [u8]; 2], sizes: [usize; 2], scratch: &mut [u8], work: &PairWork) {
        let part = scratch.len() / self.workers;
        for (index, chunk) in chunks(data, sizes).collect::<Vec<_>>().into_iter().rev() {
            work(index, chunk, &mut scratch[index % self.workers * part..][..part]);
        }
    }
}
