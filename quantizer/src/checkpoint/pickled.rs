//! Finds tensors and settings in the object that PyTorch pickled.

use std::collections::BTreeMap;

use super::Element;
use super::unpickle::{Id, Node, Pickle};

/// A tensor as PyTorch describes it: a strided view of a storage.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredTensor {
    /// Type of the storage's values.
    pub element: Element,
    /// Size of each dimension, outermost first.
    pub shape: Vec<usize>,
    /// Distance between neighbours along each dimension, in values.
    pub stride: Vec<usize>,
    /// First value of the view.
    pub offset: usize,
    /// Name of the storage within the archive.
    pub storage: String,
}

impl StoredTensor {
    /// Whether the values lie one after the other in row-major order.
    pub fn is_row_major(&self) -> bool {
        let mut expected = 1usize;
        self.shape.len() == self.stride.len()
            && self.shape.iter().zip(&self.stride).rev().all(|(&size, &stride)| {
                let fits = size == 1 || stride == expected;
                expected = expected.saturating_mul(size);
                fits
            })
    }
}

/// Modules whose functions a checkpoint of weights has no use for: a file that names one was made to run something.
const HOSTILE: [&str; 18] = [
    "os",
    "posix",
    "nt",
    "subprocess",
    "sys",
    "shutil",
    "socket",
    "pty",
    "runpy",
    "importlib",
    "webbrowser",
    "ctypes",
    "multiprocessing",
    "urllib",
    "http",
    "requests",
    "pip",
    "code",
];
/// Of Python's built-in functions, those that run or open something.
const HOSTILE_BUILTINS: [&str; 6] = ["exec", "eval", "compile", "open", "__import__", "breakpoint"];

/// The first function named in `pickle` that only a file made to run something on loading has a use for.
pub fn hostile(pickle: &Pickle) -> Option<&str> {
    pickle.globals().find(|name| {
        let module = name.split('.').next().unwrap_or_default();
        let built_in = ["builtins.", "__builtin__."].iter().find_map(|start| name.strip_prefix(start));
        HOSTILE.contains(&module) || built_in.is_some_and(|name| HOSTILE_BUILTINS.contains(&name))
    })
}

/// Every tensor in the dictionary that was pickled, or in that one of its entries that is a model (`model`, `state_dict`).
///
/// # Errors
/// No dictionary, no tensors in it, several models, or a tensor that is described in another way than PyTorch's.
pub fn state_dict(pickle: &Pickle) -> Result<BTreeMap<String, StoredTensor>, String> {
    let Node::Dict(pairs) = pickle.root() else { return Err("not a dictionary".into()) };
    let own = tensors(pickle, pairs)?;
    if !own.is_empty() {
        return Ok(own);
    }
    let mut models: Vec<(&str, BTreeMap<String, StoredTensor>)> = Vec::new();
    for (key, value) in pairs {
        if let (Some(key), Node::Dict(entries)) = (pickle.text(*key), pickle.node(*value)) {
            models.push((key, tensors(pickle, entries)?));
        }
    }
    models.retain(|(_, tensors)| !tensors.is_empty());
    // Metrics and the like may be tensors too: a model is what has weights.
    if models.iter().any(|(_, tensors)| tensors.keys().any(|name| name.ends_with(".weight"))) {
        models.retain(|(_, tensors)| tensors.keys().any(|name| name.ends_with(".weight")));
    }
    let names: Vec<String> = models.iter().map(|(key, _)| format!("`{key}`")).collect();
    match (models.pop(), models.len()) {
        (Some((_, tensors)), 0) => Ok(tensors),
        (None, _) => Err("no tensors in it".into()),
        _ => Err(format!(
            "it holds several models, {}; save the one that is meant by itself",
            names.join(", ")
        )),
    }
}

fn tensors(pickle: &Pickle, pairs: &[(Id, Id)]) -> Result<BTreeMap<String, StoredTensor>, String> {
    let mut tensors = BTreeMap::new();
    for &(key, value) in pairs {
        if let (Some(name), Some(arguments)) = (pickle.text(key), tensor_arguments(pickle, value)) {
            let tensor = stored_tensor(pickle, arguments)
                .ok_or_else(|| format!("tensor {name} is described in a way that is not understood"))?;
            tensors.insert(name.to_owned(), tensor);
        }
    }
    Ok(tensors)
}

/// The arguments of `torch._utils._rebuild_tensor_v2` if `id` is a call of it, or a parameter wrapped around one.
fn tensor_arguments(pickle: &Pickle, id: Id) -> Option<&[Id]> {
    let mut id = id;
    // A wrapper is made before what it is wrapped around only in a file that was forged.
    for _ in 0..4 {
        let Node::Call { function, arguments, .. } = pickle.node(id) else { return None };
        let (Node::Global(function), Node::Tuple(arguments)) =
            (pickle.node(*function), pickle.node(*arguments))
        else {
            return None;
        };
        match function.as_str() {
            "torch._utils._rebuild_tensor_v2" => return Some(arguments),
            "torch._utils._rebuild_parameter" => id = *arguments.first()?,
            _ => return None,
        }
    }
    None
}

/// Reads (storage, offset, size, stride, ...), where storage is ("storage", class, name, device, length).
fn stored_tensor(pickle: &Pickle, arguments: &[Id]) -> Option<StoredTensor> {
    let &[storage, offset, shape, stride, ..] = arguments else { return None };
    let Node::Persistent(storage) = pickle.node(storage) else { return None };
    let Node::Tuple(storage) = pickle.node(*storage) else { return None };
    let &[_, class, name, ..] = storage.as_slice() else { return None };
    let Node::Global(class) = pickle.node(class) else { return None };
    let element = match class.as_str() {
        "torch.FloatStorage" => Element::F32,
        "torch.HalfStorage" => Element::F16,
        "torch.BFloat16Storage" => Element::Bf16,
        "torch.DoubleStorage" => Element::F64,
        _ => Element::Other,
    };
    let (shape, stride) = (sizes(pickle, shape)?, sizes(pickle, stride)?);
    if shape.len() != stride.len() {
        return None;
    }
    let storage = pickle.text(name)?.to_owned();
    Some(StoredTensor { element, shape, stride, offset: size(pickle.node(offset))?, storage })
}

fn sizes(pickle: &Pickle, id: Id) -> Option<Vec<usize>> {
    match pickle.node(id) {
        Node::Tuple(items) => items.iter().map(|&item| size(pickle.node(item))).collect(),
        // torch.Size((...))
        Node::Call { arguments, .. } => match pickle.node(*arguments) {
            Node::Tuple(inner) => match *inner.as_slice() {
                [inner] if matches!(pickle.node(inner), Node::Tuple(_)) => sizes(pickle, inner),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// A non-negative integer.
pub fn size(node: &Node) -> Option<usize> {
    match node {
        Node::Int(i) => usize::try_from(*i).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pickled text.
    fn text(text: &str) -> Vec<u8> {
        [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
    }

    /// A tensor [2, 2] of class `storage`, stored as `key`, from its second value on.
    fn tensor(key: &str, storage: &str) -> Vec<u8> {
        let id = [
            b"(".to_vec(),
            text("storage"),
            format!("ctorch\n{storage}\n").into_bytes(),
            text(key),
            text("cpu"),
        ];
        let view = [b"K\x06tQK\x01K\x02K\x02\x86K\x02K\x01\x86\x89".to_vec()];
        [&[b"ctorch._utils\n_rebuild_tensor_v2\n(".to_vec()][..], &id, &view, &[b"tR".to_vec()]]
            .concat()
            .concat()
    }

    fn dict(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let entries: Vec<u8> =
            entries.iter().flat_map(|(key, value)| [text(key), value.clone()].concat()).collect();
        [b"}(", entries.as_slice(), b"u"].concat()
    }

    fn read(object: Vec<u8>) -> Result<BTreeMap<String, StoredTensor>, String> {
        state_dict(&Pickle::read(&[b"\x80\x02", object.as_slice(), b"."].concat()).unwrap())
    }

    #[test]
    fn tensors_are_found_in_a_nested_dictionary_and_in_parameters() {
        let parameter =
            [b"ctorch._utils\n_rebuild_parameter\n".to_vec(), tensor("1", "LongStorage"), b"\x85R".to_vec()]
                .concat();
        let state = dict(&[
            ("a.weight", tensor("0", "HalfStorage")),
            ("b", parameter),
            ("version", b"K\x03".to_vec()),
        ]);
        let tensors = read(state.clone()).unwrap();
        assert_eq!(tensors.keys().collect::<Vec<_>>(), ["a.weight", "b"]);
        let a = StoredTensor {
            element: Element::F16,
            shape: vec![2, 2],
            stride: vec![2, 1],
            offset: 1,
            storage: "0".into(),
        };
        assert_eq!(tensors["a.weight"], a);
        assert!(a.is_row_major());
        assert!(!StoredTensor { stride: vec![1, 2], ..a }.is_row_major());
        assert_eq!(tensors["b"].element, Element::Other);

        let metrics = dict(&[("best", tensor("9", "FloatStorage"))]);
        for key in ["model", "state_dict", "module"] {
            let nested = dict(&[("args", b"N".to_vec()), ("metrics", metrics.clone()), (key, state.clone())]);
            assert_eq!(read(nested).unwrap(), tensors);
        }
        let two = dict(&[("model", state.clone()), ("ema", state)]);
        assert_eq!(
            read(two).unwrap_err(),
            "it holds several models, `model`, `ema`; save the one that is meant by itself"
        );
    }

    #[test]
    fn what_holds_no_tensors_is_refused() {
        assert!(read(b"K\x01".to_vec()).is_err());
        assert!(read(dict(&[])).is_err());
        let broken = b"ctorch._utils\n_rebuild_tensor_v2\nN\x85R".to_vec();
        assert!(read(dict(&[("a", broken)])).unwrap_err().contains("tensor a"));
    }

    #[test]
    fn what_a_file_would_run_is_found_wherever_it_is() {
        let names = [
            ("os\nsystem", "os.system"),
            ("posix\nsystem", "posix.system"),
            ("builtins\neval", "builtins.eval"),
            ("__builtin__\n__import__", "__builtin__.__import__"),
            ("subprocess\nPopen", "subprocess.Popen"),
        ];
        for (global, expected) in names {
            let call = format!("c{global}\n").into_bytes();
            let nested = dict(&[
                ("a", tensor("0", "FloatStorage")),
                ("hyper", dict(&[("x", [call, b")R".to_vec()].concat())])),
            ]);
            let pickle = Pickle::read(&[nested.as_slice(), b"."].concat()).unwrap();
            assert_eq!(hostile(&pickle), Some(expected));
        }
        let harmless = b"(cargparse\nNamespace\ncomegaconf.dictconfig\nDictConfig\nc__builtin__\nset\nt.";
        assert_eq!(hostile(&Pickle::read(harmless).unwrap()), None);
    }
}
