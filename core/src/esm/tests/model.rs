//! A small random model, as a file in memory.

use crate::AlignedBytes;
use crate::esm::{CONFIG, CONFIG_LEN, Config};
use crate::format::{ALIGNMENT, DType, ENTRY_BYTES, Element, Entry, HEADER_BYTES, Header, Shape, checksum};
use crate::kernels::testing::{Layer, Random, temperature_constant};
use crate::quant::Codec;
use std::collections::BTreeMap;
use std::format;
use std::string::String;
use std::vec;
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

/// One tensor before it is written.
#[derive(Clone, Debug)]
pub struct Payload {
    pub dtype: DType,
    pub dims: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// The tensors of a model by name, which is the order of a file.
#[derive(Clone, Debug, Default)]
pub struct Tensors(pub BTreeMap<String, Payload>);

impl Tensors {
    pub fn put<T: Element>(&mut self, name: &str, dims: &[usize], values: &[T]) {
        assert_eq!(dims.iter().product::<usize>(), values.len(), "{name}");
        let payload =
            Payload { dtype: T::DTYPE, dims: dims.to_vec(), bytes: bytemuck::cast_slice(values).to_vec() };
        self.0.insert(name.into(), payload);
    }

    pub fn get<T: Element>(&self, name: &str) -> Vec<T> {
        self.0[name].bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect()
    }

    /// A legal file with right checksums, whatever the payloads hold.
    pub fn file(&self) -> File {
        let mut directory = Vec::new();
        let mut payloads: Vec<u8> = Vec::new();
        let start = HEADER_BYTES + self.0.len() * ENTRY_BYTES;
        for (name, Payload { dtype, dims, bytes }) in &self.0 {
            let entry = Entry {
                name,
                offset: (start + payloads.len()) as u64,
                length: bytes.len() as u64,
                shape: Shape::new(dims).expect("1 to 4 dimensions"),
                checksum: checksum(bytes),
                dtype: *dtype,
            };
            directory.extend(entry.encode());
            payloads.extend(bytes);
            payloads.resize(payloads.len().next_multiple_of(ALIGNMENT), 0);
        }
        let header = Header {
            tensor_count: self.0.len() as u32,
            file_length: (start + payloads.len()) as u64,
            directory_checksum: checksum(&directory),
        };
        File(AlignedBytes::copy_of(&[&header.encode()[..], &directory, &payloads].concat()))
    }
}

/// A model file.
#[derive(Clone, Debug)]
pub struct File(pub AlignedBytes);

/// A model of random weights whose activations have about the size of a real one's. Site 1 stores 16 bits
/// between sites of 8; a shape of `config` may be anything legal.
pub fn random_model(seed: u64, config: Config) -> Tensors {
    let config = Config { temperature: temperature_constant(config.head_width()), ..config };
    let mut builder = Builder { random: Random(seed), tensors: Tensors::default(), config };
    builder.trunk();
    if config.lm_head {
        builder.linear("lm.head.dense", [config.width, config.width], 0, 4);
        builder.norm("lm.head.norm");
        builder.linear("lm.head.decoder", [config.width, config.vocab], 0, 0);
    }
    if config.contact_head {
        let maps = config.layers * config.heads;
        let weights = builder.random.many(maps, |r| (r.normal() * 3000.0) as i16);
        builder.tensors.put("lm.contact.weight", &[maps], &weights);
        builder.tensors.put("lm.contact.param", &[2], &[10i32, -1 << 20]);
    }
    builder.tensors
}

struct Builder {
    random: Random,
    tensors: Tensors,
    config: Config,
}

impl Builder {
    fn trunk(&mut self) {
        let Config { vocab, layers, width, ffn, stream_frac, .. } = self.config;
        let record: [u32; CONFIG_LEN] = self.config.to_record();
        self.tensors.put(CONFIG, &[CONFIG_LEN], &record);
        let one = libm::ldexp(1.0, stream_frac as i32);
        let embedding = self.random.many(vocab * width, |r| (r.normal() * one) as i32);
        self.tensors.put("lm.embedding", &[vocab, width], &embedding);
        let half = self.config.head_width() / 2;
        let phase = |pair: usize| {
            let radians = libm::pow(10_000.0, -(pair as f64) / half as f64);
            (radians / core::f64::consts::TAU * 4_294_967_296.0) as u32
        };
        self.tensors.put("lm.rotary", &[half], &(0..half).map(phase).collect::<Vec<u32>>());
        self.residual(0);
        let to_stream = 16 - stream_frac as i8;
        for index in 0..layers {
            let name = |part: &str| format!("lm.layers.{index}.{part}");
            self.norm(&name("attention.norm"));
            self.linear(&name("attention.qkv"), [width, 3 * width], 0, 3);
            self.linear(&name("attention.output"), [width, width], to_stream, 0);
            self.norm(&name("ffn.norm"));
            self.linear(&name("ffn.up"), [width, ffn], 0, 5);
            self.linear(&name("ffn.down"), [ffn, width], to_stream, 10);
            self.residual(index + 1);
        }
        self.norm("lm.norm");
    }

    /// Weights of standard deviation 1 / sqrt(inputs); the output is `down` bits coarser than the input.
    fn linear(&mut self, name: &str, [inputs, outputs]: [usize; 2], down: i8, outliers: usize) {
        let random = &mut self.random;
        let matrix = random.many(inputs * outputs, |r| (r.normal() * 40.0) as i8);
        let mut layer = Layer::pack(&matrix, inputs, outputs, &random.channels(outliers, inputs));
        let unit = 1.0 / (40.0 * libm::sqrt(inputs as f64));
        let shift = 15 - libm::ilogb(unit);
        layer.mantissa = random
            .many(outputs, |r| (libm::ldexp(unit * (1.0 + r.normal() / 10.0), shift) as u16).max(1 << 15));
        layer.shift = vec![shift as i8 + down; outputs];
        layer.bias = random.many(outputs, |r| (r.normal() * libm::ldexp(0.1, 16 - i32::from(down))) as i32);
        let put = |tensors: &mut Tensors| {
            let groups = layer.view().panel_groups();
            tensors.put(&format!("{name}.weight"), &[outputs.div_ceil(16), groups, 16, 4], &layer.weight);
            tensors.put(&format!("{name}.bias"), &[outputs], &layer.bias);
            tensors.put(&format!("{name}.mantissa"), &[outputs], &layer.mantissa);
            tensors.put(&format!("{name}.shift"), &[outputs], &layer.shift);
            tensors.put(&format!("{name}.rowsum"), &[outputs], &layer.row_sum);
            tensors.put(&format!("{name}.outliers"), &[layer.outliers.len()], &layer.outliers);
        };
        put(&mut self.tensors);
    }

    fn norm(&mut self, name: &str) {
        let width = self.config.width;
        let one = f64::from(1 << 20);
        let gain = self.random.many(width, |r| ((1.0 + r.normal() / 5.0) * one) as i32);
        let bias = self.random.many(width, |r| (r.normal() * 5000.0) as i32);
        self.tensors.put(&format!("{name}.gain"), &[width], &gain);
        self.tensors.put(&format!("{name}.bias"), &[width], &bias);
    }

    fn residual(&mut self, k: usize) {
        let width = self.config.width;
        let name = format!("lm.residual.{k}");
        let record = if k == 1 { [16, 0, 0, 0, 0, 0, 2, 0] } else { [8, 20, 107, 107, 20, 900, 100, 1000] };
        let exponents = self.random.many(width, |r| r.below(2) as u8);
        assert!(Codec::from_record(&record, 1).is_ok());
        self.tensors.put(&name, &[record.len()], &record);
        self.tensors.put(&format!("{name}.exponent"), &[width], &exponents);
    }
}
