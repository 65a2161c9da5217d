//! Pickles that were made to do harm. Nothing in them runs, whatever it is.

use std::fs;
use std::path::Path;

use quantizer::checkpoint::{Checkpoint, CheckpointError};
use safetensors::tensor::Dtype;

use crate::fixture::handmade::*;

const QUERY: &str = "esm.encoder.layer.1.attention.self.query.weight";

/// A call of `os.system` with a command that leaves a file at `trace`.
fn call(module: &str, trace: &Path) -> Vec<u8> {
    let command = text(&format!("touch {}", trace.display()));
    [format!("c{module}\nsystem\n").into_bytes(), command, b"\x85R".to_vec()].concat()
}

/// The fixture as `pytorch_model.bin`, with `extra` entries before its tensors.
fn model(folder: &Path, extra: &[(&str, Vec<u8>)]) {
    let tensors = tensors();
    let (state, storages) = pickled_state(&tensors);
    let (before, after) = (dict(extra), state);
    // Both dictionaries' items go into one.
    let root = [b"\x80\x02", &before[..], &after[1..], b"."].concat();
    let storages: Vec<(&str, Vec<u8>)> =
        storages.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    torch_file(&folder.join("pytorch_model.bin"), &root, &storages);
}

#[test]
fn a_pickle_that_calls_the_shell_is_refused_and_runs_nothing() {
    let folder = folder("esm2-head16");
    let trace = folder.path().join("OWNED");
    model(folder.path(), &[]);
    assert!(Checkpoint::open(folder.path()).is_ok());
    for module in ["os", "posix", "nt", "subprocess"] {
        let nested = dict(&[("inner", [b"]".to_vec(), call(module, &trace), b"a".to_vec()].concat())]);
        let wrapped =
            [b"cargparse\nNamespace\n)\x81".to_vec(), dict(&[("x", call(module, &trace))]), b"b".to_vec()]
                .concat();
        let below =
            [b"ctorch._utils\n_rebuild_parameter\n".to_vec(), call(module, &trace), b"\x85R".to_vec()]
                .concat();
        for hidden in [call(module, &trace), nested, wrapped, below] {
            for key in ["hyper_parameters", "classifier.weight"] {
                model(folder.path(), &[(key, hidden.clone())]);
                let error = open_error(folder.path());
                let CheckpointError::Hostile { function, .. } = &error else { panic!("{error}") };
                assert_eq!(function, &format!("{module}.system"));
                assert!(error.to_string().contains("It was not run"), "{error}");
                assert!(!trace.exists());
            }
        }
    }
    // In the place of the whole model.
    torch_file(
        &folder.path().join("pytorch_model.bin"),
        &[b"\x80\x02", &call("os", &trace)[..], b"."].concat(),
        &[],
    );
    assert!(matches!(open_error(folder.path()), CheckpointError::Hostile { .. }));
    assert!(!trace.exists());
}

/// The error of reading the fixture's query weight if its tensor is `pickled`.
fn read_error(pickled: Vec<u8>) -> String {
    let folder = folder("esm2-head16");
    let mut tensors = tensors();
    tensors.remove(QUERY);
    let (state, storages) = pickled_state(&tensors);
    let root = [b"\x80\x02", &dict(&[(QUERY, pickled)])[..], &state[1..], b"."].concat();
    let mut storages: Vec<(&str, Vec<u8>)> =
        storages.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    storages.push(("forged", vec![0; 128]));
    torch_file(&folder.path().join("pytorch_model.bin"), &root, &storages);
    match Checkpoint::open(folder.path()) {
        Ok(checkpoint) => {
            checkpoint.read("encoder.layer.1.attention.self.query.weight").unwrap_err().to_string()
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn tensors_outside_of_their_storage_are_refused() {
    let good = |shape: &[usize], offset| pickled_tensor("forged", Dtype::F16, shape, offset);
    assert!(read_error(good(&[64, 64], 0)).contains("lies outside its storage"));
    assert!(read_error(good(&[64, 64], 1 << 30)).contains("lies outside its storage"));
    assert!(
        read_error(good(&[1 << 20, 1 << 20], 0)).contains("has shape [1048576, 1048576], expected [64, 64]")
    );
    assert!(read_error(pickled_tensor("absent", Dtype::F16, &[64, 64], 0)).contains("tensor "));
    let not_a_view = b"ctorch._utils\n_rebuild_tensor_v2\nN\x85R".to_vec();
    assert!(read_error(not_a_view).contains("described in a way that is not understood"));
}

#[test]
fn a_forged_table_of_frequencies_takes_no_memory() {
    let folder = folder("esm2-head16");
    let table = "esm.encoder.layer.*.attention.self.rotary_embeddings.inv_freq";
    let mut tensors = tensors();
    tensors.remove(table);
    let (state, storages) = pickled_state(&tensors);
    // 2^40 values of stride 0.
    let view = pickled_tensor("0", Dtype::F16, &[1], 0);
    let one = [tuple(&[1]), tuple(&[1])].concat();
    let at = view.windows(one.len()).position(|window| window == one).unwrap();
    let long = [b"(".to_vec(), b"\x8a\x06\0\0\0\0\0\x01".to_vec(), b"t".to_vec(), tuple(&[0])].concat();
    let view = [&view[..at], &long, &view[at + one.len()..]].concat();
    let root = [b"\x80\x02", &dict(&[(table, view)])[..], &state[1..], b"."].concat();
    let storages: Vec<(&str, Vec<u8>)> =
        storages.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    torch_file(&folder.path().join("pytorch_model.bin"), &root, &storages);
    let error = Checkpoint::open(folder.path()).unwrap().rotary_frequencies().unwrap_err().to_string();
    assert!(error.contains("has shape [1099511627776], expected [8]"), "{error}");
}

#[test]
fn pickles_that_grow_without_end_are_read_in_their_own_size() {
    let folder = folder("esm2-head16");
    let mut doubling = b"\x80\x02)q\0".to_vec();
    for _ in 0..10_000 {
        doubling.extend(b"h\0h\0\x86q\0");
    }
    doubling.push(b'.');
    torch_file(&folder.path().join("pytorch_model.bin"), &doubling, &[]);
    assert!(open_error(folder.path()).to_string().contains("not a dictionary"));
    let deep = [b"\x80\x02".to_vec(), b"]".repeat(100_000), b"a".repeat(99_999), b".".to_vec()].concat();
    torch_file(&folder.path().join("pytorch_model.bin"), &deep, &[]);
    assert!(open_error(folder.path()).to_string().contains("not a dictionary"));
}

#[test]
fn compressed_members_are_refused() {
    let folder = folder("esm2-head16");
    model(folder.path(), &[]);
    let path = folder.path().join("pytorch_model.bin");
    let mut bytes = fs::read(&path).unwrap();
    // The method of the first member, in its own header and in the directory: deflate instead of stored.
    for signature in [b"PK\x03\x04", b"PK\x01\x02"] {
        let at = bytes.windows(4).position(|window| window == signature).unwrap();
        bytes[at + if signature[2] == 3 { 8 } else { 10 }] = 8;
    }
    fs::write(&path, bytes).unwrap();
    let error = open_error(folder.path()).to_string();
    assert!(error.contains("ompress"), "{error}");
}

/// A tensor of class `function`, described as PyTorch describes 8-bit floats: `(storage, offset, size,
/// stride, ...)`.
fn rebuilt(function: &str, shape: &[usize]) -> Vec<u8> {
    let view = pickled_tensor("0", Dtype::F16, shape, 0);
    let own = b"ctorch._utils\n_rebuild_tensor_v2\n";
    [format!("c{function}\n").as_bytes(), &view[own.len()..]].concat()
}

/// `tensor` within a call of `function`, before its other arguments.
fn wrapped(function: &str, before: &[u8], tensor: &[u8], after: &[u8]) -> Vec<u8> {
    [format!("c{function}\n(").as_bytes(), before, tensor, after, b"tR"].concat()
}

#[test]
fn tensors_of_a_kind_that_is_not_read_are_refused_and_never_passed_over() {
    let shape = &[64, 64];
    for function in [
        "torch._utils\n_rebuild_tensor_v3",
        "torch._utils\n_rebuild_qtensor",
        "numpy.core.multiarray\n_reconstruct",
    ] {
        let error = read_error(rebuilt(function, shape));
        assert!(error.contains("query.weight holds values of another type"), "{error}");
    }
    // Within an adapter a factor that is left out would give a model that is adapted in part.
    let adapter = tempfile::tempdir().unwrap();
    let config = r#"{"peft_type":"LORA","r":2,"lora_alpha":2}"#;
    fs::write(adapter.path().join("adapter_config.json"), config).unwrap();
    let name = |layer: usize, part: &str| {
        format!("base_model.model.esm.encoder.layer.{layer}.attention.self.query.lora_{part}.weight")
    };
    let write = |second: &str| {
        let mut entries: Vec<(String, Vec<u8>)> = Vec::new();
        for (layer, function) in [(0, "torch._utils\n_rebuild_tensor_v2"), (1, second)] {
            entries.push((name(layer, "A"), rebuilt(function, &[2, 64])));
            entries.push((name(layer, "B"), rebuilt(function, &[64, 2])));
        }
        let entries: Vec<(&str, Vec<u8>)> = entries.iter().map(|(n, e)| (n.as_str(), e.clone())).collect();
        let root = [b"\x80\x02", &dict(&entries)[..], b"."].concat();
        torch_file(&adapter.path().join("adapter_model.bin"), &root, &[("0", vec![0; 256])]);
        Checkpoint::open_with_base(adapter.path(), Some(&crate::fixture::golden("esm2-head16"))).map(|_| ())
    };
    write("torch._utils\n_rebuild_tensor_v2").unwrap();
    let error = write("torch._utils\n_rebuild_tensor_v3").unwrap_err().to_string();
    assert!(
        error.contains("layer.1.attention.self.query.lora_A.weight holds values of another type"),
        "{error}"
    );
}

#[test]
fn parameters_with_state_and_subclasses_of_tensors_are_read() {
    let folder = folder("esm2-head16");
    let plain = rebuilt("torch._utils\n_rebuild_tensor_v2", &[64, 64]);
    let arguments = &plain[b"ctorch._utils\n_rebuild_tensor_v2\n".len()..plain.len() - 1];
    let parameter = wrapped("torch._utils\n_rebuild_parameter", b"", &plain, b"\x88N");
    let cases = [
        wrapped("torch._utils\n_rebuild_parameter_with_state", b"", &plain, b"\x88N}"),
        wrapped("torch._utils\n_rebuild_parameter_with_state", b"", &parameter, b"\x88N}"),
        wrapped(
            "torch._tensor\n_rebuild_from_type_v2",
            b"ctorch._utils\n_rebuild_tensor_v2\ncmine\nKind\n",
            arguments,
            b"}",
        ),
    ];
    let values: Vec<u8> =
        (0..4096u32).flat_map(|i| half::f16::from_f32(i as f32 / 4096.0).to_le_bytes()).collect();
    for pickled in cases {
        let mut tensors = tensors();
        tensors.remove(QUERY);
        let (state, mut storages) = pickled_state(&tensors);
        // The storage "0" is the first tensor's: this one gets its own.
        let pickled = replace(&pickled, &text("0"), &text("q"));
        storages.push(("q".into(), values.clone()));
        let root = [b"\x80\x02", &dict(&[(QUERY, pickled)])[..], &state[1..], b"."].concat();
        let storages: Vec<(&str, Vec<u8>)> = storages.iter().map(|(n, b)| (n.as_str(), b.clone())).collect();
        torch_file(&folder.path().join("pytorch_model.bin"), &root, &storages);
        let checkpoint = Checkpoint::open(folder.path()).unwrap();
        let read = checkpoint.read("encoder.layer.1.attention.self.query.weight").unwrap();
        assert_eq!((read[1], read[4095]), (1.0 / 4096.0, half::f16::from_f32(4095.0 / 4096.0).to_f32()));
    }
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

#[test]
fn a_tensor_that_is_negated_by_its_metadata_is_refused() {
    let plain = pickled_tensor("forged", Dtype::F16, &[64, 64], 0);
    let with = |metadata: Vec<u8>| {
        let without_end = &plain[..plain.len() - 2];
        [without_end, b"}", &metadata, b"tR"].concat()
    };
    let error = read_error(with([b"}".to_vec(), text("neg"), b"\x88s".to_vec()].concat()));
    assert!(error.contains("query.weight is described in a way that is not understood"), "{error}");
    assert!(read_error(with(b"}".to_vec())).contains("lies outside its storage"), "no metadata are none");
}

#[test]
fn settings_of_something_else_in_the_file_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("last.ckpt");
    let (state, storages) = pickled_state(&tensors());
    let storages: Vec<(&str, Vec<u8>)> = storages.iter().map(|(n, b)| (n.as_str(), b.clone())).collect();
    let probe = dict(&[("token_dropout", b"\x89".to_vec()), ("num_attention_heads", number(8))]);
    let settings = dict(&[
        ("probe", probe.clone()),
        ("num_attention_heads", number(8)),
        ("token_dropout", b"\x89".to_vec()),
    ]);
    for key in ["hyper_parameters", "args", "cfg"] {
        let root = dict(&[(key, settings.clone()), ("state_dict", state.clone())]);
        torch_file(&path, &[b"\x80\x02", &root[..], b"."].concat(), &storages);
        let checkpoint = Checkpoint::open(&path).unwrap();
        assert_eq!(
            checkpoint.config(),
            Checkpoint::open(&crate::fixture::golden("esm2-head16")).unwrap().config(),
            "{key}"
        );
    }
}

/// The fixture of fair-esm's names with `arguments` beside the model, without its tables of frequencies and
/// contact head.
fn fair(arguments: &[(&str, Vec<u8>)]) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.pt");
    let fair = fair_tensors();
    let (state, storages) = pickled_state(&fair);
    let storages: Vec<(&str, Vec<u8>)> = storages.iter().map(|(n, b)| (n.as_str(), b.clone())).collect();
    let root = dict(&[arguments, &[("model", state)]].concat());
    torch_file(&path, &[b"\x80\x02", &root[..], b"."].concat(), &storages);
    (folder, path)
}

/// A model of one layer with fair-esm's names, of width 16.
fn fair_tensors() -> std::collections::BTreeMap<String, RawTensor> {
    let mut tensors = std::collections::BTreeMap::new();
    let mut add = |name: &str, shape: &[usize]| {
        tensors.insert(name.to_owned(), stored(shape, |i| (i as f32).sin()));
    };
    add("embed_tokens.weight", &[33, 16]);
    for part in ["q_proj", "k_proj", "v_proj", "out_proj"] {
        add(&format!("layers.0.self_attn.{part}.weight"), &[16, 16]);
        add(&format!("layers.0.self_attn.{part}.bias"), &[16]);
    }
    for norm in ["layers.0.self_attn_layer_norm", "layers.0.final_layer_norm", "emb_layer_norm_after"] {
        add(&format!("{norm}.weight"), &[16]);
        add(&format!("{norm}.bias"), &[16]);
    }
    add("layers.0.fc1.weight", &[64, 16]);
    add("layers.0.fc1.bias", &[64]);
    add("layers.0.fc2.weight", &[16, 64]);
    add("layers.0.fc2.bias", &[16]);
    tensors
}

#[test]
fn fair_esms_training_arguments_are_used_and_said() {
    let namespace = |entries: Vec<u8>| [b"cargparse\nNamespace\n)\x81", &entries[..], b"b"].concat();
    let own = dict(&[("encoder_attention_heads", number(4)), ("token_dropout", b"\x89".to_vec())]);
    for arguments in [("args", namespace(own.clone())), ("cfg", dict(&[("model", namespace(own.clone()))]))] {
        let (_folder, path) = fair(&[arguments]);
        let checkpoint = Checkpoint::open(&path).unwrap();
        assert_eq!((checkpoint.config().heads, checkpoint.config().token_dropout), (4, false));
        let said = remarks(&path);
        assert!(said.contains("note: 4 attention heads, as the training arguments"), "{said}");
        assert!(said.contains("note: no token dropout, as the training arguments"), "{said}");
    }
    // The same names within something else are not the model's.
    let probe = dict(&[("probe", dict(&[("encoder_attention_heads", number(4))]))]);
    for key in ["args", "hyper_parameters"] {
        let (_folder, path) = fair(&[(key, probe.clone())]);
        assert!(matches!(
            open_error(&path),
            CheckpointError::MissingConfig { key: "num_attention_heads", .. }
        ));
    }
}

#[test]
fn a_parameter_of_a_fair_esm_layer_itself_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.safetensors");
    let mut tensors = fair_tensors();
    tensors.insert("layers.0.self_attn.rot_emb.inv_freq".into(), stored(&[2], |_| 1.0));
    write(&path, &tensors);
    Checkpoint::open(&path).unwrap();
    tensors.insert("layers.0.ia3_l".into(), stored(&[16], |_| 2.0));
    write(&path, &tensors);
    let CheckpointError::UnexpectedTensors { names, .. } = open_error(&path) else { panic!() };
    assert_eq!(names, ["encoder.layer.0.ia3_l"]);
}
