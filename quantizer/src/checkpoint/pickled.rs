//! Finds tensors and settings in the object that PyTorch pickled.

use std::collections::{BTreeMap, HashSet};

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

/// A dictionary's tensors by name.
type Tensors = BTreeMap<String, StoredTensor>;

/// Dictionaries within dictionaries that are looked into for a model: `{"checkpoint": {"model":
/// {"state_dict": ...}}}`.
const DEEPEST: usize = 3;

/// Every tensor in that one of the dictionaries of the pickle that is a model: the one that was pickled, or
/// one that is in it under some name (`model`, `state_dict`, `checkpoint` and in that `model`).
///
/// # Errors
/// No dictionary, no tensors in it, several models, or a tensor that is described in another way than
/// PyTorch's.
pub fn state_dict(pickle: &Pickle) -> Result<Tensors, String> {
    let Node::Dict(pairs) = pickle.root() else { return Err("not a dictionary".into()) };
    let mut models = Vec::new();
    collect(pickle, pairs, String::new(), DEEPEST, &mut HashSet::new(), &mut models)?;
    // Metrics, weights of classes and the like may be tensors too: a model is what has modules with weights.
    let is_model = |tensors: &Tensors| tensors.keys().any(|name| name.ends_with(".weight"));
    if models.iter().any(|(_, tensors)| is_model(tensors)) {
        models.retain(|(_, tensors)| is_model(tensors));
    }
    let names: Vec<&str> = models.iter().map(|(name, _)| name.as_str()).collect();
    match names.as_slice() {
        [] => Err("no tensors in it".into()),
        [_] => Ok(models.swap_remove(0).1),
        _ => Err(format!(
            "it holds several models, {}; save the one that is meant by itself",
            names
                .iter()
                .map(|name| if name.is_empty() {
                    "the outermost dictionary".into()
                } else {
                    format!("`{name}`")
                })
                .collect::<Vec<_>>()
                .join(", ")
        )),
    }
}

/// Adds the tensors of `pairs`, the dictionary called `name`, to `models`, and those of the dictionaries in
/// it.
fn collect(
    pickle: &Pickle,
    pairs: &[(Id, Id)],
    name: String,
    depth: usize,
    seen: &mut HashSet<Id>,
    models: &mut Vec<(String, Tensors)>,
) -> Result<(), String> {
    let own = tensors(pickle, pairs)?;
    if !own.is_empty() {
        models.push((name.clone(), own));
    }
    if depth == 0 {
        return Ok(());
    }
    for &(key, value) in pairs {
        // One object under two names is one model.
        if let (Some(key), Node::Dict(entries)) = (pickle.text(key), pickle.node(value))
            && seen.insert(value)
        {
            let name = if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
            collect(pickle, entries, name, depth - 1, seen, models)?;
        }
    }
    Ok(())
}

/// The tensors of a dictionary; empty if it has none that PyTorch wrote.
fn tensors(pickle: &Pickle, pairs: &[(Id, Id)]) -> Result<Tensors, String> {
    let mut tensors = BTreeMap::new();
    for &(key, value) in pairs {
        let Some(name) = pickle.text(key) else { continue };
        match object(pickle, value) {
            Object::View(arguments) => {
                let tensor = arguments.and_then(|arguments| stored_tensor(pickle, arguments));
                let tensor = tensor
                    .ok_or_else(|| format!("tensor {name} is described in a way that is not understood"))?;
                tensors.insert(name.to_owned(), tensor);
            }
            Object::OtherTensor(arguments) => {
                drop(tensors.insert(name.to_owned(), unread(pickle, arguments)))
            }
            // In the place of a parameter: what it holds can't be told without calling it.
            Object::Other if name.contains('.') => drop(tensors.insert(name.to_owned(), unread(pickle, &[]))),
            Object::Other | Object::Data => {}
        }
    }
    Ok(tensors)
}

/// What an object of a dictionary is.
enum Object<'a> {
    /// A strided view of a storage, and how it is described, unless that is no tuple.
    View(Option<&'a [Id]>),
    /// A tensor of a kind that is not read (8-bit floats, sparse, quantized, ...), and how it is described.
    OtherTensor(&'a [Id]),
    /// The result of any other call.
    Other,
    /// No result of a call.
    Data,
}

/// Wrappers around a tensor that are looked through.
const DEEPEST_WRAPPER: usize = 8;

/// Follows what PyTorch writes for tensors, parameters and their subclasses.
fn object(pickle: &Pickle, id: Id) -> Object<'_> {
    let Node::Call { function, arguments, .. } = pickle.node(id) else { return Object::Data };
    let tuple = |id: Id| match pickle.node(id) {
        Node::Tuple(items) => Some(items.as_slice()),
        _ => None,
    };
    let (mut function, mut arguments) = (*function, tuple(*arguments));
    // A wrapper is made before what it is wrapped around only in a file that was forged.
    for _ in 0..DEEPEST_WRAPPER {
        let Node::Global(name) = pickle.node(function) else { return Object::Other };
        let inner = match name.as_str() {
            "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor" => {
                return Object::View(arguments);
            }
            // (tensor, ...)
            "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state" => {
                match arguments.and_then(|arguments| arguments.first()).map(|&first| pickle.node(first)) {
                    Some(Node::Call { function, arguments, .. }) => Some((*function, tuple(*arguments))),
                    _ => None,
                }
            }
            // (function, class, its arguments, state)
            "torch._tensor._rebuild_from_type_v2" | "torch._tensor._rebuild_from_type" => match arguments {
                Some(&[function, _, arguments, ..]) => Some((function, tuple(arguments))),
                _ => None,
            },
            name if name.starts_with("torch.") && name.contains("._rebuild_") => None,
            _ => return Object::Other,
        };
        match inner {
            Some(inner) => (function, arguments) = inner,
            None => return Object::OtherTensor(arguments.unwrap_or_default()),
        }
    }
    Object::OtherTensor(&[])
}

/// A tensor whose values can't be read; `arguments` may tell its shape in the place where PyTorch's other
/// functions have it.
fn unread(pickle: &Pickle, arguments: &[Id]) -> StoredTensor {
    let shape = arguments.get(2).and_then(|&shape| sizes(pickle, shape)).unwrap_or_default();
    StoredTensor { element: Element::Other, shape, stride: vec![], offset: 0, storage: String::new() }
}

/// Reads (storage, offset, size, stride, requires_grad, hooks, metadata), where storage is ("storage", class,
/// name, device, length). Metadata say that the values are others than those stored (negated, conjugated).
fn stored_tensor(pickle: &Pickle, arguments: &[Id]) -> Option<StoredTensor> {
    let &[storage, offset, shape, stride, ref rest @ ..] = arguments else { return None };
    match rest.get(2).map(|&metadata| pickle.node(metadata)) {
        None | Some(Node::None) => {}
        Some(Node::Dict(metadata)) if metadata.is_empty() => {}
        Some(_) => return None,
    }
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

/// What fair-esm's training arguments say about `key`: `args`, or `cfg` and in it `model`, of the dictionary
/// that was pickled. Other settings in the file may be those of anything.
pub fn training_argument<'a>(pickle: &'a Pickle, key: &str) -> Option<&'a Node> {
    ["args", "cfg"].iter().find_map(|arguments| {
        let arguments = field(pickle, pickle.root(), arguments)?;
        field(pickle, arguments, key).or_else(|| field(pickle, field(pickle, arguments, "model")?, key))
    })
}

/// The field `key` of a dictionary, or of an object.
fn field<'a>(pickle: &'a Pickle, object: &'a Node, key: &str) -> Option<&'a Node> {
    let pairs = match object {
        Node::Dict(pairs) => pairs,
        Node::Call { state: Some(state), .. } => match pickle.node(*state) {
            Node::Dict(pairs) => pairs,
            _ => return None,
        },
        _ => return None,
    };
    pairs.iter().find(|(name, _)| pickle.text(*name) == Some(key)).map(|(_, value)| pickle.node(*value))
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
}
