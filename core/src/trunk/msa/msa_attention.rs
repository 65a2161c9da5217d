//! Attention within the rows and then within the columns of an MSA, and the transition after it: a block's
//! work on the MSA representation.

use super::column_attention::ColumnAttention;
use super::memory::Memory;
use super::row_attention::RowAttention;
use super::shape::Setting;
use crate::arena::{Arena, ArenaError};
use crate::format::{FormatError, ModelFile};
use crate::nn::stream::{Formats, Stream};

/// All weights on the MSA representation.
#[derive(Clone, Copy, Debug)]
pub struct MsaAttention<'a> {
    rows: RowAttention<'a>,
    columns: ColumnAttention<'a>,
}

impl<'a> MsaAttention<'a> {
    /// Reads the tensors of the block `name`, for `heads` heads and representations of so many channels: the
    /// MSA's and the pairs'.
    pub fn load(
        file: &ModelFile<'a>,
        name: &str,
        heads: usize,
        [width, pair_width]: [usize; 2],
    ) -> Result<Self, FormatError> {
        let rows = RowAttention::load(file, name, heads, [width, pair_width])?;
        let columns = ColumnAttention::load(file, name, width)?;
        Ok(Self { rows, columns })
    }

    /// Updates the entries of `msa` that are kept, `[residues, rows]`. The pair representation is read as it
    /// enters the block. `formats` say how `msa` is stored before and after the attention within rows, and
    /// before (the same) and after all else.
    ///
    /// # Errors
    /// The memory is not as the plan says.
    pub fn run(
        &self,
        on: &Setting,
        [rows, columns]: &[Formats; 2],
        msa: &mut [u8],
        pair: &Stream,
        memory: &mut Memory<Arena>,
    ) -> Result<(), ArenaError> {
        self.rows.run(on, rows, msa, pair, memory)?;
        let Memory { kept, updated, scratch, .. } = memory;
        self.columns.run(on, columns, (updated, kept.read(on.shape)), msa, scratch)
    }
}
