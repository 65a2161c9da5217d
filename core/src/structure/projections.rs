//! A residue's queries, keys, values and points, and where they lie in its record.

use super::config::Config;
use crate::geometry::Rigid;
use crate::kernels::rows::Rows;

/// Queries, keys and values are cut to this, 1024, so that sums over them fit 64 bits.
const VALUE_MAX: i32 = 1 << 26;

/// Points are cut to this, 256 units of the structure module from the origin along each axis.
pub const POINT_MAX: i32 = 1 << 24;

/// Sizes of a head's part of a record: `[query | query points | key | key points | value | value points]`,
/// each point x, y, z.
#[derive(Clone, Copy, Debug)]
pub struct HeadShape {
    heads: usize,
    width: usize,
    query_points: usize,
    value_points: usize,
}

/// A head's parts of records, one row each.
#[derive(Clone, Copy, Debug)]
pub struct HeadRecords<'r> {
    /// `[width]`, at most 2^26.
    pub queries: Rows<'r>,
    /// `[3 * query_points]`, in the world, at most 2^24.
    pub query_points: Rows<'r>,
    /// As the queries.
    pub keys: Rows<'r>,
    /// As the queries'.
    pub key_points: Rows<'r>,
    /// `[width]`, at most 2^26, then `[3 * value_points]`, in the world, at most 2^24.
    pub values: Rows<'r>,
}

impl HeadShape {
    /// From the module's shape.
    pub const fn new(config: &Config) -> Self {
        let Config { heads, head_width, query_points, value_points, .. } = *config;
        Self { heads, width: head_width, query_points, value_points }
    }

    /// Values of a head's part.
    pub const fn len(&self) -> usize {
        3 * self.width + 3 * (2 * self.query_points + self.value_points)
    }

    /// The parts of head `head` of all `records`.
    pub fn of_head<'r>(&self, records: &'r [i32], head: usize) -> HeadRecords<'r> {
        let (points, stride) = (3 * self.query_points, self.heads * self.len());
        let mut at = head * self.len();
        let mut part = |width: usize| {
            let values = records.get(at..).unwrap_or_default();
            at += width;
            Rows { values, width, stride }
        };
        HeadRecords {
            queries: part(self.width),
            query_points: part(points),
            keys: part(self.width),
            key_points: part(points),
            values: part(self.width + 3 * self.value_points),
        }
    }

    /// Fills `record` from the projections' outputs: `[queries | keys and values | query points | key and
    /// value points]`, where the points lie as the x of all points of all heads, then y, then z. `frame`
    /// moves points to the world.
    pub fn store(&self, projections: &[i32], frame: &Rigid, record: &mut [i32]) {
        let Self { heads, width, query_points, value_points } = *self;
        let (queries, rest) = projections.split_at(heads * width);
        let (keys_values, rest) = rest.split_at(2 * heads * width);
        let (own, others) = rest.split_at(3 * heads * query_points);
        let cut = |v: i32| v.clamp(-VALUE_MAX, VALUE_MAX);
        let copy =
            |out: &mut [i32], from: &[i32]| out.iter_mut().zip(from).for_each(|(out, &v)| *out = cut(v));
        let place = |out: &mut [i32], from: &[i32], first: usize| {
            let count = from.len() / 3;
            for (point, out) in out.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                let local = [0, 1, 2].map(|axis| from[axis * count + first + point]);
                *out = frame.apply(local).map(|v| v.clamp(-POINT_MAX, POINT_MAX));
            }
        };
        let by_head = record.chunks_exact_mut(self.len()).zip(queries.chunks_exact(width));
        for (head, ((out, query), key_value)) in by_head.zip(keys_values.chunks_exact(2 * width)).enumerate()
        {
            let (out, rest) = out.split_at_mut(width);
            copy(out, query);
            let (out, rest) = rest.split_at_mut(3 * query_points);
            place(out, own, head * query_points);
            let (key, value) = key_value.split_at(width);
            let (out, rest) = rest.split_at_mut(width);
            copy(out, key);
            let first = head * (query_points + value_points);
            let (out, rest) = rest.split_at_mut(3 * query_points);
            place(out, others, first);
            let (out, rest) = rest.split_at_mut(width);
            copy(out, value);
            place(rest, others, first + query_points);
        }
    }
}
