//! The blocks of the folding trunk.

use std::f64::consts::LOG2_E;

use foldpoint_core::esmfold::Config;
use foldpoint_core::fixed::ACT_FRAC;

use super::{EncodeError, Encoder, per_one};
use crate::reference::Linear;
use crate::reference::esmfold::block::Block;
use crate::reference::esmfold::sequence_attention::SequenceAttention;
use crate::reference::esmfold::sequence_to_pair::SequenceToPair;
use crate::reference::esmfold::transition::Transition;
use crate::reference::esmfold::triangle_attention::TriangleAttention;
use crate::reference::esmfold::triangle_multiplication::TriangleMultiplication;

impl Encoder<'_> {
    /// Writes a trunk block and the codecs of the representations after its operations.
    pub(super) fn block(&mut self, block: &Block, config: &Config) -> Result<(), EncodeError> {
        let index = block.index;
        let below = |part: &str| format!("fold.trunk.{index}.{part}");
        let (activation, logit) = (per_one(ACT_FRAC), per_one(ACT_FRAC) * LOG2_E);
        let (sequence, pair) = (per_one(config.sequence_frac), per_one(config.pair_frac));

        self.norm(&below("pair_bias.norm"), &block.pair_bias.norm)?;
        self.linear(&below("pair_bias.linear"), &block.pair_bias.linear, logit)?;
        self.sequence_attention(&below("sequence_attention"), &block.sequence_attention, sequence)?;
        self.transition(&below("sequence_transition"), &block.sequence_transition, sequence)?;
        self.residual(&format!("fold.residual.sequence.{}", index + 1), config.sequence_frac)?;

        let SequenceToPair { norm, projection, output } = &block.sequence_to_pair;
        self.norm(&below("sequence_to_pair.norm"), norm)?;
        self.linear(&below("sequence_to_pair.projection"), projection, activation)?;
        self.linear(&below("sequence_to_pair.output"), output, pair)?;
        let multiplications = [
            ("triangle_multiplication_out", &block.triangle_multiplication_out),
            ("triangle_multiplication_in", &block.triangle_multiplication_in),
        ];
        for (name, multiplication) in multiplications {
            self.triangle_multiplication(&below(name), multiplication, pair)?;
        }
        let attentions = [
            ("triangle_attention_start", &block.triangle_attention_start),
            ("triangle_attention_end", &block.triangle_attention_end),
        ];
        for (name, attention) in attentions {
            self.triangle_attention(&below(name), attention, pair)?;
        }
        self.transition(&below("pair_transition"), &block.pair_transition, pair)?;
        for operation in 1..=6 {
            self.residual(&format!("fold.residual.pair.{}", 6 * index + operation), config.pair_frac)?;
        }
        Ok(())
    }

    fn sequence_attention(
        &mut self,
        name: &str,
        attention: &SequenceAttention,
        stream: f64,
    ) -> Result<(), EncodeError> {
        let SequenceAttention { norm, qkv, gate, output, .. } = attention;
        self.norm(&format!("{name}.norm"), norm)?;
        let joined = Linear::join(&[qkv, gate])?;
        self.linear(&format!("{name}.projections"), &joined, per_one(ACT_FRAC))?;
        self.linear(&format!("{name}.output"), output, stream)
    }

    fn transition(&mut self, name: &str, transition: &Transition, stream: f64) -> Result<(), EncodeError> {
        let Transition { norm, up, down } = transition;
        self.norm(&format!("{name}.norm"), norm)?;
        self.linear(&format!("{name}.up"), up, per_one(ACT_FRAC))?;
        self.linear(&format!("{name}.down"), down, stream)
    }

    fn triangle_multiplication(
        &mut self,
        name: &str,
        multiplication: &TriangleMultiplication,
        stream: f64,
    ) -> Result<(), EncodeError> {
        let TriangleMultiplication { norm_in, a, a_gate, b, b_gate, gate, norm_out, output, .. } =
            multiplication;
        self.norm(&format!("{name}.norm_in"), norm_in)?;
        let projections = format!("{name}.projections");
        self.linear(&projections, &Linear::join(&[a, a_gate, b, b_gate])?, per_one(ACT_FRAC))?;
        self.linear_at(&format!("{name}.gate"), &projections, gate, per_one(ACT_FRAC))?;
        self.norm(&format!("{name}.norm_out"), norm_out)?;
        self.linear(&format!("{name}.output"), output, stream)
    }

    fn triangle_attention(
        &mut self,
        name: &str,
        attention: &TriangleAttention,
        stream: f64,
    ) -> Result<(), EncodeError> {
        let TriangleAttention { norm, bias, q, k, v, gate, output, .. } = attention;
        self.norm(&format!("{name}.norm"), norm)?;
        let projections = format!("{name}.projections");
        self.linear(&projections, &Linear::join(&[q, k, v, gate])?, per_one(ACT_FRAC))?;
        self.linear_at(&format!("{name}.bias"), &projections, bias, per_one(ACT_FRAC) * LOG2_E)?;
        self.linear(&format!("{name}.output"), output, stream)
    }
}
