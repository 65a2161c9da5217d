//! Properties of the whole, over models of random weights.

mod concepts;
mod damage;
mod depth;
mod folding;
mod glossary;
mod omegafold;
mod outputs;
mod pinned;
mod same_bits;
