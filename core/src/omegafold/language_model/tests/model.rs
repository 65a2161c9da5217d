//! A small random language model with both embeddings: as a file in memory, and as the real numbers that its
//! weights stand for.

use crate::fixed::Multiplier;
use crate::format::testing::Tensors;
use crate::kernels::attention::key_scale_max;
use crate::nn::testing::{Builder, RealLinear, RealNorm};
use crate::omegafold::config::Config;
use crate::omegafold::config::tests::RELEASE_1;
use std::format;
use std::vec;
use std::vec::Vec;

/// The sizes of the golden model, `tests/golden/omegafold-tiny`.
pub const TINY: Config = Config {
    layers: 3,
    width: 32,
    value_width: 48,
    query_width: 16,
    offset_bins: 4,
    node_width: 16,
    pair_width: 16,
    stream_frac: 12,
    node_frac: 12,
    pair_frac: 12,
    // 1e-5 in squares of 2^-12; less 1 part in 32, in squares of 2^-16; less 1 part in 3, in squares of 2^-20.
    epsilon_stream: 168,
    epsilon_features: 41_607,
    epsilon_maps: 7_330_078,
    ..RELEASE_1
};

/// One layer in real numbers.
pub struct Layer {
    /// Values, then the base of queries and keys.
    pub projections: RealLinear,
    pub gate: RealLinear,
    /// `[4, query_width]`: gains of queries and keys, then their biases.
    pub query_key: Vec<f64>,
    /// Natural logits.
    pub positions: Vec<f64>,
    pub output: RealLinear,
}

/// How exact a model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Few channels have two limbs, and the stream has room for embeddings times 88.
    Usual,
    /// All channels have two limbs, and the stream's steps are finer: what is left is attention's rounding.
    Fine,
}

impl Precision {
    /// Channels with two limbs.
    fn outliers(self, count: usize, width: usize) -> usize {
        if self == Self::Fine { width } else { count }
    }
}

/// A model, and what it stands for.
pub struct Model {
    pub config: Config,
    pub tensors: Tensors,
    /// `[vocab, width]`
    pub embedding: Vec<f64>,
    pub layers: Vec<Layer>,
    pub norm: RealNorm,
    pub node: RealLinear,
    pub pair: RealLinear,
}

/// A real number as a multiplier.
fn multiplier(value: f64) -> Multiplier {
    let shift = 30 - libm::ilogb(value);
    Multiplier { mantissa: libm::ldexp(value, shift) as i32, shift }
}

impl Model {
    /// Of the given shape; the stream is stored in 16 bits.
    pub fn random(seed: u64, config: Config) -> Self {
        Self::with(seed, config, Precision::Usual)
    }

    /// Of the given shape and precision.
    pub fn with(seed: u64, config: Config, precision: Precision) -> Self {
        let width = config.query_width as f64;
        let score = f64::from(key_scale_max(config.query_width)) * libm::sqrt(width) * libm::log(512.0);
        let stream_temperature = multiplier(libm::exp2(-16.0) / score);
        let config = Config { stream_temperature, ..config };
        let Config { vocab, layers, width, query_width, .. } = config;
        let mut builder = Builder::new(seed);
        let one = libm::ldexp(1.0, config.stream_frac as i32);
        let embedding = builder.random.many(vocab * width, |r| (r.normal() * one * 0.4) as i32);
        builder.tensors.put("lm.embedding", &[vocab, width], &embedding);
        let half = query_width / 2;
        let phase = |pair: usize| {
            let radians = libm::pow(10_000.0, -(pair as f64) / half as f64);
            (radians / core::f64::consts::TAU * 4_294_967_296.0) as u32
        };
        builder.tensors.put("lm.rotary", &[half], &(0..half).map(phase).collect::<Vec<u32>>());
        site(&mut builder, 0, width, precision);
        let drawn = (0..layers).map(|index| layer(&mut builder, &config, index, precision)).collect();
        let norm = builder.norm("lm.norm", width);
        plain(&mut builder.tensors, "fold.embedding.node_norm", width, true);
        let down = |frac: u32| 16 - frac as i8;
        let node =
            builder.linear("fold.embedding.node", [width, config.node_width], down(config.node_frac), 3);
        plain(&mut builder.tensors, "fold.embedding.pair_norm", layers, true);
        let pair = [layers, config.pair_width];
        let pair = builder.linear("fold.embedding.pair", pair, down(config.pair_frac), layers);
        Self {
            config,
            embedding: embedding.iter().map(|&v| f64::from(v) / one).collect(),
            layers: drawn,
            norm,
            node,
            pair,
            tensors: builder.tensors,
        }
    }
}

/// Steps of 2^-8 and 2^-7, up to 128 and 256; or an eighth of that.
fn site(builder: &mut Builder, index: usize, width: usize, precision: Precision) {
    let step = if precision == Precision::Fine { 2 } else { 16 };
    builder.site(&format!("lm.residual.{index}"), width, &[16, 0, 0, 0, 0, 0, step, 0]);
}

/// A normalization without gain and bias; or with a gain that makes its variance divide by one less.
fn plain(tensors: &mut Tensors, name: &str, width: usize, unbiased: bool) {
    let share = if unbiased { (width as f64 - 1.0) / width as f64 } else { 1.0 };
    let gain = libm::round(libm::ldexp(libm::sqrt(share), 20)) as i32;
    tensors.put(&format!("{name}.gain"), &[width], &vec![gain; width]);
    tensors.put(&format!("{name}.bias"), &[width], &vec![0i32; width]);
}

fn layer(builder: &mut Builder, config: &Config, index: usize, precision: Precision) -> Layer {
    let Config { width, value_width, query_width, .. } = *config;
    let name = |part: &str| format!("lm.layers.{index}.{part}");
    plain(&mut builder.tensors, &name("norm"), width, false);
    let outliers = builder.random.channels(precision.outliers(3, width), width);
    let same = outliers.clone();
    let projections = [width, value_width + query_width];
    let projections = builder.linear_of(&name("projections"), projections, 0, |_| outliers);
    let gate = builder.linear_of(&name("gate"), [width, value_width], 0, |_| same);
    let fracs = [20, 20, 16, 16];
    let query_key: Vec<i32> = fracs
        .into_iter()
        .flat_map(|frac| {
            let centre = if frac == 20 { 3.0 } else { 0.0 };
            let of_row = builder.random.many(query_width, |r| r.normal() + centre);
            of_row.into_iter().map(move |v| libm::ldexp(v, frac) as i32)
        })
        .collect();
    builder.tensors.put(&name("query_key"), &[4, query_width], &query_key);
    let positions = builder.random.many(config.offsets(), |r| (r.normal() * 65_536.0) as i32);
    builder.tensors.put(&name("positions"), &[config.offsets()], &positions);
    let down = 16 - config.stream_frac as i8;
    let outliers = precision.outliers(5, value_width);
    let output = builder.linear(&name("output"), [value_width, width], down, outliers);
    site(builder, index + 1, width, precision);
    let real = |(at, &value): (usize, &i32)| libm::ldexp(value.into(), -fracs[at / query_width]);
    let natural = |&value: &i32| f64::from(value) / 65_536.0 * core::f64::consts::LN_2;
    Layer {
        projections,
        gate,
        query_key: query_key.iter().enumerate().map(real).collect(),
        positions: positions.iter().map(natural).collect(),
        output,
    }
}
