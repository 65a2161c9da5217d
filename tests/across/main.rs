//! Properties of the whole, over models of random weights.

mod damage;
mod folding;
mod outputs;
mod pinned;
mod same_bits;
