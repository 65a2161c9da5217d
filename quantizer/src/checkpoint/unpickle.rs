//! Reads Python's pickle format as data: what a file would call when Python loads it is written down, and
//! nothing runs.
//!
//! Every opcode makes at most one [`Node`], and nodes refer to each other by number, so that memory stays in
//! proportion to the file however often it refers to the same object. Opcodes are those of protocols 2 to 5,
//! which PyTorch writes ([pickletools](https://github.com/python/cpython/blob/main/Lib/pickletools.py)
//! describes them).

use std::collections::HashMap;

/// Number of a node.
pub type Id = usize;

/// An object that Python would make.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    None,
    Bool(bool),
    Int(i64),
    Text(String),
    /// A class or function, as `module.name`.
    Global(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A call of a class or function, and what the result's state is set to.
    Call {
        function: Id,
        arguments: Id,
        state: Option<Id>,
    },
    /// A reference to something outside of the pickle: PyTorch's storages.
    Persistent(Id),
    /// Floats, bytes, numbers of more than 64 bits: nothing that is read here.
    Other,
}

/// All objects of a pickle.
#[derive(Debug)]
pub struct Pickle {
    nodes: Vec<Node>,
    root: Id,
}

impl Pickle {
    /// Reads `bytes`.
    ///
    /// # Errors
    /// What is wrong, and at which byte.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut reader = Reader { bytes, ..Reader::default() };
        let root = reader.run().map_err(|e| format!("{e} at byte {}", reader.position))?;
        Ok(Self { nodes: reader.nodes, root })
    }

    /// The object that was pickled.
    pub fn root(&self) -> &Node {
        &self.nodes[self.root]
    }

    /// The object with number `id`.
    pub fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }

    /// The text that `id` is.
    pub fn text(&self, id: Id) -> Option<&str> {
        match self.node(id) {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Every class and function that is named, as `module.name`.
    pub fn globals(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Global(name) => Some(name.as_str()),
            _ => None,
        })
    }
}

/// What a mark on the stack is, instead of a node's number.
const MARK: Id = Id::MAX;

#[derive(Default)]
struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    nodes: Vec<Node>,
    stack: Vec<Id>,
    memo: HashMap<usize, Id>,
}

type Step<T> = Result<T, String>;

impl Reader<'_> {
    /// Goes through all opcodes; returns the object left at the end.
    fn run(&mut self) -> Step<Id> {
        loop {
            let opcode = self.take(1)?[0];
            if opcode == b'.' {
                return self.pop();
            }
            self.step(opcode)?;
        }
    }

    fn step(&mut self, opcode: u8) -> Step<()> {
        match opcode {
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'(' => self.stack.push(MARK),
            b'0' => drop(self.stack.pop().ok_or("the stack is empty")?),
            b'1' => drop(self.pop_mark()?),
            b'2' => {
                let top = self.pop()?;
                self.stack.extend([top, top]);
            }
            b'N' => self.push(Node::None),
            0x88 => self.push(Node::Bool(true)),
            0x89 => self.push(Node::Bool(false)),
            b'J' => {
                let value = self.take(4)?.try_into().map(i32::from_le_bytes).unwrap_or_default();
                self.push(Node::Int(value.into()));
            }
            b'K' | b'M' => {
                let value = self.length(if opcode == b'K' { 1 } else { 2 })?;
                self.push(Node::Int(value as i64));
            }
            0x8a => self.long(1)?,
            0x8b => self.long(4)?,
            b'G' => self.other(8)?,
            b'X' => self.unicode(4)?,
            0x8c => self.unicode(1)?,
            0x8d => self.unicode(8)?,
            b'U' | b'C' => self.skipped(1)?,
            b'T' | b'B' => self.skipped(4)?,
            0x8e | 0x96 => self.skipped(8)?,
            b')' => self.push(Node::Tuple(vec![])),
            b']' | 0x8f => self.push(Node::List(vec![])),
            b'}' => self.push(Node::Dict(vec![])),
            0x85..=0x87 => self.tuple(usize::from(opcode - 0x84))?,
            b't' => {
                let items = self.pop_mark()?;
                self.push(Node::Tuple(items));
            }
            b'l' | 0x91 => {
                let items = self.pop_mark()?;
                self.push(Node::List(items));
            }
            b'd' => {
                let pairs = pairs(&self.pop_mark()?)?;
                self.push(Node::Dict(pairs));
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' | 0x90 => {
                let items = self.pop_mark()?;
                self.append(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(vec![(key, value)])?;
            }
            b'u' => {
                let pairs = pairs(&self.pop_mark()?)?;
                self.set_items(pairs)?;
            }
            b'q' => self.put(1)?,
            b'r' => self.put(4)?,
            0x94 => {
                let top = self.top()?;
                self.memo.insert(self.memo.len(), top);
            }
            b'h' => self.get(1)?,
            b'j' => self.get(4)?,
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Node::Global(format!("{module}.{name}")));
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Node::Text(module), Node::Text(name)) = (&self.nodes[module], &self.nodes[name]) else {
                    return Err("a class without a name".into());
                };
                self.push(Node::Global(format!("{module}.{name}")));
            }
            b'R' | 0x81 => self.call()?,
            0x92 => {
                let _keywords = self.pop()?;
                self.call()?;
            }
            b'b' => self.build()?,
            b'Q' => {
                let id = self.pop()?;
                self.push(Node::Persistent(id));
            }
            _ => return Err(format!("opcode {opcode:#04x}, which PyTorch doesn't write,")),
        }
        Ok(())
    }

    fn take(&mut self, count: usize) -> Step<&[u8]> {
        let rest = &self.bytes[self.position..];
        let taken = rest.get(..count).ok_or("it ends too early")?;
        self.position += count;
        Ok(taken)
    }

    /// A length or number in `bytes` little-endian bytes.
    fn length(&mut self, bytes: usize) -> Step<usize> {
        let mut value = [0; 8];
        value[..bytes].copy_from_slice(self.take(bytes)?);
        usize::try_from(u64::from_le_bytes(value)).map_err(|_| "a length without bounds".into())
    }

    fn line(&mut self) -> Step<String> {
        let rest = &self.bytes[self.position..];
        let end = rest.iter().position(|&b| b == b'\n').ok_or("a name without an end")?;
        let line = String::from_utf8_lossy(&rest[..end]).trim_end_matches('\r').to_owned();
        self.position += end + 1;
        Ok(line)
    }

    fn unicode(&mut self, bytes: usize) -> Step<()> {
        let count = self.length(bytes)?;
        let text = String::from_utf8_lossy(self.take(count)?).into_owned();
        self.push(Node::Text(text));
        Ok(())
    }

    fn skipped(&mut self, bytes: usize) -> Step<()> {
        let count = self.length(bytes)?;
        self.other(count)
    }

    fn other(&mut self, count: usize) -> Step<()> {
        self.take(count)?;
        self.push(Node::Other);
        Ok(())
    }

    fn long(&mut self, bytes: usize) -> Step<()> {
        let count = self.length(bytes)?;
        let digits = self.take(count)?;
        let node = if count <= 8 {
            let sign = digits.last().map_or(0, |&last| if last >= 0x80 { 0xff } else { 0 });
            let mut value = [sign; 8];
            value[..count].copy_from_slice(digits);
            Node::Int(i64::from_le_bytes(value))
        } else {
            Node::Other
        };
        self.push(node);
        Ok(())
    }

    fn push(&mut self, node: Node) {
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
    }

    fn top(&self) -> Step<Id> {
        self.stack.last().copied().filter(|&id| id != MARK).ok_or_else(|| "the stack is empty".into())
    }

    fn pop(&mut self) -> Step<Id> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.stack.iter().rposition(|&id| id == MARK).ok_or("no mark on the stack")?;
        let items = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(items)
    }

    fn tuple(&mut self, count: usize) -> Step<()> {
        let mut items = (0..count).map(|_| self.pop()).collect::<Step<Vec<Id>>>()?;
        items.reverse();
        self.push(Node::Tuple(items));
        Ok(())
    }

    fn put(&mut self, bytes: usize) -> Step<()> {
        let index = self.length(bytes)?;
        let top = self.top()?;
        self.memo.insert(index, top);
        Ok(())
    }

    fn get(&mut self, bytes: usize) -> Step<()> {
        let index = self.length(bytes)?;
        let id =
            *self.memo.get(&index).ok_or_else(|| format!("object {index} is used before it was made"))?;
        self.stack.push(id);
        Ok(())
    }

    fn call(&mut self) -> Step<()> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let is_dict = matches!(&self.nodes[function], Node::Global(name)
            if name == "collections.OrderedDict" || name == "collections.defaultdict");
        self.push(if is_dict { Node::Dict(vec![]) } else { Node::Call { function, arguments, state: None } });
        Ok(())
    }

    /// Attributes of a dictionary (`_metadata` of a state dict) are left out; those of an object are its
    /// state.
    fn build(&mut self) -> Step<()> {
        let (value, object) = (self.pop()?, self.top()?);
        if let Node::Call { state, .. } = &mut self.nodes[object] {
            *state = Some(value);
        }
        Ok(())
    }

    fn append(&mut self, mut items: Vec<Id>) -> Step<()> {
        let object = self.top()?;
        match &mut self.nodes[object] {
            Node::List(list) => list.append(&mut items),
            // An object of a class that is a list.
            Node::Call { .. } => {}
            _ => return Err("items for what is no list".into()),
        }
        Ok(())
    }

    fn set_items(&mut self, mut items: Vec<(Id, Id)>) -> Step<()> {
        let object = self.top()?;
        match &mut self.nodes[object] {
            Node::Dict(pairs) => pairs.append(&mut items),
            // An object of a class that is a dictionary.
            Node::Call { .. } => self.nodes.push(Node::Dict(items)),
            _ => return Err("items for what is no dictionary".into()),
        }
        Ok(())
    }
}

fn pairs(items: &[Id]) -> Step<Vec<(Id, Id)>> {
    let (pairs, rest) = items.as_chunks::<2>();
    if !rest.is_empty() {
        return Err("a key without a value".into());
    }
    Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_that_is_filled_after_it_was_remembered_is_the_same_object() {
        // {"a": d, "b": d} with d = {"k": 7}, pickled by protocol 2: d is remembered while it is empty.
        let bytes = b"\x80\x02}q\0(X\x01\0\0\0a}q\x01X\x01\0\0\0kK\x07sX\x01\0\0\0bh\x01u.";
        let pickle = Pickle::read(bytes).unwrap();
        let Node::Dict(pairs) = pickle.root() else { panic!() };
        assert_eq!(pairs.iter().map(|p| pickle.text(p.0).unwrap()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(pairs[0].1, pairs[1].1);
        let Node::Dict(inner) = pickle.node(pairs[0].1) else { panic!() };
        assert_eq!((pickle.text(inner[0].0), pickle.node(inner[0].1)), (Some("k"), &Node::Int(7)));
    }

    #[test]
    fn protocol_4_is_read_too() {
        // pickle.dumps({"n": -3, "t": (1, 2)}, 4)
        let bytes = b"\x80\x04\x95\x18\0\0\0\0\0\0\0}\x94(\x8c\x01n\x94J\xfd\xff\xff\xff\x8c\x01t\x94K\x01K\x02\x86\x94u.";
        let pickle = Pickle::read(bytes).unwrap();
        let Node::Dict(pairs) = pickle.root() else { panic!() };
        assert_eq!(pairs.iter().map(|p| pickle.text(p.0).unwrap()).collect::<Vec<_>>(), ["n", "t"]);
        assert_eq!(pickle.node(pairs[0].1), &Node::Int(-3));
        assert!(matches!(pickle.node(pairs[1].1), Node::Tuple(items) if items.len() == 2));
    }

    #[test]
    fn what_python_would_call_is_only_written_down() {
        let bytes = b"\x80\x02cos\nsystem\nX\x09\0\0\0touch OWNED\x85R.";
        assert!(Pickle::read(bytes).is_err(), "the length of the text is wrong");
        let pickle = Pickle::read(b"\x80\x02cos\nsystem\nX\x0b\0\0\0touch OWNED\x85R.").unwrap();
        assert_eq!(pickle.globals().collect::<Vec<_>>(), ["os.system"]);
        assert!(matches!(pickle.root(), Node::Call { state: None, .. }));
    }

    #[test]
    fn an_object_that_doubles_itself_takes_no_more_memory_than_its_bytes() {
        let mut bytes = b"\x80\x02)q\0".to_vec();
        for _ in 0..200 {
            bytes.extend(b"h\0h\0\x86q\0");
        }
        bytes.push(b'.');
        assert!(Pickle::read(&bytes).unwrap().nodes.len() < bytes.len());
    }

    #[test]
    fn broken_pickles_are_errors_that_say_where() {
        let cases: [(&[u8], &str); 9] = [
            (b"", "it ends too early at byte 0"),
            (b"\x80\x02", "it ends too early"),
            (b".", "the stack is empty"),
            (b"(.", "the stack is empty"),
            (b"h\x05.", "object 5 is used before"),
            (b"(K\x01d.", "a key without a value"),
            (b"K\x01K\x02K\x03s.", "items for what is no dictionary"),
            (b"X\xff\xff\xff\xffab", "it ends too early"),
            (b"i.", "opcode 0x69"),
        ];
        for (bytes, expected) in cases {
            let error = Pickle::read(bytes).unwrap_err();
            assert!(error.contains(expected), "{bytes:?}: {error}");
        }
    }
}
