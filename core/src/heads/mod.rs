//! The confidence heads: how sure the model is of each atom, of each pair of residues, and of the whole fold.
//!
//! Every head ends in logits over bins; what is reported is an expectation over their softmax (`shares`).
//! `plddt` reads the structure module's last state, `aligned_error` and `distogram` read the trunk's pair
//! representation row by row (`pairs`). Each has a `load`, a `bytes` that counts its working memory, and a
//! `run`.
//!
//! Reference: `transformers`, `models/esm/modeling_esmfold.py` and `openfold_utils/loss.py`.

mod aligned_error;
mod distogram;
mod log_softmax;
mod pairs;
mod plddt;
mod shares;
#[cfg(test)]
mod tests;

pub use aligned_error::{AlignedError, Chains, PairScores, TmScores};
pub use distogram::Distogram;
pub use log_softmax::log_softmax;
pub use pairs::Pairs;
pub use plddt::Plddt;
pub(crate) use shares::mean_of_bins;

/// Bins of the distogram and of the predicted aligned error.
pub const PAIR_BINS: usize = 64;

/// Bins of the pLDDT.
pub const PLDDT_BINS: usize = 50;

/// Atoms that have a pLDDT: the places of the `atom37` layout.
pub const ATOM_TYPES: usize = crate::geometry::ATOM_NAMES.len();
