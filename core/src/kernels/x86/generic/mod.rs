//! Kernels over any instruction set that is a [`Vectors`](vectors::Vectors).

pub mod attention;
pub mod gemm;
pub mod matrix;
pub mod pairs;
pub mod product;
pub mod vectors;
pub mod weigh;
