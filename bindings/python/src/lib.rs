//! The extension module of the Python package `foldpoint`: Python's objects in, the engine of `std-runner`,
//! numpy's arrays out.

// Docstrings are Python's: in brackets are shapes.
#![allow(rustdoc::broken_intra_doc_links, rustdoc::invalid_html_tags)]

mod embedding;
mod engines;
mod error;
mod fold_many;
mod input;
mod model;
mod score;
mod session;
mod structure;

use pyo3::prelude::*;

/// What `foldpoint` is made of.
#[pymodule]
mod _foldpoint {
    use foldpoint_core::alphabet;
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::error::ModelError;
    #[pymodule_export]
    use crate::fold_many::FoldMany;
    #[pymodule_export]
    use crate::model::{Model, unpickle as unpickle_model};
    #[pymodule_export]
    use crate::structure::{Structure, unpickle as unpickle_structure};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let letters = &alphabet::RESIDUES[..alphabet::STANDARD];
        module.add("AMINO_ACIDS", String::from_utf8_lossy(letters))?;
        module.add("TOKENS", alphabet::TOKENS.to_vec())?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
