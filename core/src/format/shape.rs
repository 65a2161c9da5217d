//! Tensor shapes: small values that errors can carry without a heap.

use core::fmt;

/// The most dimensions that a tensor can have.
pub const MAX_RANK: usize = 4;

/// A tensor's extent along each of its 1 to 4 dimensions, outermost first (row-major).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    dims: [u32; MAX_RANK],
    rank: u8,
}

impl Shape {
    /// The shape with these extents, or `None` if there are none, more than [`MAX_RANK`] of them, or one that
    /// does not fit 32 bits.
    pub fn new(dims: &[usize]) -> Option<Self> {
        let representable =
            (1..=MAX_RANK).contains(&dims.len()) && dims.iter().all(|&d| u32::try_from(d).is_ok());
        representable.then(|| Self::clamped(dims))
    }

    /// As [`Shape::new`], but clamps what can't be represented: good enough to print an impossible
    /// expectation.
    pub(super) fn clamped(dims: &[usize]) -> Self {
        let mut shape = Self { dims: [0; MAX_RANK], rank: dims.len().min(MAX_RANK) as u8 };
        for (to, &from) in shape.dims.iter_mut().zip(dims) {
            *to = u32::try_from(from).unwrap_or(u32::MAX);
        }
        shape
    }

    /// The shape as the directory stores it; `None` for a rank outside 1 to 4 or a used place beyond the
    /// rank.
    pub(super) fn from_stored(dims: [u32; MAX_RANK], rank: u8) -> Option<Self> {
        let rank_fits = (1..=MAX_RANK).contains(&usize::from(rank));
        let rest_zero = dims.iter().skip(usize::from(rank)).all(|&d| d == 0);
        (rank_fits && rest_zero).then_some(Self { dims, rank })
    }

    /// The extents as the directory stores them: zero beyond the rank.
    pub(super) fn stored(&self) -> ([u32; MAX_RANK], u8) {
        (self.dims, self.rank)
    }

    /// The extents.
    pub fn dims(&self) -> &[u32] {
        self.dims.get(..usize::from(self.rank)).unwrap_or(&self.dims)
    }

    /// Number of elements, or `None` if it exceeds 64 bits.
    pub fn elements(&self) -> Option<u64> {
        if self.dims().contains(&0) {
            return Some(0);
        }
        self.dims().iter().try_fold(1u64, |product, &d| product.checked_mul(u64::from(d)))
    }

    /// Whether the extents are exactly these.
    pub fn matches(&self, dims: &[usize]) -> bool {
        Self::new(dims) == Some(*self)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.dims()).finish()
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
