//! Whole runs over random weights: whatever runs them, and what they follow from.

use super::config::tests::RELEASE_1;
use super::{
    CONFIDENCE_BINS, CONFIG, CONFIG_LEN, Config, DISTANCE_BINS, Event, FoldingModel, NODE_SITES, RESIDUES,
    Request, RunError, pair_sites,
};
use crate::arena::ArenaError;
use crate::executor::{Executor, Serial};
use crate::fixed::Multiplier;
use crate::format::ModelFile;
use crate::format::testing::File;
use crate::geometry::Residue;
use crate::kernels::Isa;
use crate::kernels::attention::key_scale_max;
use crate::nn::testing::{Backwards, Builder, with_memory};
use crate::quant::Codec;
use crate::runtime::Runtime;
use crate::structure::Config as StructureConfig;
use core::ops::ControlFlow;
use std::format;
use std::vec;
use std::vec::Vec;

const FRAC: u32 = 12;
const DOWN: i8 = 16 - FRAC as i8;

/// Codec of 16 bits: to ±32.
const WIDE: [i32; Codec::RECORD_LEN] = [16, 0, 0, 0, 0, 0, 4, 0];

fn multiplier(value: f64) -> Multiplier {
    let shift = 30 - libm::ilogb(value);
    Multiplier { mantissa: libm::ldexp(value, shift) as i32, shift }
}

/// What a score is worth, for heads of so many channels.
fn temperature(width: usize, factor: f64) -> Multiplier {
    multiplier(factor * libm::exp2(-16.0) / (f64::from(key_scale_max(width)) * libm::sqrt(width as f64)))
}

fn config() -> Config {
    let (log2_e, of_log2) = (core::f64::consts::LOG2_E, 1.0 / libm::log(512.0));
    Config {
        layers: 2,
        width: 24,
        value_width: 32,
        query_width: 8,
        offset_bins: 4,
        blocks: 2,
        node_width: 24,
        node_heads: 3,
        pair_width: 16,
        pair_heads: 2,
        outer_width: 4,
        position_bins: 3,
        confidence_width: 12,
        stream_frac: FRAC,
        node_frac: FRAC,
        pair_frac: FRAC,
        epsilon_stream: 168,
        epsilon_node: 168,
        epsilon_pair: 168,
        stream_temperature: temperature(8, of_log2),
        node_temperature: temperature(8, log2_e),
        pair_temperature: temperature(8, log2_e),
        structure: StructureConfig {
            iterations: 2,
            width: 24,
            pair_width: 16,
            heads: 3,
            head_width: 8,
            query_points: 2,
            value_points: 3,
            resnet_blocks: 1,
            resnet_width: 16,
            scalar_weight: multiplier(log2_e / libm::sqrt(24.0) * libm::exp2(-16.0)),
            // 10 angstroms, 2^-20 to 2^-16.
            translation_scale: multiplier(10.0 / 16.0),
            ..RELEASE_1.structure
        },
        ..RELEASE_1
    }
}

/// A model of random weights.
fn model(seed: u64) -> File {
    let config = config();
    let Config { width, layers, value_width, query_width, node_width: node, pair_width: pair, .. } = config;
    let mut to = Builder::new(seed);
    let record: [u32; CONFIG_LEN] = config.to_record();
    to.tensors.put(CONFIG, &[CONFIG_LEN], &record);
    let table = |to: &mut Builder, name: &str, rows: usize, width: usize| {
        let values = to.random.many(rows * width, |r| (r.normal() * 4000.0) as i32);
        to.tensors.put(name, &[rows, width], &values);
    };
    table(&mut to, "lm.embedding", config.vocab, width);
    let phases: [u32; 4] = [683_565_276, 68_356_528, 6_835_653, 683_565];
    to.tensors.put("lm.rotary", &[query_width / 2], &phases);
    for layer in 0..layers {
        let name = |part: &str| format!("lm.layers.{layer}.{part}");
        to.norm(&name("norm"), width);
        let shared = to.random.channels(2, width);
        to.linear_of(&name("projections"), [width, value_width + query_width], 0, |_| shared.clone());
        to.linear_of(&name("gate"), [width, value_width], 0, |_| shared.clone());
        let mut scaling = to.random.many(2 * query_width, |r| (r.normal() * 2_000_000.0) as i32);
        scaling.extend(to.random.many(2 * query_width, |r| (r.normal() * 20_000.0) as i32));
        to.tensors.put(&name("query_key"), &[4, query_width], &scaling);
        let positions = to.random.many(config.offsets(), |r| (r.normal() * 65_536.0) as i32);
        to.tensors.put(&name("positions"), &[config.offsets()], &positions);
        to.linear(&name("output"), [value_width, width], DOWN, 2);
    }
    (0..=layers).for_each(|index| to.site(&format!("lm.residual.{index}"), width, &WIDE));
    to.norm("lm.norm", width);
    to.norm("fold.embedding.node_norm", width);
    to.linear("fold.embedding.node", [width, node], DOWN, 2);
    to.norm("fold.embedding.pair_norm", layers);
    to.linear("fold.embedding.pair", [layers, pair], DOWN, layers);
    table(&mut to, "fold.embedding.row_types", RESIDUES, pair);
    table(&mut to, "fold.embedding.column_types", RESIDUES, pair);
    table(&mut to, "fold.embedding.positions", config.positions(), pair);
    to.norm("fold.recycling.node_norm", node);
    to.norm("fold.recycling.pair_norm", pair);
    table(&mut to, "fold.recycling.distances", DISTANCE_BINS, pair);
    for block in 0..config.blocks {
        add_block(&mut to, &config, block);
    }
    let sites = NODE_SITES * config.blocks;
    (0..=sites).for_each(|index| to.site(&format!("fold.residual.node.{index}"), node, &WIDE));
    let sites = pair_sites(&config) * config.blocks;
    (0..=sites).for_each(|index| to.site(&format!("fold.residual.pair.{index}"), pair, &WIDE));
    let sites = config.geometric_layers * config.blocks;
    (0..sites).for_each(|index| to.site(&format!("fold.residual.middle.{index}"), pair, &WIDE));
    add_structure(&mut to, &config);
    to.tensors.file()
}

fn add_block(to: &mut Builder, config: &Config, block: usize) {
    let (node, pair, outer) = (config.node_width, config.pair_width, config.outer_width);
    let name = |part: &str| format!("fold.trunk.{block}.{part}");
    to.norm(&name("pair_bias.norm"), pair);
    to.linear(&name("pair_bias.linear"), [pair, config.node_heads], 0, 2);
    for part in ["row_attention", "column_attention"] {
        to.norm(&name(&format!("{part}.norm")), node);
        to.linear(&name(&format!("{part}.projections")), [node, 4 * node], 0, 2);
        to.linear(&name(&format!("{part}.output")), [node, node], DOWN, 2);
    }
    for (part, width) in [("node_transition", node), ("pair_transition", pair)] {
        to.norm(&name(&format!("{part}.norm")), width);
        to.linear(&name(&format!("{part}.up")), [width, 4 * width], 0, 2);
        to.linear(&name(&format!("{part}.down")), [4 * width, width], DOWN, 2);
    }
    to.norm(&name("outer_product.norm"), node);
    to.linear(&name("outer_product.projection"), [node, 2 * outer], 0, 2);
    to.linear(&name("outer_product.weights"), [outer, outer * pair], 0, outer);
    let bias = to.random.many(pair, |r| (r.normal() * 400.0) as i32);
    to.tensors.put(&name("outer_product.bias"), &[pair], &bias);
    for layer in 0..config.geometric_layers {
        let name = |part: &str| name(&format!("geometric.{layer}.{part}"));
        for part in ["attention_start", "attention_end"].map(name) {
            let shared = to.random.channels(2, pair);
            to.norm(&format!("{part}.norm"), pair);
            to.linear_of(&format!("{part}.projections"), [pair, 4 * pair], 0, |_| shared.clone());
            to.linear_of(&format!("{part}.bias"), [pair, config.pair_heads], 0, |_| shared.clone());
            to.linear(&format!("{part}.output"), [pair, pair], DOWN, 2);
        }
        for part in ["product", "product_turned"].map(name) {
            let shared = to.random.channels(2, pair);
            to.norm(&format!("{part}.norm_in"), pair);
            to.norm(&format!("{part}.norm_out"), pair);
            to.linear_of(&format!("{part}.projections"), [pair, 4 * pair], 0, |_| shared.clone());
            to.linear_of(&format!("{part}.gate"), [pair, pair], 0, |_| shared.clone());
            to.linear(&format!("{part}.output"), [pair, pair], DOWN, 2);
        }
    }
}

fn add_structure(to: &mut Builder, config: &Config) {
    let s = config.structure;
    let exact = |to: &mut Builder, name: &str, [inputs, outputs]: [usize; 2], down: i8| {
        to.linear(name, [inputs, outputs], down, inputs);
    };
    exact(to, "fold.structure.sequence_input", [config.node_width, s.width], 0);
    to.norm("fold.structure.sequence_norm", s.width);
    to.norm("fold.structure.pair_norm", s.pair_width);
    exact(to, "fold.structure.initial", [s.width, s.width], 0);
    for iteration in 0..s.iterations {
        let name = |part: &str| format!("fold.structure.{iteration}.{part}");
        exact(to, &name("attention.projections"), [s.width, s.projections()], 0);
        exact(to, &name("attention.pair_bias"), [s.pair_width, s.heads], 0);
        let weight = multiplier(0.1 * libm::exp2(-16.0));
        let weights = [weight.mantissa, weight.shift].repeat(s.heads);
        to.tensors.put(&name("attention.point_weights"), &[s.heads, 2], &weights);
        for part in 0..=s.pair_parts() {
            exact(to, &name(&format!("attention.output.{part}")), [s.output_part(part), s.width], 0);
        }
        to.norm(&name("attention_norm"), s.width);
        for part in ["first", "second", "third"] {
            exact(to, &name(&format!("transition.0.{part}")), [s.width, s.width], 0);
        }
        to.norm(&name("transition.norm"), s.width);
        // Units of 2^-20.
        exact(to, &name("backbone_update.linear"), [s.width, 6], -4);
    }
    exact(to, "fold.structure.angle_resnet.input", [s.width, s.resnet_width], 0);
    exact(to, "fold.structure.angle_resnet.initial", [s.width, s.resnet_width], 0);
    for part in ["0.first", "0.second"] {
        exact(to, &format!("fold.structure.angle_resnet.{part}"), [s.resnet_width, s.resnet_width], 0);
    }
    exact(to, "fold.structure.angle_resnet.output", [s.resnet_width, 14], 0);
    to.norm("fold.confidence.norm", s.width);
    exact(to, "fold.confidence.first", [s.width, config.confidence_width], 0);
    exact(to, "fold.confidence.second", [config.confidence_width, config.confidence_width], 0);
    exact(to, "fold.confidence.third", [config.confidence_width, CONFIDENCE_BINS], 0);
}

/// A cycle's result: atoms, confidences, confidence in all.
type Cycle = (Vec<[[i32; 3]; 14]>, Vec<u16>, u32);

/// All cycles, which is the result, and how many steps were told.
fn fold(
    file: &File,
    letters: &str,
    request: &Request,
    isa: Isa,
    executor: &dyn Executor,
) -> (Vec<Cycle>, usize, usize) {
    let file = ModelFile::parse(file.0.bytes()).unwrap();
    let model = FoldingModel::load(&file).unwrap();
    let residues: Vec<Residue> = letters.bytes().map(|letter| super::residue(letter).unwrap()).collect();
    let runtime = Runtime::new(isa, executor);
    let bytes = model.arena_bytes(residues.len(), request, &runtime).unwrap();
    with_memory(bytes, |memory| {
        let (mut cycles, mut steps): (Vec<Cycle>, usize) = (Vec::new(), 0);
        let mut hook = |event: Event| {
            steps += 1;
            if let Event::Cycle(structure) = event {
                assert_eq!(structure.cycle, cycles.len());
                cycles.push((structure.atoms.to_vec(), structure.confidence.to_vec(), structure.overall));
            }
            ControlFlow::Continue(())
        };
        let best = model.run_with(&residues, request, memory, &runtime, &mut hook);
        let best = best.unwrap_or_else(|error| panic!("{letters} {request:?} {}: {error}", isa.name()));
        let result = (best.atoms.to_vec(), best.confidence.to_vec(), best.overall);
        let chosen = best.cycle;
        assert!(result == cycles[chosen], "the result is the best cycle's");
        assert!(cycles.iter().all(|cycle| cycle.2 <= result.2));
        let small = model.run(&residues, request, &mut memory[..bytes - 64], &runtime).map(|_| ());
        assert_eq!(small, Err(RunError::Arena(ArenaError::TooSmall { needed: bytes, given: bytes - 64 })));
        (cycles, chosen, steps)
    })
}

#[test]
fn whatever_runs_it_gives_the_same_cycles() {
    let file = model(1);
    let requests = [
        ("M", Request::default().cycles(3).rows(2)),
        ("WX", Request::default().cycles(2).rows(5).masked_up_to(1 << 23)),
        ("GXK", Request::default().cycles(2).rows(1).masked_up_to(u32::MAX)),
        ("MKTAYIAKQRQISFVKSHFSRQ", Request::default().cycles(2).rows(3)),
        ("MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQGX", Request::default().cycles(2).rows(0)),
    ];
    for (letters, request) in requests {
        let found = fold(&file, letters, &request, Isa::scalar(), &Serial);
        for isa in Isa::all() {
            assert!(fold(&file, letters, &request, isa, &Backwards) == found, "{letters} {isa:?}");
        }
        // Layers of the sequence itself; then of the rows below, blocks, and the cycle.
        let below = if request.rows > 0 { 2 } else { 0 };
        assert_eq!((found.0.len(), found.2), (request.cycles, 2 + request.cycles * (below + 2 + 1)));
    }
}

#[test]
fn cycles_follow_residues_rows_and_the_cycle_before() {
    let file = model(2);
    let run = |letters: &str, request: &Request| fold(&file, letters, request, Isa::best(), &Serial).0;
    let request = Request::default().cycles(2).rows(3);
    let letters = "MKTAYIXKQRQISFVKSHF";
    let cycles = run(letters, &request);
    let apart = |a: &Cycle, b: &Cycle, what: &str| {
        let same = a.0.iter().zip(&b.0).filter(|(a, b)| a == b).count();
        // X has no atoms: it is where it was.
        assert_eq!(same, 1, "{what}");
        assert!(a.1 != b.1, "{what}");
    };
    apart(&cycles[0], &cycles[1], "the cycle before");
    apart(&cycles[0], &run("MKTAYIXKQRQISFVKSHW", &request)[0], "another residue");
    apart(&cycles[0], &run(letters, &request.rows(4))[0], "another row");
    apart(&cycles[0], &run(letters, &request.rows(0))[0], "no row");
    apart(&cycles[0], &run(letters, &request.masked_up_to(1 << 23))[0], "other masks");
    assert!(run(letters, &request.cycles(1))[0] == cycles[0], "the first cycle is the same in any run");
    assert_eq!(cycles[0].0[6], [[0; 3]; 14]);
}

#[test]
fn what_can_not_be_run_is_refused() {
    let file = model(3);
    let file = ModelFile::parse(file.0.bytes()).unwrap();
    let model = FoldingModel::load(&file).unwrap();
    let runtime = Runtime::serial();
    let refused = |residues: usize, request: Request| {
        let planned = model.arena_bytes(residues, &request, &runtime).unwrap_err();
        let run = model.run(&vec![Residue::X; residues], &request, &mut [], &runtime).map(|_| ());
        assert_eq!(run, Err(planned));
        planned
    };
    let request = Request::default();
    assert_eq!(refused(0, request), RunError::EmptyInput);
    assert_eq!(refused(16_385, request), RunError::TooLong { residues: 16_385, limit: 16_384 });
    assert_eq!(refused(3, request.cycles(0)), RunError::NoCycle);
    assert_eq!(refused(3, request.rows(256)), RunError::TooManyRows { rows: 256, limit: 255 });
    assert_eq!(refused(3, request.rows(usize::MAX)), RunError::TooManyRows { rows: usize::MAX, limit: 255 });
    let needed = model.arena_bytes(2, &request.cycles(1), &runtime).unwrap();
    with_memory(needed, |memory| {
        let stopped = model.run_with(&[Residue::X; 2], &request.cycles(1), memory, &runtime, &mut |_| {
            ControlFlow::Break(())
        });
        assert_eq!(stopped.map(|_| ()), Err(RunError::Stopped));
    });
}
