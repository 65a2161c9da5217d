//! Properties of the whole, over models of random weights.

mod damage;
mod outputs;
mod pinned;
mod same_bits;
