//! Token embedding.

use super::config::Config;
use super::pass::Pass;
use crate::fixed::Divisor;
use crate::fixed::saturate::to_i32;
use crate::quant::Site;

/// Channels that are scaled and encoded at a time.
const CHANNELS: usize = 64;

/// The factor of every embedding under token dropout: 0.88 / (1 - masked / tokens), as a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropout {
    numerator: u64,
    denominator: Divisor,
}

impl Dropout {
    /// The training mask ratio is 0.15 * 0.8 (`EsmEmbeddings.forward`).
    pub fn new(tokens: &[u8], config: &Config) -> Self {
        if !config.token_dropout {
            return Self { numerator: 1, denominator: Divisor::new(1) };
        }
        let masked = tokens.iter().filter(|&&token| token == config.mask_token).count();
        let kept = tokens.len().saturating_sub(masked).max(1);
        Self { numerator: 88 * tokens.len() as u64, denominator: Divisor::new(100 * kept as u64) }
    }
}

impl Pass<'_, '_> {
    /// Encodes one token's scaled embedding; a masked token is zero under token dropout.
    pub(super) fn embed_token(&self, token: u8, factor: Dropout, site: &Site, codes: &mut [u8]) {
        let config = &self.model.config;
        let from = usize::from(token) * config.width;
        let row = self.model.embedding.get(from..from + config.width).unwrap_or_default();
        let zero = config.token_dropout && token == config.mask_token;
        let bytes = site.codec.bytes_per_value();
        let channels = row.chunks(CHANNELS).zip(site.exponents.chunks(CHANNELS));
        for ((x, exponents), codes) in channels.zip(codes.chunks_mut(CHANNELS * bytes)) {
            let mut scaled = [0; CHANNELS];
            let scaled = &mut scaled[..x.len()];
            if !zero {
                scaled.iter_mut().zip(x).for_each(|(scaled, &x)| *scaled = factor.apply(x));
            }
            (self.context.backend.encode)(&Site { codec: site.codec, exponents }, scaled, codes, codes.len());
        }
    }
}

impl Dropout {
    /// To nearest, half away from zero.
    fn apply(self, x: i32) -> i32 {
        let half = self.denominator.get() / 2;
        let scaled = self.denominator.divide(u64::from(x.unsigned_abs()) * self.numerator + half) as i64;
        let scaled = if x < 0 { scaled.wrapping_neg() } else { scaled };
        to_i32(scaled)
    }
}
