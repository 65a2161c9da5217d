//! The folding model: its constants, and what is before and after trunk and structure module.

use std::f64::consts::LOG2_E;

use foldpoint_core::esmfold::{CONFIG, Config, RESIDUES, StructureConfig};
use foldpoint_core::fixed::{ACT_FRAC, Multiplier};
use foldpoint_core::kernels::attention::key_scale_max;
use foldpoint_core::quant::STREAM_MAX;

use super::{EncodeError, Encoder, finest, multiplier, per_one, squares};
use crate::calibrate::Calibration;
use crate::checkpoint;
use crate::reference::esmfold::FoldReference;
use crate::reference::esmfold::block::Block;
use crate::reference::{LayerNorm, to_vec};

/// Fractional bits of the shares that hidden states have in the mix.
const MIX_SHARE_FRAC: u32 = 30;

/// Largest magnitude in the mix of hidden states.
const MIX_MAX: i32 = 1 << 22;

/// Fractional bits of translations.
pub(super) const TRANSLATION_FRAC: u32 = 20;

/// What an attention score is worth in units of `2^-16 log2`: see [`Config::sequence_temperature`].
fn temperature(head_width: usize) -> Multiplier {
    let products = f64::from(key_scale_max(head_width)) * (head_width as f64).sqrt();
    multiplier(LOG2_E / per_one(ACT_FRAC) / products)
}

/// The structure module's shape and constants; its pair representation's unit is not yet known.
pub fn structure_shape(config: &checkpoint::StructureConfig) -> StructureConfig {
    StructureConfig {
        iterations: config.iterations,
        width: config.sequence_width,
        pair_width: config.pair_width,
        heads: config.heads,
        head_width: config.head_width,
        query_points: config.query_points,
        value_points: config.value_points,
        transition_layers: config.transition_layers,
        resnet_blocks: config.resnet_blocks,
        resnet_width: config.resnet_width,
        pair_frac: 0,
        epsilon: squares(config.epsilon, ACT_FRAC),
        scalar_weight: multiplier(
            LOG2_E * (1.0 / (3.0 * config.head_width as f64)).sqrt() / per_one(ACT_FRAC),
        ),
        translation_scale: multiplier(
            config.translation_scale * per_one(ACT_FRAC) / per_one(TRANSLATION_FRAC),
        ),
    }
}

/// The unit of the structure module's pair representation: as fine as lets every output of its LayerNorm fit 16 bits. The
/// normalised values of c channels are at most sqrt(c).
fn structure_pair_frac(norm: &LayerNorm) -> Result<u32, EncodeError> {
    let root = (norm.gain.len() as f64).sqrt();
    let channels = norm.gain.iter().zip(&norm.bias);
    let largest = channels.map(|(&g, &b)| root * f64::from(g.abs()) + f64::from(b.abs())).fold(0.0, f64::max);
    finest("fold.structure.pair_norm", largest, i16::MAX.into())
}

/// Shape, constants and units: as fine as lets every level of every site, and what is held between, stay below 2^23.
fn config(
    reference: &FoldReference,
    calibration: &Calibration,
    lm_stream_frac: u32,
) -> Result<Config, EncodeError> {
    let shape = reference.config();
    let held = |name: &str| calibration.largest.get(name).copied().unwrap_or(0.0);
    let between = (0..shape.blocks).map(|b| held(&format!("fold.trunk.{b}.sequence_transition.norm")));
    let sequence = between.fold(calibration.residual_range("fold.residual.sequence."), f64::max);
    let sequence_frac = finest("fold.residual.sequence", sequence, STREAM_MAX)?;
    let pair = calibration.residual_range("fold.residual.pair.");
    let pair_frac = finest("fold.residual.pair", pair, STREAM_MAX)?;
    let mix = calibration.residual_range("lm.").max(held("fold.embedding.norm"));
    let mix_frac = finest("fold.embedding.mix", mix, MIX_MAX)?.min(lm_stream_frac);
    let epsilon = reference.embedding.norm.eps;
    Ok(Config {
        blocks: shape.blocks,
        sequence_width: shape.sequence_width,
        sequence_heads: shape.sequence_heads,
        pair_width: shape.pair_width,
        pair_heads: shape.pair_heads,
        position_bins: shape.position_bins,
        passes: shape.max_recycles,
        sequence_frac,
        pair_frac,
        mix_frac,
        structure: StructureConfig {
            pair_frac: structure_pair_frac(&reference.structure_module.pair_norm)?,
            ..structure_shape(&shape.structure)
        },
        epsilon_mix: squares(epsilon, mix_frac),
        epsilon_sequence: squares(epsilon, sequence_frac),
        epsilon_pair: squares(epsilon, pair_frac),
        epsilon_activation: squares(epsilon, ACT_FRAC),
        epsilon_product: squares(epsilon, 2 * ACT_FRAC),
        sequence_temperature: temperature(shape.sequence_width / shape.sequence_heads),
        pair_temperature: temperature(shape.pair_width / shape.pair_heads),
    })
}

impl Encoder<'_> {
    /// Writes every tensor of the folding model. `lm_stream_frac` is the unit of the language model's residual stream.
    pub(super) fn fold(&mut self, reference: &FoldReference, lm_stream_frac: u32) -> Result<(), EncodeError> {
        let config = config(reference, self.calibration, lm_stream_frac)?;
        config.check().map_err(EncodeError::Shape)?;
        let record = config.to_record();
        self.writer.add_u32(CONFIG, &[record.len()], record.to_vec())?;
        self.embedding(reference, &config)?;
        self.recycling(reference, &config)?;
        self.residual("fold.residual.sequence.0", config.sequence_frac)?;
        self.residual("fold.residual.pair.0", config.pair_frac)?;
        let checkpoint = reference.language_model().checkpoint();
        for index in 0..config.blocks {
            self.block(&Block::load(checkpoint, reference.config(), index)?, &config)?;
        }
        self.structure_module(&reference.structure_module, &config)?;
        self.heads(&reference.heads)
    }

    fn embedding(&mut self, reference: &FoldReference, config: &Config) -> Result<(), EncodeError> {
        let (embedding, stream) = (&reference.embedding, per_one(config.sequence_frac));
        let shares = embedding.shares.iter().copied();
        self.table("fold.embedding.mix", &[shares.len()], shares, per_one(MIX_SHARE_FRAC))?;
        self.norm("fold.embedding.norm", &embedding.norm)?;
        self.linear("fold.embedding.up", &embedding.up, per_one(ACT_FRAC))?;
        self.linear("fold.embedding.down", &embedding.down, stream)?;
        let width = config.sequence_width;
        let rows = to_vec(&embedding.residues)?.into_iter().take(RESIDUES * width).map(f64::from);
        self.table("fold.embedding.residue", &[RESIDUES, width], rows, stream)
    }

    fn recycling(&mut self, reference: &FoldReference, config: &Config) -> Result<(), EncodeError> {
        let recycling = &reference.recycling;
        self.norm("fold.recycling.sequence_norm", &recycling.sequence_norm)?;
        self.norm("fold.recycling.pair_norm", &recycling.pair_norm)?;
        let tables = [("distance", &recycling.distances), ("position", &recycling.positions)];
        for (name, table) in tables {
            let values = to_vec(table)?.into_iter().map(f64::from);
            let shape = table.dims().to_vec();
            self.table(&format!("fold.recycling.{name}"), &shape, values, per_one(config.pair_frac))?;
        }
        Ok(())
    }
}
