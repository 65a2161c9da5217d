//! Q-format arithmetic: every rounding that inference uses, in integers, total over its whole input range.
//!
//! Nothing here panics, allocates or touches a float. Each function's page states its input format, its
//! output format and its worst error; the tests beside it measure that error against f64.

mod cbrt;
pub mod cubic;
mod divide;
mod exp2;
mod exp2_fine;
mod gelu;
mod log2;
mod multiplier;
mod reciprocal;
mod requantize;
mod rsqrt;
pub mod saturate;
mod sigmoid;
pub mod tables;
mod token_scale;
mod trig;
mod wide;

pub use cbrt::icbrt;
pub(crate) use cubic::CubicColumns;
pub use divide::{Divisor, div_round};
pub use exp2::exp2_neg;
pub use exp2_fine::{EXP2_FINE_FRAC, exp2_fine};
pub use gelu::gelu;
pub(crate) use gelu::{gelu_of_tail, gelu_tail_at};
pub use log2::{LOG2_FRAC, log2};
pub use multiplier::Multiplier;
pub use reciprocal::reciprocal;
pub use requantize::requantize;
pub use rsqrt::{isqrt, rsqrt};
pub use sigmoid::sigmoid;
pub(crate) use sigmoid::{sigmoid_of_tail, sigmoid_tail_at};
pub use token_scale::TokenScale;
pub use trig::sin_cos;

/// Fractional bits of an activation between operations: its unit is 2^-16.
pub const ACT_FRAC: u32 = 16;
