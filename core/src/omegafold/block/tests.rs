//! A block against its operations one after another, each between the sites that are documented; what is
//! checked and what is planned.

use super::{Block, TrunkFormats};
use crate::arena::{Arena, ArenaError, bytes_of};
use crate::executor::{Executor, Serial};
use crate::format::testing::{File, Tensors};
use crate::format::{FormatError, ModelFile};
use crate::kernels::Isa;
use crate::kernels::testing::Random;
use crate::nn::Context;
use crate::nn::feed_forward::{Activation, FeedForward};
use crate::nn::stream::{Formats, Stream, StreamFormat};
use crate::nn::testing::{Backwards, Builder, with_memory};
use crate::omegafold::config::Config;
use crate::omegafold::config::tests::RELEASE_1;
use crate::omegafold::geometric_attention::{GeometricAttention, LayerFormats};
use crate::omegafold::request::RunError;
use crate::omegafold::sites::{CodeBytes, Sites};
use crate::quant::Site;
use crate::trunk::memory::PairMemory;
use crate::trunk::msa::memory::Memory as MsaMemory;
use crate::trunk::msa::msa_attention::MsaAttention;
use crate::trunk::msa::outer_product::OuterProduct;
use crate::trunk::msa::shape as msa;
use crate::trunk::pair_transition;
use crate::trunk::shape::{Representation, Shape};
use crate::trunk::testing::{FRAC, shape as trunk_shape};
use std::format;
use std::vec::Vec;

const HEADS: usize = 2;
const HEAD_WIDTH: usize = 8;
const NODE_WIDTH: usize = 3 * HEAD_WIDTH;
const PAIR_WIDTH: usize = HEADS * HEAD_WIDTH;
const OUTER: usize = 4;
const ROWS: usize = 3;

/// The last of two blocks is tried.
const BLOCK: usize = 1;

const CONFIG: Config = Config {
    blocks: BLOCK + 1,
    node_width: NODE_WIDTH,
    node_heads: NODE_WIDTH / HEAD_WIDTH,
    pair_width: PAIR_WIDTH,
    pair_heads: HEADS,
    geometric_layers: 2,
    outer_width: OUTER,
    node_frac: FRAC,
    pair_frac: FRAC,
    ..RELEASE_1
};

/// Bytes of a stored row: of the nodes, of the pairs, and of these within geometric attention.
const CODE_ROWS: [usize; 3] = [2 * NODE_WIDTH, 2 * PAIR_WIDTH, 2 * PAIR_WIDTH + 1];

/// Weights of the block, and sites of both, each with steps of its own.
fn tensors() -> Tensors {
    let mut to = Builder::new(5);
    let down = 16 - FRAC as i8;
    let (n, z) = (NODE_WIDTH, PAIR_WIDTH);
    let name = |part: &str| format!("fold.trunk.{BLOCK}.{part}");
    to.norm(&name("pair_bias.norm"), z);
    to.linear(&name("pair_bias.linear"), [z, CONFIG.node_heads], 0, 2);
    for part in ["row_attention", "column_attention"] {
        to.norm(&name(&format!("{part}.norm")), n);
        to.linear(&name(&format!("{part}.projections")), [n, 4 * n], 0, 2);
        to.linear(&name(&format!("{part}.output")), [n, n], down, 2);
    }
    to.norm(&name("outer_product.norm"), n);
    to.linear(&name("outer_product.projection"), [n, 2 * OUTER], 0, 2);
    to.linear(&name("outer_product.weights"), [OUTER, OUTER * z], 0, 2);
    let bias = to.random.many(z, |r| (r.normal() * 1000.0) as i32);
    to.tensors.put(&name("outer_product.bias"), &[z], &bias);
    for layer in 0..CONFIG.geometric_layers {
        let name = |part: &str| name(&format!("geometric.{layer}.{part}"));
        for part in ["attention_start", "attention_end"] {
            to.norm(&name(&format!("{part}.norm")), z);
            to.linear(&name(&format!("{part}.projections")), [z, 4 * z], 0, 0);
            to.linear(&name(&format!("{part}.bias")), [z, HEADS], 0, 0);
            to.linear(&name(&format!("{part}.output")), [z, z], down, 2);
        }
        for part in ["product", "product_turned"] {
            to.norm(&name(&format!("{part}.norm_in")), z);
            to.linear_of(&name(&format!("{part}.projections")), [z, 4 * z], 0, |_| Vec::from([3]));
            to.linear_of(&name(&format!("{part}.gate")), [z, z], 0, |_| Vec::from([3]));
            to.norm(&name(&format!("{part}.norm_out")), z);
            to.linear(&name(&format!("{part}.output")), [z, z], down, 2);
        }
    }
    for (part, width) in [("node_transition", n), ("pair_transition", z)] {
        to.norm(&name(&format!("{part}.norm")), width);
        to.linear(&name(&format!("{part}.up")), [width, 4 * width], 0, 2);
        to.linear(&name(&format!("{part}.down")), [4 * width, width], down, 2);
    }
    // Of two blocks: at the start, then two or four each; two layers each.
    for (kind, width, count) in [("node", n, 5), ("pair", z, 9), ("middle", z, 4)] {
        for index in 0..count {
            let record = [16, 0, 0, 0, 0, 0, 2 + index, 0];
            to.site(&format!("fold.residual.{kind}.{index}"), width, &record);
        }
    }
    to.tensors
}

fn trunk(residues: usize) -> Shape {
    let [node_row, pair_row, _] = CODE_ROWS;
    let both = trunk_shape(residues, HEADS, HEAD_WIDTH, pair_row);
    let (width, heads) = (CONFIG.node_width, CONFIG.node_heads);
    let sequence = Representation { width, heads, code_row: node_row, ..both.sequence };
    Shape { sequence, quantized_pair: PAIR_WIDTH + 4, ..both }
}

/// The representations, `[residues, rows]` and `[residues, residues]`; which entries are kept.
#[derive(Clone, PartialEq, Eq)]
struct Stored {
    node: Vec<u8>,
    pair: Vec<u8>,
    kept: Vec<u8>,
}

fn stored(file: &ModelFile, shape: &Shape) -> Stored {
    let mut random = Random(shape.residues as u64);
    let mut codes = |kind: &str, of: &Representation, rows: usize| {
        let values = random.many(rows * of.width, |r| (r.normal() * 4096.0) as i32);
        let mut codes = random.many(rows * of.code_row, |r| r.next() as u8);
        let site = if kind == "node" { 2 } else { 4 };
        let format = format(file, kind, site, of.width, of.code_row);
        format.encode(Isa::scalar().backend(), &values, &mut codes);
        codes
    };
    let node = codes("node", &shape.sequence, shape.residues * ROWS);
    let pair = codes("pair", &shape.pair, shape.residues * shape.residues);
    let row =
        |row: usize| (0..shape.residues).map(move |i| u8::from(row == 0 || !(i + row).is_multiple_of(4)));
    Stored { node, pair, kept: (0..ROWS).flat_map(row).collect() }
}

fn format<'a>(
    file: &ModelFile<'a>,
    kind: &str,
    index: usize,
    width: usize,
    code_row: usize,
) -> StreamFormat<'a> {
    StreamFormat {
        site: Site::load(file, &format!("fold.residual.{kind}.{index}"), width).unwrap(),
        code_row,
    }
}

/// What the block leaves behind, in exactly the planned memory.
fn by_block(file: &ModelFile, shape: &Shape, isa: Isa, executor: &dyn Executor) -> Stored {
    let [node_row, pair_row, middle_row] = CODE_ROWS;
    let mut found = stored(file, shape);
    let kept = found.kept.clone();
    let sizes = msa::Shape { trunk: shape, rows: ROWS, outer_width: OUTER };
    let context = Context { backend: isa.backend(), executor };
    let on = msa::Setting { context, shape: &sizes, kept: &kept };
    let block = block(file, middle_row);
    let mut formats = TrunkFormats {
        node: format(file, "node", 2, NODE_WIDTH, node_row),
        pair: format(file, "pair", 4, PAIR_WIDTH, pair_row),
    };
    let before = formats;
    let bytes = block.bytes(&sizes, executor.workers()).unwrap();
    with_memory(bytes, |memory| {
        let [mut node, mut pair] = [found.node.clone(), found.pair.clone()];
        let less = &mut memory[..bytes - 64];
        let short = block.run(&on, &mut formats, [&mut node, &mut pair], less);
        assert!(matches!(short, Err(RunError::Arena(ArenaError::TooSmall { .. }))), "{short:?}");
        formats = before;
        block.run(&on, &mut formats, [&mut found.node, &mut found.pair], memory).unwrap();
    });
    let step = |format: &StreamFormat| format.site.codec.to_record(16)[6];
    assert_eq!([step(&formats.node), step(&formats.pair)], [2 + 4, 2 + 8]);
    found
}

fn block<'a>(file: &ModelFile<'a>, middle_row: usize) -> Block<'static, 'a> {
    Block { sites: Sites { file: *file, config: &CONFIG }, index: BLOCK, middle_row }
}

/// The same by the operations, as docs/FORMAT.md says where each of them begins and ends.
fn by_operations(file: &ModelFile, shape: &Shape) -> Stored {
    let [node_row, pair_row, middle_row] = CODE_ROWS;
    let Stored { mut node, mut pair, kept } = stored(file, shape);
    let sizes = msa::Shape { trunk: shape, rows: ROWS, outer_width: OUTER };
    let context = Context { backend: Isa::scalar().backend(), executor: &Serial };
    let on = msa::Setting { context, shape: &sizes, kept: &kept };
    let node_site = |index| format(file, "node", index, NODE_WIDTH, node_row);
    let pair_site = |index| format(file, "pair", index, PAIR_WIDTH, pair_row);
    let around = |before, after| Formats { before, after };
    let name = "fold.trunk.1";
    let bytes = bytes_of(|counter| MsaMemory::take(counter, &sizes, 1)).unwrap();
    with_memory(bytes, |memory| {
        let mut memory = MsaMemory::take(&mut Arena::new(memory).unwrap(), &sizes, 1).unwrap();
        let attention = MsaAttention::load(file, name, CONFIG.node_heads, [NODE_WIDTH, PAIR_WIDTH]).unwrap();
        let formats = [around(node_site(2), node_site(3)), around(node_site(3), node_site(4))];
        let pairs = Stream { codes: &pair, format: pair_site(4) };
        attention.run(&on, &formats, &mut node, &pairs, &mut memory).unwrap();
        let product = OuterProduct::load(file, name, [NODE_WIDTH, OUTER, PAIR_WIDTH], FRAC).unwrap();
        let nodes = Stream { codes: &node, format: node_site(4) };
        product.run(&on, &nodes, &around(pair_site(4), pair_site(5)), &mut pair, &mut memory).unwrap();
    });
    let bytes = bytes_of(|counter| PairMemory::take(counter, shape, 1)).unwrap();
    with_memory(bytes, |memory| {
        let mut memory = PairMemory::take(&mut Arena::new(memory).unwrap(), shape, 1).unwrap();
        for layer in 0..2 {
            let middle = format(file, "middle", 2 + layer, PAIR_WIDTH, middle_row);
            let formats = LayerFormats { before: pair_site(5 + layer), middle, after: pair_site(6 + layer) };
            let attention =
                GeometricAttention { file: *file, block: BLOCK, layer, heads: HEADS, width: PAIR_WIDTH };
            with_memory(shape.residues * shape.residues * middle_row, |middle| {
                attention.run(&on.trunk(), &formats, [&mut pair, middle], &mut memory).unwrap();
            });
        }
        let widths = [PAIR_WIDTH, 4 * PAIR_WIDTH];
        let transition =
            FeedForward::load(file, "fold.trunk.1.pair_transition", widths, Activation::Relu).unwrap();
        let formats = around(pair_site(7), pair_site(8));
        pair_transition::run(&on.trunk(), &transition, &formats, &mut pair, memory.scratch).unwrap();
    });
    Stored { node, pair, kept }
}

#[test]
fn a_block_is_its_operations_one_after_another() {
    let File(bytes) = tensors().file();
    let file = ModelFile::parse(bytes.bytes()).unwrap();
    for residues in [1, 2, 5, 17] {
        let shape = trunk(residues);
        let expected = by_operations(&file, &shape);
        assert!(by_block(&file, &shape, Isa::scalar(), &Serial) == expected, "{residues} residues");
        for isa in Isa::all() {
            assert!(by_block(&file, &shape, isa, &Backwards) == expected, "{residues} residues, {isa:?}");
        }
    }
}

#[test]
fn a_block_needs_each_of_its_tensors() {
    let tensors = tensors();
    let check = |tensors: &Tensors| {
        let File(bytes) = tensors.file();
        let file = ModelFile::parse(bytes.bytes()).unwrap();
        let sites = Sites { file, config: &CONFIG };
        (block(&file, 1).check(), sites.check())
    };
    // One channel of the widest rows that are saved has two limbs; all codes have 16 bits.
    let bytes = CodeBytes { node: 2, pair: 2, middle: 2 };
    assert_eq!(check(&tensors), (Ok(PAIR_WIDTH + 4), Ok(bytes)));
    for name in tensors.0.keys() {
        let mut fewer = tensors.clone();
        fewer.0.remove(name);
        let missing = FormatError::missing_tensor(name);
        let expected = match name.starts_with("fold.residual.") {
            true => (Ok(PAIR_WIDTH + 4), Err(missing)),
            false => (Err(missing), Ok(bytes)),
        };
        assert_eq!(check(&fewer), expected);
    }
}
