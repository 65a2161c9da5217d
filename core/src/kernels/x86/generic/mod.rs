//! Kernels over any instruction set, given by its primitives, [`Vectors`](vectors::Vectors), and its
//! [`Loops`](loops::Loops).

pub mod attention;
pub mod gemm;
pub mod loops;
pub mod matrix;
pub mod pairs;
pub mod product;
pub mod score;
pub mod softmax;
pub mod vectors;
