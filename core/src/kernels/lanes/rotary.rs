//! Rotary position embedding.

use crate::kernels::scalar;

/// Values below this can't leave an i32, whatever the angles: two products of at most 2^59 each.
const END: i32 = 1 << 28;

/// The first and the second of some pairs, and their cosines and sines.
pub type Pairs<const N: usize> = [[i32; N]; 4];

/// The specification's [`rotary`](scalar::rotary::rotary): some channels of all heads, then the next ones,
/// eight pairs by the backend's way of turning them.
#[inline(always)]
pub fn rotary(row: &mut [i32], cos_sin: &[[i32; 2]], turn_eight: impl Fn(Pairs<8>) -> [[i32; 8]; 2]) {
    let all = row.iter().fold(0, |all, x| all | x.wrapping_add(END));
    if all.cast_unsigned() >= 2 * END.unsigned_abs() {
        return scalar::rotary::rotary(row, cos_sin);
    }
    let (eights, rest) = cos_sin.as_chunks();
    let (fours, ones) = rest.as_chunks();
    turn_channels(row, cos_sin.len(), 0, eights, &turn_eight);
    turn_channels(row, cos_sin.len(), cos_sin.len() - rest.len(), fours, |four| turn_four(four, &turn_eight));
    turn_channels(row, cos_sin.len(), cos_sin.len() - ones.len(), ones.as_chunks().0, turn_pairs::<1>);
}

/// Turns the pairs of channels from `first` on, as many as there are angles, of every head: `half` channels
/// and their others.
#[inline(always)]
fn turn_channels<const N: usize>(
    row: &mut [i32],
    half: usize,
    first: usize,
    angles: &[[[i32; 2]; N]],
    turn: impl Fn(Pairs<N>) -> [[i32; N]; 2],
) {
    for (angles, channel) in angles.iter().zip((first..).step_by(N)) {
        let (mut cos, mut sin) = ([0; N], [0; N]);
        for ((cos, sin), angle) in cos.iter_mut().zip(&mut sin).zip(angles) {
            [*cos, *sin] = *angle;
        }
        for head in row.chunks_exact_mut(2 * half) {
            let (x, y) = head.split_at_mut(half);
            let x = x.get_mut(channel..).and_then(|x| x.first_chunk_mut());
            let y = y.get_mut(channel..).and_then(|y| y.first_chunk_mut());
            if let (Some(x), Some(y)) = (x, y) {
                [*x, *y] = turn([*x, *y, cos, sin]);
            }
        }
    }
}

/// Four pairs by a way to turn eight.
#[inline(always)]
fn turn_four(four: Pairs<4>, turn_eight: impl Fn(Pairs<8>) -> [[i32; 8]; 2]) -> [[i32; 4]; 2] {
    let mut eight = [[0; 8]; 4];
    for (eight, four) in eight.iter_mut().zip(four) {
        eight[..4].copy_from_slice(&four);
    }
    let [[a, b, c, d, ..], [e, f, g, h, ..]] = turn_eight(eight);
    [[a, b, c, d], [e, f, g, h]]
}

/// [`rotate`](scalar::rotary::rotate) for pairs that stay below 2^31, for any instructions.
#[inline(always)]
pub fn turn_pairs<const N: usize>([mut first, mut second, cos, sin]: Pairs<N>) -> [[i32; N]; 2] {
    for (((first, second), cos), sin) in first.iter_mut().zip(&mut second).zip(cos).zip(sin) {
        let [x, y, cos, sin] = [*first, *second, cos, sin].map(i64::from);
        *first = round(x * cos - y * sin);
        *second = round(y * cos + x * sin);
    }
    [first, second]
}

/// Q30 to units.
#[inline(always)]
fn round(q30: i64) -> i32 {
    ((q30 + (1 << 29)) >> 30) as i32
}
