//! PLACEHOLDER until task G replaces this file: the API that run.rs calls (keep Inputs, Outputs, load, layout, run as they are here; a run_with_frames or the like may be added).
use super::config::Config;
use crate::arena::{ArenaError, Layout};
use crate::executor::Executor;
use crate::format::{FormatError, ModelFile};
use crate::geometry::Residue;
use crate::kernels::Backend;
/// s
#[derive(Clone, Debug)]
pub struct StructureModule<'a>(core::marker::PhantomData<&'a ()>, usize);
/// i
pub struct Inputs<'i> {
    /// a
    pub residues: usize,
    /// a
    pub residue: &'i (dyn Fn(usize) -> Residue + Sync),
    /// a
    pub sequence: &'i (dyn Fn(usize, &mut [i32]) + Sync),
    /// a
    pub pair: &'i (dyn Fn(usize, &mut [i32]) + Sync),
}
/// o
pub struct Outputs<'o> {
    /// a
    pub atoms: &'o mut [[[i32; 3]; 14]],
    /// a
    pub state: &'o mut [i32],
}
impl<'a> StructureModule<'a> {
    /// l
    pub fn load(_: &ModelFile<'a>, c: &Config) -> Result<Self, FormatError> {
        Ok(Self(core::marker::PhantomData, c.sequence_width))
    }
    /// l
    pub fn layout(&self, _: usize, _: usize) -> Layout {
        Layout::new().add::<i32>(self.1)
    }
    /// r
    pub fn run(
        &self,
        i: &Inputs,
        o: Outputs,
        m: &mut [u8],
        _: &Backend,
        _: &dyn Executor,
    ) -> Result<(), ArenaError> {
        let row: &mut [i32] = crate::arena::Arena::new(m)?.take(self.1)?;
        let w = o.state.len() / i.residues;
        for (r, (s, atoms)) in o.state.chunks_exact_mut(w).zip(o.atoms).enumerate() {
            (i.sequence)(r, row);
            s.iter_mut().enumerate().for_each(|(k, s)| *s = row[k % row.len()]);
            for (k, a) in atoms.iter_mut().enumerate() {
                *a = [s[k % w], s[(k + 1) % w], s[(k + 2) % w]].map(|v| v.saturating_mul(30));
            }
        }
        Ok(())
    }
}
