//! Windows of sequences that are longer than what ESM-2 was trained on, as ProteinGym lays them. Tokens are
//! counted with `<cls>` and `<eos>`, which only the windows at the ends have.

use std::ops::Range;

/// Tokens of a window: 1,022 residues and both ends.
pub const TOKENS: usize = 1024;

/// From one overlapping window to the next.
const STEP: usize = 511;

/// Fractional bits of a weight.
const WEIGHT_FRAC: u32 = 16;

/// The window of `tokens` tokens in which number `token` has as much on both sides as there is.
pub fn optimal(token: usize, tokens: usize) -> Range<usize> {
    const HALF: usize = TOKENS / 2;
    let start = token.saturating_sub(HALF).min(tokens.saturating_sub(TOKENS));
    start..tokens.min(start + TOKENS)
}

/// Windows over all of `tokens` tokens, from both ends to the middle; a single one if there are no more than
/// a window holds.
pub fn overlapping(tokens: usize) -> Vec<Range<usize>> {
    let Some(mut right) = tokens.checked_sub(TOKENS).filter(|&right| right > 0) else {
        return std::iter::once(0..tokens).collect();
    };
    let (mut left, mut windows) = (0, Vec::new());
    loop {
        windows.extend([left..left + TOKENS, right..right + TOKENS]);
        if left + TOKENS > right + 1 {
            break;
        }
        (left, right) = (left + STEP, right.saturating_sub(STEP));
    }
    let overlap = left + TOKENS - right;
    if overlap < STEP {
        let start = tokens / 2 - TOKENS / 2;
        windows.push(start..start + TOKENS);
    }
    windows
}

/// How much a window counts at its place `place`, unit 2^-16: all in the middle, little at the ends. (The
/// ends' own tokens, `<cls>` and `<eos>`, count whole, as in ProteinGym.)
pub fn weight(place: usize) -> u32 {
    let from_end = match place {
        1..=256 => place as f64 - 128.0,
        766..=1022 => 894.0 - place as f64,
        _ => return 1 << WEIGHT_FRAC,
    };
    let weight = 1.0 / (1.0 + libm::exp(-from_end / 16.0));
    (weight * f64::from(1 << WEIGHT_FRAC)).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_window_is_around_its_token_where_it_can_be() {
        assert_eq!(optimal(5, 100), 0..100);
        assert_eq!(optimal(700, 1024), 0..1024);
        for (token, start) in [(0, 0), (511, 0), (512, 0), (513, 1), (1487, 975), (1488, 976), (1999, 976)] {
            assert_eq!(optimal(token, 2000), start..start + 1024, "{token}");
        }
    }

    #[test]
    fn overlapping_windows_are_proteingyms() {
        assert_eq!(overlapping(1024), vec![0..1024; 1]);
        assert_eq!(overlapping(1025), [0..1024, 1..1025]);
        // They meet with less than half a window in common: one more in the middle.
        assert_eq!(overlapping(1700), [0..1024, 676..1700, 338..1362]);
        assert_eq!(overlapping(2047), [0..1024, 1023..2047, 511..1535, 512..1536]);
        assert_eq!(overlapping(3000), [0..1024, 1976..3000, 511..1535, 1465..2489, 988..2012]);
    }

    #[test]
    fn the_middle_of_a_window_counts_most() {
        assert_eq!([0, 257, 500, 765, 1023].map(weight), [1 << 16; 5]);
        assert_eq!([128, 894].map(weight), [1 << 15; 2]);
        assert_eq!([1, 256].map(weight), [23, 65_514]);
        assert_eq!([766, 1022].map(weight), [65_514, 22]);
    }

    proptest! {
        #[test]
        fn every_token_counts_somewhere(tokens in 1..20_000usize) {
            let mut weights = vec![0; tokens];
            for window in overlapping(tokens) {
                prop_assert!(window.len() == TOKENS.min(tokens));
                window.clone().for_each(|token| weights[token] += weight(token - window.start));
            }
            // At least one twelfth.
            prop_assert!(weights.iter().skip(1).take(tokens.saturating_sub(2)).all(|&weight| weight >= 20));
        }

        #[test]
        fn a_window_has_its_token(tokens in 1..5000usize, at in 0..5000usize) {
            let token = at % tokens;
            let window = optimal(token, tokens);
            prop_assert!(window.contains(&token) && window.len() == tokens.min(TOKENS) && window.end <= tokens);
        }
    }
}
