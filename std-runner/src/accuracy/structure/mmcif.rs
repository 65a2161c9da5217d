//! Coordinates of mmCIF files.

use super::record::{AtomRecord, RecordFault, Records};

/// Does the text begin as a CIF does, with `data_`?
pub(super) fn is_mmcif(bytes: &[u8]) -> bool {
    let lines = bytes.split(|&b| b == b'\n' || b == b'\r').map(<[u8]>::trim_ascii);
    let first = lines.map(|line| line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line));
    let mut first = first.filter(|line| !line.is_empty() && !line.starts_with(b"#"));
    first.next().is_some_and(|line| line.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"data_")))
}

/// Reads the first model's rows of the first `_atom_site` loop.
pub(super) fn records(bytes: &[u8]) -> Result<Records, RecordFault> {
    let text = String::from_utf8_lossy(bytes);
    let mut tokens = Tokens { text: &text, at: 0, line: 1 };
    while let Some(token) = tokens.next() {
        if !token.is_word("loop_") {
            continue;
        }
        let (headers, first) = headers(&mut tokens);
        if headers.iter().any(|name| name.starts_with("_atom_site.")) {
            return rows(&mut tokens, &Columns::find(&headers, token.line)?, headers.len(), first);
        }
    }
    Ok(Records { atoms: Vec::new(), models: 0 })
}

/// The names of a loop's columns, in lower case, and what comes behind them.
fn headers<'t>(tokens: &mut Tokens<'t>) -> (Vec<String>, Option<Token<'t>>) {
    let mut names = Vec::new();
    loop {
        match tokens.next() {
            Some(token) if !token.quoted && token.text.starts_with('_') => {
                names.push(token.text.to_lowercase())
            }
            other => return (names, other),
        }
    }
}

/// Where the columns are.
struct Columns {
    group: Option<usize>,
    name: usize,
    alternate: Option<usize>,
    residue: usize,
    author_chain: Option<usize>,
    label_chain: Option<usize>,
    author_number: Option<usize>,
    label_number: Option<usize>,
    insertion: Option<usize>,
    position: [usize; 3],
    occupancy: Option<usize>,
    b_factor: Option<usize>,
    model: Option<usize>,
}

impl Columns {
    fn find(headers: &[String], line: u64) -> Result<Self, RecordFault> {
        let find = |name: &str| headers.iter().position(|h| h.strip_prefix("_atom_site.") == Some(name));
        let required = |names: &[&str]| {
            names.iter().find_map(|name| find(name)).ok_or_else(|| RecordFault {
                line: Some(line),
                reason: format!("its loop of atoms has no column _atom_site.{}", names.join(" or ")),
            })
        };
        let columns = Self {
            group: find("group_pdb"),
            name: required(&["label_atom_id", "auth_atom_id"])?,
            alternate: find("label_alt_id"),
            residue: required(&["label_comp_id", "auth_comp_id"])?,
            author_chain: find("auth_asym_id"),
            label_chain: find("label_asym_id"),
            author_number: find("auth_seq_id"),
            label_number: find("label_seq_id"),
            insertion: find("pdbx_pdb_ins_code"),
            position: [required(&["cartn_x"])?, required(&["cartn_y"])?, required(&["cartn_z"])?],
            occupancy: find("occupancy"),
            b_factor: find("b_iso_or_equiv"),
            model: find("pdbx_pdb_model_num"),
        };
        required(&["auth_seq_id", "label_seq_id"])?;
        Ok(columns)
    }
}

fn rows<'t>(
    tokens: &mut Tokens<'t>,
    columns: &Columns,
    width: usize,
    first: Option<Token<'t>>,
) -> Result<Records, RecordFault> {
    let mut atoms: Vec<AtomRecord> = Vec::new();
    let mut models: Vec<Option<&str>> = Vec::new();
    let mut next = first;
    while let Some(start) = next.filter(|token| !token.ends_loop()) {
        let mut row = vec![start];
        while row.len() < width {
            let token = tokens.next().filter(|token| !token.ends_loop());
            let short = || format!("the row has {} of {width} values", row.len());
            row.push(token.ok_or_else(|| RecordFault { line: Some(start.line), reason: short() })?);
        }
        let model = columns.model.and_then(|column| row[column].value());
        if !models.contains(&model) {
            models.push(model);
        }
        if models.first() == Some(&model) {
            let atom = atom(&row, columns);
            atoms.push(atom.map_err(|reason| RecordFault { line: Some(start.line), reason })?);
        }
        next = tokens.next();
    }
    // Where no atom has a place in a polymer's sequence, the file doesn't use the column.
    if atoms.iter().all(|atom| atom.polymer == Some(false)) {
        atoms.iter_mut().for_each(|atom| atom.polymer = None);
    }
    Ok(Records { atoms, models: models.len() })
}

fn atom(row: &[Token<'_>], columns: &Columns) -> Result<AtomRecord, String> {
    let value = |column: Option<usize>| column.and_then(|column| row[column].value());
    let text = |column: Option<usize>| value(column).unwrap_or_default().to_owned();
    let float = |column: usize, name: &str| -> Result<Option<f64>, String> {
        let Some(text) = row[column].value() else { return Ok(None) };
        // A standard uncertainty may follow in parentheses.
        let number = text.split_once('(').map_or(text, |(number, _)| number);
        let number = number.parse().ok().filter(|number: &f64| number.is_finite());
        number.map(Some).ok_or_else(|| format!("{name} is `{text}`; expected a number"))
    };
    let integer = |column: Option<usize>| -> Result<Option<isize>, String> {
        let parse = |text: &str| text.parse().map_err(|_| format!("`{text}` is no residue number"));
        value(column).map(parse).transpose()
    };
    let coordinate = |axis: usize| {
        float(columns.position[axis], "a coordinate")?.ok_or_else(|| "a coordinate is missing".to_owned())
    };
    let sequence_number = integer(columns.label_number)?;
    let number = integer(columns.author_number)?.or(sequence_number);
    let (author, label) = (value(columns.author_chain), value(columns.label_chain));
    Ok(AtomRecord {
        hetero: value(columns.group).is_some_and(|group| group.eq_ignore_ascii_case("HETATM")),
        name: row[columns.name].value().unwrap_or_default().to_owned(),
        alternate: text(columns.alternate),
        residue: row[columns.residue].value().unwrap_or_default().to_owned(),
        chain: author.or(label).unwrap_or_default().to_owned(),
        label: label.map(str::to_owned),
        part: 0,
        number: number.ok_or("the atom's residue has no number")?,
        insertion: text(columns.insertion),
        sequence_number,
        position: [coordinate(0)?, coordinate(1)?, coordinate(2)?],
        occupancy: columns.occupancy.map_or(Ok(None), |c| float(c, "the occupancy"))?.unwrap_or(1.0),
        b_factor: columns.b_factor.map_or(Ok(None), |c| float(c, "the B-factor"))?.unwrap_or(0.0),
        polymer: columns.label_number.map(|_| sequence_number.is_some()),
        terminated: false,
    })
}

/// One value or word of a CIF.
#[derive(Clone, Copy)]
struct Token<'t> {
    text: &'t str,
    quoted: bool,
    line: u64,
}

impl<'t> Token<'t> {
    fn is_word(&self, word: &str) -> bool {
        !self.quoted && self.text.eq_ignore_ascii_case(word)
    }

    /// The value; `None` if it is unknown (`?`) or inapplicable (`.`).
    fn value(&self) -> Option<&'t str> {
        (self.quoted || !matches!(self.text, "." | "?")).then_some(self.text)
    }

    fn ends_loop(&self) -> bool {
        let starts = |word: &str| self.text.get(..word.len()).is_some_and(|t| t.eq_ignore_ascii_case(word));
        let word = self.text.starts_with('_') || starts("data_") || starts("save_");
        !self.quoted && (word || self.is_word("loop_") || self.is_word("stop_") || self.is_word("global_"))
    }
}

/// Splits a CIF into its words and values.
struct Tokens<'t> {
    text: &'t str,
    at: usize,
    line: u64,
}

impl<'t> Tokens<'t> {
    /// What is from here to `end`, which is passed.
    fn take(&mut self, end: usize) -> &'t str {
        let text = &self.text[self.at..end];
        self.line += text.matches('\n').count() as u64;
        self.at = end;
        text
    }

    fn next(&mut self) -> Option<Token<'t>> {
        loop {
            let rest = &self.text[self.at..];
            let blank = rest.len() - rest.trim_start().len();
            self.take(self.at + blank);
            if !self.text[self.at..].starts_with('#') {
                break;
            }
            let rest = &self.text[self.at..];
            self.take(self.at + rest.find('\n').unwrap_or(rest.len()));
        }
        let (rest, line) = (&self.text[self.at..], self.line);
        let first = rest.chars().next()?;
        let line_start = self.at == 0 || self.text[..self.at].ends_with(['\n', '\r']);
        if first == ';' && line_start {
            let length = rest.find("\n;").unwrap_or(rest.len());
            let text = self.take(self.at + length).get(1..).unwrap_or_default();
            self.take((self.at + 2).min(self.text.len()));
            return Some(Token { text, quoted: true, line });
        }
        if first == '\'' || first == '"' {
            let closes = |&(at, c): &(usize, char)| {
                c == '\n' || c == first && rest[at + 1..].chars().next().is_none_or(char::is_whitespace)
            };
            let end = rest.char_indices().skip(1).find(closes).map_or(rest.len(), |(at, _)| at);
            let text = self.take(self.at + end).get(1..).unwrap_or_default();
            if self.text[self.at..].starts_with(first) {
                self.take(self.at + 1);
            }
            return Some(Token { text, quoted: true, line });
        }
        let length = rest.find(char::is_whitespace).unwrap_or(rest.len());
        Some(Token { text: self.take(self.at + length), quoted: false, line })
    }
}
