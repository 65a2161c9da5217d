//! What is worth saying about a checkpoint that is used all the same.

use std::fmt;

/// A line for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Whether results may be worse than expected.
    pub is_warning: bool,
    /// The line, without `note` or `warning` before it.
    pub text: String,
}

impl Remark {
    /// `note` or `warning`.
    pub fn kind(&self) -> &'static str {
        if self.is_warning { "warning" } else { "note" }
    }

    pub(super) fn note(text: String) -> Self {
        Self { is_warning: false, text }
    }

    pub(super) fn warning(text: String) -> Self {
        Self { is_warning: true, text }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind(), self.text)
    }
}
