//! Tables of variants: read, and written with a column more.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use csv::{ByteRecord, ReaderBuilder, WriterBuilder};
use flate2::read::MultiGzDecoder;
use std_runner::variants::{MutationError, parse};

use super::Variant;
use crate::cli::console::Console;
use crate::files::OutputDir;

/// Rows that are wrong are told of one by one, so many at most.
const TOLD: usize = 10;

/// The first bytes of a gzipped file, and of UTF-8 with a byte order mark.
const GZIP: [u8; 2] = [0x1f, 0x8b];
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// A table with a column of variants.
pub struct VariantsTable {
    path: PathBuf,
    delimiter: u8,
    header: ByteRecord,
    rows: Vec<ByteRecord>,
    /// The line in the file that each row begins in.
    lines: Vec<usize>,
    /// The column of variants.
    column: usize,
    column_name: String,
}

/// Where a table goes.
pub struct Output {
    dir: OutputDir,
    name: String,
    column: String,
}

impl VariantsTable {
    /// Reads a table whose column of variants is called `column`.
    pub fn read(path: &Path, column: &str) -> anyhow::Result<Self> {
        let shown = path.display();
        let bytes = read_bytes(path).with_context(|| shown.to_string())?;
        let text = bytes.strip_prefix(&BYTE_ORDER_MARK).unwrap_or(&bytes);
        let utf16 = text.starts_with(&[0xff, 0xfe]) || text.starts_with(&[0xfe, 0xff]);
        ensure!(!utf16, "{shown}: it is UTF-16; expected UTF-8 (\"CSV UTF-8\" in spreadsheets)");
        let delimiter = delimiter(text);
        let mut reader = ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(text);
        let header = reader.byte_headers().with_context(|| shown.to_string())?.clone();
        let names: Vec<String> =
            header.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        let Some(place) = names.iter().position(|name| name.trim() == column) else {
            bail!(
                "{shown}:1: no column `{column}` (--mutation-col); the columns are {}",
                names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            );
        };
        let rows: Vec<ByteRecord> =
            reader.into_byte_records().collect::<Result<_, _>>().with_context(|| shown.to_string())?;
        let lines = lines(text, rows.iter().filter_map(ByteRecord::position));
        let (path, column_name) = (path.into(), column.into());
        Ok(Self { path, delimiter, header, rows, lines, column: place, column_name })
    }

    /// The file that it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every row's variant of `sequence`, whose first residue has the number `offset`. Rows that are wrong are
    /// failures.
    pub fn variants(&self, offset: i64, sequence: &[u8], console: &mut Console) -> Vec<Variant> {
        let parsed: Vec<Result<_, MutationError>> =
            self.texts().map(|text| parse(&text, offset, sequence)).collect();
        let wrong = || {
            self.lines.iter().zip(&parsed).filter_map(|(line, parsed)| Some((line, parsed.as_ref().err()?)))
        };
        let count = wrong().count();
        for (line, error) in wrong().take(TOLD) {
            console.failure(format_args!(
                "{}:{line}: column `{}`: {error}",
                self.path.display(),
                self.column_name
            ));
        }
        if count > TOLD {
            console.failures(
                count - TOLD,
                format_args!("{}: {} more rows like these", self.path.display(), count - TOLD),
            );
        }
        let misplaced = wrong().any(|(_, error)| {
            matches!(error, MutationError::Outside { .. } | MutationError::WildType { .. })
        });
        if let Some(other) = misplaced.then(|| self.better_offset(offset, sequence, count)).flatten() {
            console.note(format_args!("with --offset-idx {other} all of them would fit"));
        }
        parsed.into_iter().map(Result::ok).collect()
    }

    /// The only other number of the first residue with which all rows of `wrong` that could be in their place
    /// are.
    fn better_offset(&self, offset: i64, sequence: &[u8], wrong: usize) -> Option<i64> {
        let misplaced = |offset: i64| {
            let is_misplaced = |text: &String| {
                let error = parse(text, offset, sequence).err();
                matches!(error, Some(MutationError::Outside { .. } | MutationError::WildType { .. }))
            };
            self.texts().filter(is_misplaced).count()
        };
        let range = sequence.len() as i64;
        // Few rows tell an offset apart from chance.
        if wrong < 3 {
            return None;
        }
        let mut fitting =
            (-range..=range.saturating_mul(2)).filter(|&other| other != offset && misplaced(other) == 0);
        fitting.next().filter(|_| fitting.next().is_none())
    }

    fn texts(&self) -> impl Iterator<Item = String> {
        self.rows
            .iter()
            .map(|row| String::from_utf8_lossy(row.get(self.column).unwrap_or_default()).into_owned())
    }

    /// Where the table goes with the further column `column`: `path`, or into the folder `path` under its own
    /// name.
    pub fn output(&self, path: &Path, column: &str) -> anyhow::Result<Output> {
        let shown = self.path.display();
        let there = self.header.iter().any(|name| name == column.as_bytes());
        ensure!(!there, "{shown}:1: there is a column `{column}` already; --score-col gives another name");
        let (folder, name) = if path.is_dir() {
            let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (path, name.strip_suffix(".gz").map(str::to_owned).unwrap_or(name))
        } else {
            let name = path.file_name().with_context(|| format!("{}: no name of a file", path.display()))?;
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            (parent.unwrap_or(Path::new(".")), name.to_string_lossy().into_owned())
        };
        Ok(Output { dir: OutputDir::create(folder)?, name, column: column.into() })
    }
}

impl Output {
    /// Writes the rows with their scores; an empty cell where there is none.
    pub fn write(&self, table: &VariantsTable, scores: &[Option<f64>]) -> anyhow::Result<PathBuf> {
        let path = self.dir.write(&self.name, |w| {
            let mut writer = WriterBuilder::new().delimiter(table.delimiter).flexible(true).from_writer(w);
            let columns = table.header.len();
            let mut put = |row: &ByteRecord, last: &str| {
                let missing = columns.saturating_sub(row.len());
                let cells = row.iter().chain(std::iter::repeat_n(&b""[..], missing));
                writer.write_record(cells.chain([last.as_bytes()]))
            };
            put(&table.header, &self.column)?;
            for (row, score) in table.rows.iter().zip(scores) {
                put(row, &score.map_or_else(String::new, |score| format!("{score:.6}")))?;
            }
            writer.flush()
        })?;
        Ok(path)
    }
}

fn read_bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let bytes = fs::read(path)?;
    if !bytes.starts_with(&GZIP) {
        return Ok(bytes);
    }
    let mut unpacked = Vec::new();
    MultiGzDecoder::new(&bytes[..]).read_to_end(&mut unpacked)?;
    Ok(unpacked)
}

/// What separates the columns of the header: a comma where there is one, else a tab or a semicolon.
fn delimiter(text: &[u8]) -> u8 {
    let header = text.split(|&byte| byte == b'\n' || byte == b'\r').next().unwrap_or_default();
    [b',', b'\t', b';'].into_iter().find(|delimiter| header.contains(delimiter)).unwrap_or(b',')
}

/// The lines, from 1, of records that begin at `positions`, or at the line end before: the reader leaves the
/// second byte of CRLF to the next record.
fn lines<'p>(text: &[u8], positions: impl Iterator<Item = &'p csv::Position>) -> Vec<usize> {
    let (mut line, mut at) = (1, 0);
    let mut of_record = |position: &csv::Position| {
        let is_end = |byte: Option<&u8>| matches!(byte, Some(b'\r' | b'\n'));
        let begin = usize::try_from(position.byte()).unwrap_or(usize::MAX);
        while at < begin || is_end(text.get(at)) {
            let crlf = text.get(at..at + 2) == Some(b"\r\n");
            line += usize::from(is_end(text.get(at)) && !crlf);
            at += 1;
        }
        line
    };
    positions.map(&mut of_record).collect()
}
