//! Q-format arithmetic: every rounding that inference uses, in integers, total over its whole input range.
//!
//! Nothing here panics, allocates or touches a float. Each function's page states its input format, its output
//! format and its worst error; the tests beside it measure that error against f64.

mod divide;
mod multiplier;
mod reciprocal;
mod requantize;
mod rsqrt;

pub use divide::div_round;
pub use multiplier::Multiplier;
pub use reciprocal::reciprocal;
pub use requantize::requantize;
pub use rsqrt::{isqrt, rsqrt};

/// Fractional bits of an activation between operations: its unit is 2^-16.
pub const ACT_FRAC: u32 = 16;
