//! The shape of an ESM-2 language model.

use crate::fixed::{ACT_FRAC, Multiplier};
use crate::format::{FormatError, ModelFile};
use crate::kernels::linear::GROUP;

/// Name of the configuration tensor.
pub const CONFIG: &str = "lm.config";

/// Values in the configuration tensor.
pub const CONFIG_LEN: usize = 16;

/// The shape and the constants of a language model, as `lm.config` stores them.
///
/// Whoever writes a model file begins with the default, in which everything is 0, assigns every field, and
/// has it [checked](Self::check).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Tokens in the vocabulary (33 for ESM-2).
    pub vocab: usize,
    /// Transformer layers.
    pub layers: usize,
    /// Channels of the residual stream.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Channels of the feed-forward network.
    pub ffn: usize,
    /// Whether embeddings are scaled by 0.88 / (1 - share of masked tokens).
    pub token_dropout: bool,
    /// Whether the file has a contact head.
    pub contact_head: bool,
    /// Whether the file has a language model head.
    pub lm_head: bool,
    /// Fractional bits of the residual stream's unit.
    pub stream_frac: u32,
    /// Longest sequence in training, special tokens included. Longer ones run (rotary positions have no end).
    pub max_positions: usize,
    /// The token whose embedding is zero.
    pub mask_token: u8,
    /// LayerNorm's epsilon in squares of the stream's unit.
    pub epsilon: u64,
    /// LayerNorm's epsilon in squares of the activation unit, for the norm of the language model head.
    pub epsilon_activation: u64,
    /// `log2(e) * 2^11 * 2^-32 / (key_scale_max(head width) * sqrt(head width))`: see
    /// `kernels::attention::Temperature`.
    pub temperature: Multiplier,
}

impl Config {
    /// Channels of one head; 0 without heads.
    pub const fn head_width(&self) -> usize {
        match self.width.checked_div(self.heads) {
            Some(width) => width,
            None => 0,
        }
    }

    /// Reads and checks `lm.config`.
    pub fn load(file: &ModelFile) -> Result<Self, FormatError> {
        let values = file.u32s(CONFIG, &[CONFIG_LEN])?;
        let mut record = [0; CONFIG_LEN];
        record.iter_mut().zip(values).for_each(|(field, &value)| *field = value);
        let config = Self::from_record(&record);
        config.check().map_err(|what| FormatError::bad_value(CONFIG, what))?;
        // What this version does not know must not be ignored: it would change the outputs.
        if config.to_record() != record {
            return Err(FormatError::bad_value(
                CONFIG,
                "an unknown flag, a mask token above 255, or a reserved value",
            ));
        }
        Ok(config)
    }

    /// The values of `lm.config`: vocab, layers, width, heads, ffn, flags (1 token dropout, 2 contact head, 4
    /// language model head), stream_frac, max_positions, mask token, epsilon low and high, epsilon_activation
    /// low and high, temperature mantissa and shift, 0.
    pub const fn to_record(&self) -> [u32; CONFIG_LEN] {
        let flags = self.token_dropout as u32 | (self.contact_head as u32) << 1 | (self.lm_head as u32) << 2;
        [
            self.vocab as u32,
            self.layers as u32,
            self.width as u32,
            self.heads as u32,
            self.ffn as u32,
            flags,
            self.stream_frac,
            self.max_positions as u32,
            self.mask_token as u32,
            self.epsilon as u32,
            (self.epsilon >> 32) as u32,
            self.epsilon_activation as u32,
            (self.epsilon_activation >> 32) as u32,
            self.temperature.mantissa as u32,
            self.temperature.shift as u32,
            0,
        ]
    }

    /// The reverse of [`to_record`](Self::to_record); unknown flags and the reserved value are dropped.
    pub const fn from_record(record: &[u32; CONFIG_LEN]) -> Self {
        let &[
            vocab,
            layers,
            width,
            heads,
            ffn,
            flags,
            stream_frac,
            max_positions,
            mask,
            e0,
            e1,
            a0,
            a1,
            tm,
            ts,
            _,
        ] = record;
        Self {
            vocab: vocab as usize,
            layers: layers as usize,
            width: width as usize,
            heads: heads as usize,
            ffn: ffn as usize,
            token_dropout: flags & 1 != 0,
            contact_head: flags & 2 != 0,
            lm_head: flags & 4 != 0,
            stream_frac,
            max_positions: max_positions as usize,
            mask_token: mask as u8,
            epsilon: e0 as u64 | (e1 as u64) << 32,
            epsilon_activation: a0 as u64 | (a1 as u64) << 32,
            temperature: Multiplier { mantissa: tm as i32, shift: ts as i32 },
        }
    }

    /// Everything that the forward pass relies on.
    pub fn check(&self) -> Result<(), &'static str> {
        match () {
            () if self.vocab == 0 || self.vocab > 256 => Err("the vocabulary must have 1 to 256 tokens"),
            () if self.layers == 0 || self.layers > 256 => Err("there must be 1 to 256 layers"),
            () if self.heads == 0 || self.heads > 256 => Err("there must be 1 to 256 heads"),
            () if self.width == 0 || self.width > 16_384 => Err("the width must be 1 to 16384"),
            () if !self.width.is_multiple_of(self.heads) => Err("the heads must divide the width"),
            () if !self.head_width().is_multiple_of(2 * GROUP) || self.head_width() > 256 => {
                Err("the head width must be a multiple of 8, at most 256")
            }
            () if self.ffn == 0 || self.ffn > 65_536 => Err("the feed-forward width must be 1 to 65536"),
            () if self.stream_frac > ACT_FRAC => Err("the stream has at most 16 fractional bits"),
            () if self.temperature.mantissa < 1 << 30 => {
                Err("the temperature mantissa must be at least 2^30")
            }
            () if self.temperature.shift < 0 || self.temperature.shift > 127 => {
                Err("the temperature shift must be 0 to 127")
            }
            () => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ESM2_8M: Config = Config {
        vocab: 33,
        layers: 6,
        width: 320,
        heads: 20,
        ffn: 1280,
        token_dropout: true,
        contact_head: true,
        lm_head: false,
        stream_frac: 14,
        max_positions: 1026,
        mask_token: 32,
        epsilon: 3 << 33,
        epsilon_activation: 42_950,
        temperature: Multiplier { mantissa: 1 << 30, shift: 61 },
    };

    #[test]
    fn records_round_trip() {
        assert_eq!(Config::from_record(&ESM2_8M.to_record()), ESM2_8M);
        assert_eq!(ESM2_8M.check(), Ok(()));
    }

    #[test]
    fn shapes_that_can_not_run_are_refused() {
        assert!(Config::default().check().is_err());
        let refused = |change: fn(&mut Config)| {
            let mut config = ESM2_8M;
            change(&mut config);
            config.check().is_err()
        };
        assert!(refused(|c| c.vocab = 0));
        assert!(refused(|c| c.layers = 0));
        assert!(refused(|c| c.heads = 0));
        assert!(refused(|c| c.heads = 3));
        assert!(refused(|c| c.heads = 80));
        assert!(refused(|c| c.width = 0));
        assert!(refused(|c| c.ffn = 0));
        assert!(refused(|c| c.stream_frac = 17));
        assert!(refused(|c| c.temperature.mantissa = -1));
        assert!(refused(|c| c.temperature.shift = -1));
    }
}
