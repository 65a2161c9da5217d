//! Rotary position embedding.

use crate::fixed::sin_cos;

/// Fills `table`, `[positions, pairs]`: cosine and sine of position * frequency, Q1.30; `phases` are 2^32nds
/// of a turn per position.
pub fn rotary_table(phases: &[u32], table: &mut [[i32; 2]]) {
    for (position, row) in table.chunks_exact_mut(phases.len().max(1)).enumerate() {
        for (angle, &phase) in row.iter_mut().zip(phases) {
            let (sine, cosine) = sin_cos(phase.wrapping_mul(position as u32));
            *angle = [cosine, sine];
        }
    }
}
