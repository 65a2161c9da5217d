//! Offline half of Foldpoint: reads float checkpoints of ESM-2, runs them as the reference that the integer
//! model is measured against, and turns them into model files.
//!
//! - [`table`] is what a model is made of: what checkpoints, calibration and model files call each part, and
//!   its unit;
//! - [`hub`] brings checkpoints that are given by name;
//! - [`checkpoint`] finds the tensors, whoever wrote them;
//! - [`mod@reference`] is the float forward pass, layer by layer;
//! - [`scheme`] is what a user may choose, [`calibrate`] chooses the rest from values seen, [`encode`] makes
//!   the integers;
//! - [`writer`] lays out a model file;
//! - [`estimate`] says what all that takes, [`space`] whether the disk has room for it, and [`work`] keeps what a run has
//!   done, so that a killed one goes on where it was.

pub mod calibrate;
pub mod checkpoint;
pub mod encode;
pub mod estimate;
pub mod fixed;
pub mod hub;
pub mod reference;
pub mod scheme;
pub mod space;
pub mod table;
mod vectorised;
pub mod work;
pub mod writer;
