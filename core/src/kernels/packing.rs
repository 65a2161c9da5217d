//! How a matrix of codes is laid out for a [`Linear`](super::linear::Linear): for whoever writes model files,
//! and for tests.

use super::linear::{GROUP, LIMB_BITS, PANEL, panel_groups};

/// `[panels, groups, PANEL, GROUP]`: the columns of the outliers first, then all columns; only these if all
/// channels are outliers, since then the same columns serve both limbs. Zeros where there is no column or no
/// row.
///
/// `matrix` is `[outputs, inputs]`, row-major; `outliers` are channels below `inputs`, ascending.
pub fn packed<'m>(
    matrix: &'m [i8],
    [outputs, inputs]: [usize; 2],
    outliers: &'m [u16],
) -> impl Iterator<Item = i8> + 'm {
    let groups = panel_groups(inputs, outliers.len());
    let high_groups = groups - inputs.div_ceil(GROUP);
    let channel = move |group: usize, lane: usize| match group.checked_sub(high_groups) {
        None => outliers.get(group * GROUP + lane).map(|&channel| usize::from(channel)),
        Some(low) => Some(low * GROUP + lane).filter(|&channel| channel < inputs),
    };
    let code = move |row: usize, channel: usize| matrix.get(row * inputs + channel).copied().unwrap_or(0);
    let panels =
        (0..outputs.div_ceil(PANEL)).flat_map(move |panel| (0..groups).map(move |group| (panel, group)));
    let rows = panels.flat_map(|(panel, group)| (0..PANEL).map(move |row| (panel * PANEL + row, group)));
    rows.flat_map(move |(row, group)| {
        (0..GROUP).map(move |lane| match channel(group, lane) {
            Some(channel) if row < outputs => code(row, channel),
            _ => 0,
        })
    })
}

/// The sum of each row's weights, those of outliers counted `1 + 2^LIMB_BITS` times: what `u8 x i8`
/// instructions subtract 128 times.
pub fn row_sums<'m>(
    matrix: &'m [i8],
    [outputs, inputs]: [usize; 2],
    outliers: &'m [u16],
) -> impl Iterator<Item = i32> + 'm {
    let sum = move |row: usize| {
        let weights = matrix.get(row * inputs..(row + 1) * inputs).unwrap_or_default();
        let low: i32 = weights.iter().map(|&w| i32::from(w)).sum();
        let of = |&channel: &u16| weights.get(usize::from(channel)).map_or(0, |&w| i32::from(w));
        low + (outliers.iter().map(of).sum::<i32>() << LIMB_BITS)
    };
    (0..outputs).map(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// Seventeen rows of five channels: code `10 * (row % 12) + channel`.
    fn matrix() -> Vec<i8> {
        (0..17 * 5).map(|at| (10 * (at / 5 % 12) + at % 5) as i8).collect()
    }

    #[test]
    fn outliers_come_first_then_all_channels_each_padded_to_a_group() {
        let weight: Vec<i8> = packed(&matrix(), [17, 5], &[1, 4]).collect();
        assert_eq!(weight.len(), 2 * 3 * PANEL * GROUP);
        // Panel 0: a group of outliers, then two of channels; row 2 of each.
        let row = |panel: usize, group: usize, row: usize| {
            &weight[((panel * 3 + group) * PANEL + row) * GROUP..][..GROUP]
        };
        assert_eq!(
            [row(0, 0, 2), row(0, 1, 2), row(0, 2, 2)],
            [[21, 24, 0, 0], [20, 21, 22, 23], [24, 0, 0, 0]]
        );
        // Row 16 is the first of panel 1, the others there are padding.
        assert_eq!([row(1, 0, 0), row(1, 2, 0), row(1, 1, 1)], [[41, 44, 0, 0], [44, 0, 0, 0], [0; 4]]);
        let sums: Vec<i32> = row_sums(&matrix(), [17, 5], &[1, 4]).collect();
        assert_eq!((sums.len(), sums[0], sums[2]), (17, 10 + 128 * 5, 110 + 128 * 45));
    }

    #[test]
    fn where_all_channels_are_outliers_their_columns_are_there_once() {
        let all: Vec<u16> = (0..5).collect();
        assert!(packed(&matrix(), [17, 5], &all).eq(packed(&matrix(), [17, 5], &[])));
        assert_eq!(packed(&[], [3, 0], &[]).count(), 0);
    }
}
