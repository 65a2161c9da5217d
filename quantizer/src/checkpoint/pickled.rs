//! Finds tensors and settings in the object that PyTorch pickled.

use std::collections::BTreeMap;

use candle_core::pickle::Object;

use super::Element;

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
        let mut expected = 1;
        self.shape.len() == self.stride.len()
            && self.shape.iter().zip(&self.stride).rev().all(|(&size, &stride)| {
                let fits = size == 1 || stride == expected;
                expected *= size;
                fits
            })
    }
}

/// Every tensor in the dictionary `root`, or in its entry `model` or `state_dict`.
pub fn state_dict(root: &Object) -> Result<BTreeMap<String, StoredTensor>, String> {
    let mut pairs = dict(root).ok_or("not a dictionary")?;
    for nested in ["model", "state_dict"] {
        if let Some(inner) = pairs.iter().find(|(k, _)| is_text(k, nested)).and_then(|(_, v)| dict(v)) {
            pairs = inner;
            break;
        }
    }
    let mut tensors = BTreeMap::new();
    for (key, value) in pairs {
        if let (Object::Unicode(name), Some(arguments)) = (key, tensor_arguments(value)) {
            let tensor =
                stored_tensor(arguments).ok_or_else(|| format!("tensor {name} is not understood"))?;
            tensors.insert(name.clone(), tensor);
        }
    }
    if tensors.is_empty() { Err("no tensors in it".into()) } else { Ok(tensors) }
}

/// The first value called `key` in any dictionary or object below `object`.
pub fn find<'a>(object: &'a Object, key: &str) -> Option<&'a Object> {
    match object {
        Object::Dict(pairs) => pairs
            .iter()
            .find(|(k, _)| is_text(k, key))
            .map(|(_, v)| v)
            .or_else(|| pairs.iter().find_map(|(_, v)| find(v, key))),
        Object::Build { callable, args } | Object::Reduce { callable, args } => {
            find(args, key).or_else(|| find(callable, key))
        }
        Object::List(items) | Object::Tuple(items) => items.iter().find_map(|item| find(item, key)),
        _ => None,
    }
}

fn dict(object: &Object) -> Option<&[(Object, Object)]> {
    match object {
        Object::Dict(pairs) => Some(pairs),
        _ => None,
    }
}

fn is_text(object: &Object, text: &str) -> bool {
    matches!(object, Object::Unicode(t) if t == text)
}

/// The arguments of `torch._utils._rebuild_tensor_v2` if `object` is a call of it, or a parameter wrapped around one.
fn tensor_arguments(object: &Object) -> Option<&[Object]> {
    let Object::Reduce { callable, args } = object else { return None };
    let (Object::Class { class_name, .. }, Object::Tuple(args)) = (&**callable, &**args) else { return None };
    match class_name.as_str() {
        "_rebuild_tensor_v2" => Some(args),
        "_rebuild_parameter" => tensor_arguments(args.first()?),
        _ => None,
    }
}

/// Reads (storage, offset, size, stride, ...), where storage is ("storage", class, name, device, length).
fn stored_tensor(arguments: &[Object]) -> Option<StoredTensor> {
    let [Object::PersistentLoad(storage), offset, shape, stride, ..] = arguments else { return None };
    let Object::Tuple(storage) = &**storage else { return None };
    let [_, Object::Class { class_name, .. }, Object::Unicode(name), ..] = storage.as_slice() else {
        return None;
    };
    let element = match class_name.as_str() {
        "FloatStorage" => Element::F32,
        "HalfStorage" => Element::F16,
        "BFloat16Storage" => Element::Bf16,
        "DoubleStorage" => Element::F64,
        _ => Element::Other,
    };
    let (shape, stride) = (sizes(shape)?, sizes(stride)?);
    if shape.len() != stride.len() {
        return None;
    }
    Some(StoredTensor { element, shape, stride, offset: size(offset)?, storage: name.clone() })
}

fn sizes(object: &Object) -> Option<Vec<usize>> {
    match object {
        Object::Tuple(items) => items.iter().map(size).collect(),
        _ => None,
    }
}

/// A non-negative integer.
pub fn size(object: &Object) -> Option<usize> {
    match object {
        Object::Int(i) => usize::try_from(*i).ok(),
        Object::Long(i) => usize::try_from(*i).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Object {
        Object::Unicode(text.into())
    }

    fn call(class_name: &str, arguments: Vec<Object>) -> Object {
        let class = Object::Class { module_name: "torch".into(), class_name: class_name.into() };
        Object::Reduce { callable: class.into(), args: Object::Tuple(arguments).into() }
    }

    fn tensor(storage: &str, class_name: &str) -> Object {
        let class = Object::Class { module_name: "torch".into(), class_name: class_name.into() };
        let id = vec![text("storage"), class, text(storage), text("cpu"), Object::Int(6)];
        let pair = |a, b| Object::Tuple(vec![Object::Int(a), Object::Int(b)]);
        let view = Object::PersistentLoad(Object::Tuple(id).into());
        call("_rebuild_tensor_v2", vec![view, Object::Int(1), pair(2, 2), pair(2, 1), Object::Bool(false)])
    }

    #[test]
    fn tensors_are_found_in_a_nested_dictionary_and_in_parameters() {
        let state = Object::Dict(vec![
            (text("a"), tensor("0", "HalfStorage")),
            (text("b"), call("_rebuild_parameter", vec![tensor("1", "LongStorage"), Object::Bool(true)])),
            (text("version"), Object::Int(3)),
        ]);
        let root = Object::Dict(vec![(text("args"), Object::None), (text("model"), state.clone())]);
        let tensors = state_dict(&root).unwrap();
        assert_eq!(tensors, state_dict(&state).unwrap());
        assert_eq!(tensors.keys().collect::<Vec<_>>(), ["a", "b"]);
        let a = StoredTensor {
            element: Element::F16,
            shape: vec![2, 2],
            stride: vec![2, 1],
            offset: 1,
            storage: "0".into(),
        };
        assert_eq!(tensors["a"], a);
        assert!(a.is_row_major());
        assert!(!StoredTensor { stride: vec![1, 2], ..a }.is_row_major());
        assert_eq!(tensors["b"].element, Element::Other);
    }

    #[test]
    fn what_holds_no_tensors_is_refused() {
        assert!(state_dict(&Object::Int(1)).is_err());
        assert!(state_dict(&Object::Dict(vec![])).is_err());
        let broken = call("_rebuild_tensor_v2", vec![Object::None]);
        assert!(state_dict(&Object::Dict(vec![(text("a"), broken)])).unwrap_err().contains("tensor a"));
    }

    #[test]
    fn settings_are_found_inside_saved_objects() {
        let arguments = Object::Dict(vec![(text("encoder_attention_heads"), Object::Int(20))]);
        let namespace = Object::Build { callable: call("Namespace", vec![]).into(), args: arguments.into() };
        let root = Object::Dict(vec![(text("cfg"), Object::Dict(vec![(text("model"), namespace)]))]);
        assert_eq!(find(&root, "encoder_attention_heads").and_then(size), Some(20));
        assert_eq!(find(&root, "token_dropout"), None);
    }
}
