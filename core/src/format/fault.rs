//! What is wrong with a tensor, before it is put into words.

use super::dtype::DType;
use super::error::FormatError;
use super::shape::Shape;

/// Why a tensor isn't as its reader wants it. A few bytes: a [`FormatError`], which holds a name and two shapes,
/// would be on the stack of every call below the one that hands it out.
#[derive(Clone, Copy)]
pub enum Fault {
    /// There is none.
    Missing,
    /// Its elements aren't of this type.
    Type(DType),
    /// It has another shape.
    Shape,
    /// It lies at an address that is no multiple of this.
    Alignment(usize),
}

impl Fault {
    /// The error that says so of the tensor `name`: which was `found` so, and the `shape` that was asked for.
    #[cold]
    #[inline(never)]
    pub fn of(self, name: &str, found: Option<(DType, Shape)>, shape: &[usize]) -> FormatError {
        let tensor = name.into();
        match (self, found) {
            (Self::Missing, _) | (_, None) => FormatError::MissingTensor { tensor },
            (Self::Type(expected), Some((found, _))) => FormatError::WrongType { tensor, expected, found },
            (Self::Shape, Some((_, found))) => {
                FormatError::WrongShape { tensor, expected: Shape::clamped(shape), found }
            }
            (Self::Alignment(needed), Some(_)) => FormatError::Misaligned { tensor, needed },
        }
    }
}
