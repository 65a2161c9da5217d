//! Scores: products of queries and keys, times a scale for each key.

use super::loops::Loops;
use super::matrix::Rows;
use super::vectors::Group;
use crate::kernels::linear::PANEL;

/// A block of keys.
#[derive(Clone, Copy)]
pub struct Keys<'k> {
    /// `[panels, groups, 16, 4]`
    pub panels: &'k [Group],
    /// One for each key.
    pub scales: &'k [i16],
    /// Keys, of which the last panel may have fewer than sixteen.
    pub count: usize,
}

impl Keys<'_> {
    /// The scales of the panel from `key` on; 0 where it has no key.
    #[inline(always)]
    pub fn panel_scales(&self, key: usize) -> [i32; PANEL] {
        let scales = self.scales.get(key..).unwrap_or_default();
        let mut wide = [0; PANEL];
        if let Some(scales) = scales.first_chunk::<PANEL>() {
            wide.iter_mut().zip(scales).for_each(|(wide, &scale)| *wide = scale.into());
        } else {
            wide.iter_mut().zip(scales).for_each(|(wide, &scale)| *wide = scale.into());
        }
        wide
    }
}

/// Where scores go.
pub struct Scores<'s> {
    /// Of the first query; whole panels of them.
    pub scores: &'s mut [i32],
    /// From one query's to the next one's.
    pub stride: usize,
}

impl Scores<'_> {
    /// Whether `rows` queries have room for the scores of a panel from `key` on.
    #[inline(always)]
    pub const fn have_room(&self, rows: usize, key: usize) -> bool {
        self.scores.len() >= rows.saturating_sub(1) * self.stride + key + PANEL
    }

    /// The place of a query's scores of a panel from `key` on.
    ///
    /// # Safety
    /// There are more than `row` queries, with room for the panel.
    #[inline(always)]
    pub unsafe fn place(&mut self, row: usize, key: usize) -> &mut [i32; PANEL] {
        // SAFETY: the caller's; arrays are aligned as what is in them.
        unsafe { &mut *self.scores.as_mut_ptr().add(row * self.stride + key).cast() }
    }
}

/// [`Loops::score`] in whatever instructions.
#[inline(always)]
pub fn score<V: Loops, const R: usize>(
    v: V,
    queries: Rows,
    excess: &[i32; R],
    keys: Keys,
    mut scores: Scores,
) {
    let mut key = 0;
    while key < keys.count {
        key += if V::PANELS == 2 && keys.count - key > PANEL {
            score_panels::<V, R, 2>(v, queries, excess, keys, key, &mut scores)
        } else {
            score_panels::<V, R, 1>(v, queries, excess, keys, key, &mut scores)
        };
    }
}

/// The scores of `P` panels from `key` on; returns how many keys they hold.
#[inline(always)]
fn score_panels<V: Loops, const R: usize, const P: usize>(
    v: V,
    queries: Rows,
    excess: &[i32; R],
    keys: Keys,
    key: usize,
    scores: &mut Scores,
) -> usize {
    let panels = &keys.panels[key / PANEL * queries.groups..];
    let sums = v.dots::<R, P>(queries, panels, excess);
    if scores.have_room(R, key + (P - 1) * PANEL) {
        for panel in 0..P {
            let key = key + panel * PANEL;
            let scales = keys.panel_scales(key);
            for (row, sums) in sums.iter().enumerate() {
                // SAFETY: all of them have room.
                unsafe { *scores.place(row, key) = v.finish_scaled(sums[panel], &scales) };
            }
        }
    }
    P * PANEL
}
