//! A small random model, as a file in memory.

use crate::esm::{CONFIG, CONFIG_LEN, Config};
use crate::format::testing::Tensors;
use crate::kernels::testing::temperature_constant;
use crate::nn::testing::Builder as Weights;
use std::format;
use std::vec::Vec;

/// Two layers; three heads of 16 channels.
pub const CONFIG_SMALL: Config = Config {
    vocab: 33,
    layers: 2,
    width: 48,
    heads: 3,
    ffn: 96,
    token_dropout: true,
    contact_head: true,
    lm_head: true,
    stream_frac: 12,
    max_positions: 1026,
    mask_token: 32,
    // 1e-5 in squares of 2^-12 and of 2^-16.
    epsilon: 168,
    epsilon_activation: 42_950,
    temperature: crate::fixed::Multiplier { mantissa: 1 << 30, shift: 61 },
};

/// A model of random weights whose activations have about the size of a real one's. Site 1 stores 16 bits
/// between sites of 8; a shape of `config` may be anything legal.
pub fn random_model(seed: u64, config: Config) -> Tensors {
    let config = Config { temperature: temperature_constant(config.head_width()), ..config };
    let mut builder = Builder { weights: Weights::new(seed), config };
    builder.trunk();
    let mut weights = builder.weights;
    if config.lm_head {
        weights.linear("lm.head.dense", [config.width, config.width], 0, 4);
        weights.norm("lm.head.norm", config.width);
        weights.linear("lm.head.decoder", [config.width, config.vocab], 0, 0);
    }
    if config.contact_head {
        let maps = config.layers * config.heads;
        let values = weights.random.many(maps, |r| (r.normal() * 3000.0) as i16);
        weights.tensors.put("lm.contact.weight", &[maps], &values);
        weights.tensors.put("lm.contact.param", &[2], &[10i32, -1 << 20]);
    }
    weights.tensors
}

struct Builder {
    weights: Weights,
    config: Config,
}

impl Builder {
    fn trunk(&mut self) {
        let Config { vocab, layers, width, ffn, stream_frac, .. } = self.config;
        let record: [u32; CONFIG_LEN] = self.config.to_record();
        self.weights.tensors.put(CONFIG, &[CONFIG_LEN], &record);
        let one = libm::ldexp(1.0, stream_frac as i32);
        let embedding = self.weights.random.many(vocab * width, |r| (r.normal() * one) as i32);
        self.weights.tensors.put("lm.embedding", &[vocab, width], &embedding);
        let half = self.config.head_width() / 2;
        let phase = |pair: usize| {
            let radians = libm::pow(10_000.0, -(pair as f64) / half as f64);
            (radians / core::f64::consts::TAU * 4_294_967_296.0) as u32
        };
        self.weights.tensors.put("lm.rotary", &[half], &(0..half).map(phase).collect::<Vec<u32>>());
        self.residual(0);
        let to_stream = 16 - stream_frac as i8;
        for index in 0..layers {
            let name = |part: &str| format!("lm.layers.{index}.{part}");
            let weights = &mut self.weights;
            weights.norm(&name("attention.norm"), width);
            weights.linear(&name("attention.qkv"), [width, 3 * width], 0, 3);
            weights.linear(&name("attention.output"), [width, width], to_stream, 0);
            weights.norm(&name("ffn.norm"), width);
            weights.linear(&name("ffn.up"), [width, ffn], 0, 5);
            weights.linear(&name("ffn.down"), [ffn, width], to_stream, 10);
            self.residual(index + 1);
        }
        self.weights.norm("lm.norm", width);
    }

    fn residual(&mut self, k: usize) {
        let record = if k == 1 { [16, 0, 0, 0, 0, 0, 2, 0] } else { [8, 20, 107, 107, 20, 900, 100, 1000] };
        self.weights.site(&format!("lm.residual.{k}"), self.config.width, &record);
    }
}
