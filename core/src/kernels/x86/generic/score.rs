//! Products of a few queries with all keys of a head.

use super::loops::Dots;
use super::matrix::Rows;
use super::vectors::Group;
use crate::kernels::attention::Head;
use crate::kernels::linear::{GROUP, PANEL};

/// [`Loops::score`](super::loops::Loops::score), from [`Dots`].
#[inline(always)]
pub fn score<V: Dots, const R: usize>(v: V, head: &Head, queries: &[i8], stride: usize, scores: &mut [i32]) {
    let (width, groups) = (head.width, head.width / GROUP);
    let queries = &queries[..R * width];
    let mut excess = [0; R];
    for (excess, query) in excess.iter_mut().zip(queries.chunks_exact(width)) {
        *excess = v.excess(query);
    }
    let rows =
        Rows { codes: queries.as_chunks().0, count: R, groups, panel_groups: groups, high: 0, outliers: &[] };
    for block in head.blocks() {
        let panels: &[Group] = block.keys.as_chunks().0;
        let scales = block.of(head.key_scale);
        let mut key = 0;
        while key < block.count {
            let panels = &panels[key / PANEL * groups..];
            let (scales, scores) = (&scales[key..], &mut scores[block.first + key..]);
            key += if V::PANELS == 2 && block.count - key > PANEL {
                score_panels::<V, R, 2>(v, rows, panels, &excess, scales, stride, scores)
            } else {
                score_panels::<V, R, 1>(v, rows, panels, &excess, scales, stride, scores)
            };
        }
    }
}

/// The scores of `P` panels; returns how many keys they hold.
#[inline(always)]
fn score_panels<V: Dots, const R: usize, const P: usize>(
    v: V,
    rows: Rows,
    panels: &[Group],
    excess: &[i32; R],
    scales: &[i16],
    stride: usize,
    scores: &mut [i32],
) -> usize {
    let sums = v.dots::<R, P>(rows, panels, excess);
    if scores.len() < (R - 1) * stride + P * PANEL {
        return P * PANEL;
    }
    for panel in 0..P {
        let scales = wide_scales(&scales[panel * PANEL..]);
        for (row, sums) in sums.iter().enumerate() {
            // SAFETY: the last row's last panel ends within the scores.
            let place = unsafe { scores.as_mut_ptr().add(row * stride + panel * PANEL) };
            // SAFETY: as above; arrays are aligned as what is in them.
            unsafe { *place.cast() = v.scaled(sums[panel], &scales) };
        }
    }
    P * PANEL
}

/// The first sixteen scales; 0 where there are fewer.
#[inline(always)]
fn wide_scales(scales: &[i16]) -> [i32; PANEL] {
    let mut wide = [0; PANEL];
    if let Some(scales) = scales.first_chunk::<PANEL>() {
        wide.iter_mut().zip(scales).for_each(|(wide, &scale)| *wide = scale.into());
    } else {
        wide.iter_mut().zip(scales).for_each(|(wide, &scale)| *wide = scale.into());
    }
    wide
}
