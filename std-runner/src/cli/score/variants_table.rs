//! Tables of variants: read, and written with a column more.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use csv::{ByteRecord, ReaderBuilder, WriterBuilder};
use flate2::read::MultiGzDecoder;
use std_runner::variants::{Mutation, MutationError, parse};

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

/// Why a row has no score.
#[derive(Debug, thiserror::Error)]
enum RowError {
    /// Cells that no column is for: a score behind them would be another column's.
    #[error("{found} cells, and the header has {expected}")]
    Cells { found: usize, expected: usize },
    /// Its variant is none of the sequence.
    #[error(transparent)]
    Mutation(#[from] MutationError),
}

impl RowError {
    /// Whether another number of the first residue could mend it.
    fn is_misplaced(&self) -> bool {
        matches!(self, Self::Mutation(MutationError::Outside { .. } | MutationError::WildType { .. }))
    }
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
        let mut places = (0..).zip(&names).filter(|(_, name)| name.trim() == column).map(|(place, _)| place);
        let Some(place) = places.next() else {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            bail!("{shown}:1: no column `{column}` (--mutation-col); the columns are {names}");
        };
        ensure!(places.next().is_none(), "{shown}:1: there are several columns `{column}`");
        let rows: Vec<ByteRecord> =
            reader.into_byte_records().collect::<Result<_, _>>().with_context(|| shown.to_string())?;
        // All that follows would be one cell.
        let quotes = text.iter().filter(|&&byte| byte == b'"').count();
        ensure!(quotes.is_multiple_of(2), "{shown}: a quotation mark is opened and never closed");
        let lines = lines(text, rows.iter().filter_map(ByteRecord::position));
        let (path, column_name) = (path.into(), column.into());
        Ok(Self { path, delimiter, header, rows, lines, column: place, column_name })
    }

    /// Every row's variant of `sequence`, whose first residue has the number `offset`. Rows that are wrong are
    /// failures.
    pub fn variants(&self, offset: i64, sequence: &[u8], console: &mut Console) -> Vec<Variant> {
        let parsed: Vec<Result<_, RowError>> =
            self.rows.iter().map(|row| self.variant(row, offset, sequence)).collect();
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
        let misplaced = wrong().any(|(_, error)| error.is_misplaced());
        if let Some(other) = misplaced.then(|| self.better_offset(offset, sequence, count)).flatten() {
            console.note(format_args!("with --offset-idx {other} all of them would fit"));
        }
        parsed.into_iter().map(Result::ok).collect()
    }

    /// The only other number of the first residue with which all rows of `wrong` that could be in their place
    /// are.
    fn better_offset(&self, offset: i64, sequence: &[u8], wrong: usize) -> Option<i64> {
        let misplaced = |offset: i64| {
            let errors = self.rows.iter().filter_map(|row| self.variant(row, offset, sequence).err());
            errors.filter(RowError::is_misplaced).count()
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

    /// The variant of a row.
    fn variant(&self, row: &ByteRecord, offset: i64, sequence: &[u8]) -> Result<Vec<Mutation>, RowError> {
        let (found, expected) = (row.len(), self.header.len());
        if found > expected {
            return Err(RowError::Cells { found, expected });
        }
        let text = String::from_utf8_lossy(row.get(self.column).unwrap_or_default());
        Ok(parse(&text, offset, sequence)?)
    }

    /// Where the table goes with the further column `column`: `path`, or into the folder `path` under its own
    /// name.
    pub fn output(&self, path: &Path, column: &str) -> anyhow::Result<Output> {
        let shown = self.path.display();
        let there = self.header.iter().any(|name| name == column.as_bytes());
        ensure!(!there, "{shown}:1: there is a column `{column}` already; --score-col gives another name");
        let file = match self.path.file_name() {
            Some(name) if path.is_dir() => path.join(without_gz(name)),
            _ => path.to_owned(),
        };
        let shown = file.display();
        // A file takes the name when it is whole; a device or a pipe would be no more.
        let special = file.metadata().is_ok_and(|metadata| !metadata.is_file()) || file.as_os_str() == "-";
        ensure!(!special, "{shown}: expected the name of a file, or a folder that is there");
        let is_gzip = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
        ensure!(!is_gzip, "{shown}: the table is written as text; expected a name without .gz");
        let same = file.canonicalize().ok().zip(self.path.canonicalize().ok());
        ensure!(same.is_none_or(|(a, b)| a != b), "{shown}: it would replace the table that it is made of");
        let file = file.canonicalize().unwrap_or(file);
        let name = file.file_name().with_context(|| format!("{}: no name of a file", file.display()))?;
        let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
        let (folder, name) = (parent.unwrap_or(Path::new(".")), name.to_string_lossy().into_owned());
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

/// The name of a gzipped file's text.
fn without_gz(name: &OsStr) -> String {
    let name = name.to_string_lossy();
    name.strip_suffix(".gz").unwrap_or(&name).to_owned()
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
