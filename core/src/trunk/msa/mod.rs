//! Operations on an MSA representation: one row of channels for each residue of each row of an alignment,
//! some of which are masked. It is a trunk's sequence representation, several times.
//!
//! Reference: AlphaFold (Jumper et al. 2021), supplement, algorithms 7 to 10; OmegaFold (Wu et al. 2022),
//! whose node representation it is: `omegafold/geoformer.py`. `msa_attention` is what happens within rows
//! (`row_attention`, with a bias from the pairs), within columns and to each entry (`column_attention`);
//! `outer_product` is what it adds to the pairs, `outer_sides` its first half, `outer_shares` its divisors.
//!
//! Stored are the columns one after another, `[residues, rows]`: a column is one chunk, and row 0 lies at
//! equal distances. What is masked is neither read nor written: it is no key, no query, and no part of any
//! sum, so no output depends on it. An operation over a row gathers the entries that are kept (`kept`), so
//! that its tiles are full.

mod attention_weights;
mod column_attention;
mod kept;
pub(crate) mod memory;
pub(crate) mod msa_attention;
pub(crate) mod outer_product;
mod outer_shares;
mod outer_sides;
mod row_attention;
mod scratch;
pub(crate) mod shape;
#[cfg(test)]
mod tests;
