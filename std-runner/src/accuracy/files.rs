//! Structure files of a folder, and whose they are.

use std::path::{Path, PathBuf};

/// Endings of structure files, in lower case.
const ENDINGS: [&str; 4] = [".pdb", ".ent", ".cif", ".mmcif"];

/// The structure files of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StructureFiles {
    /// Stems and paths, sorted by path.
    pub files: Vec<(String, PathBuf)>,
    /// Files that look like structures and have an ending that isn't read (`.cif.bz2`, `.bcif`), sorted.
    pub unreadable: Vec<PathBuf>,
}

impl StructureFiles {
    /// Finds the structure files (PDB: `.pdb`, `.ent`, and `.pdb1` and so on for assemblies; mmCIF: `.cif`,
    /// `.mmcif`; each also gzipped, `.gz`) of a folder, upper or lower case.
    ///
    /// # Errors
    /// The system's, if the folder cannot be read.
    pub fn find(dir: &Path) -> std::io::Result<Self> {
        let mut found = Self::default();
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with('.') || path.is_dir() {
                continue;
            }
            match stem(&name) {
                Some(stem) => found.files.push((stem.to_owned(), path)),
                None if looks_like_one(&name) => found.unreadable.push(path),
                None => {}
            }
        }
        found.files.sort_by(|a, b| a.1.cmp(&b.1));
        found.unreadable.sort();
        Ok(found)
    }
}

/// The name without its ending, and without what the archive puts around an entry's identifier
/// (`pdb1abc.ent`); `None` if it isn't a structure's.
fn stem(name: &str) -> Option<&str> {
    let plain = strip(name, ".gz").unwrap_or(name);
    // The archive calls biological assemblies `1abc.pdb1`, `1abc.pdb2`.
    let unnumbered = plain.trim_end_matches(|c: char| c.is_ascii_digit());
    let assembly = (plain.len() - unnumbered.len() <= 3).then(|| strip(unnumbered, ".pdb")).flatten();
    let (stem, ending) = ENDINGS
        .iter()
        .find_map(|ending| Some((strip(plain, ending)?, *ending)))
        .or_else(|| Some((assembly?, ".pdb")))?;
    let archived = stem.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("pdb"));
    let entry = (ending == ".ent" && archived).then(|| &stem[3..]);
    let entry = entry.filter(|entry| entry.len() == 4 && entry.is_ascii());
    Some(entry.unwrap_or(stem)).filter(|stem| !stem.is_empty())
}

/// `name` without `ending`, whose case does not matter.
fn strip<'n>(name: &'n str, ending: &str) -> Option<&'n str> {
    let at = name.len().checked_sub(ending.len())?;
    name.get(at..).filter(|tail| tail.eq_ignore_ascii_case(ending)).map(|_| &name[..at])
}

fn looks_like_one(name: &str) -> bool {
    let kinds = ["pdb", "ent", "cif", "mmcif", "bcif", "mmtf", "pdbx"];
    let parts = name.split('.').skip(1).map(|part| part.trim_end_matches(|c: char| c.is_ascii_digit()));
    parts.into_iter().any(|part| kinds.iter().any(|kind| part.eq_ignore_ascii_case(kind)))
}

/// How well a structure's stem fits an identifier: the whole of it, or the part before its first `_` (an
/// entry's name), in the same case or another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// `7acy` and `7ACY_B`.
    EntryIgnoringCase,
    /// `7ACY` and `7ACY_B`.
    Entry,
    /// `7acy_b` and `7ACY_B`.
    WholeIgnoringCase,
    /// `7ACY_B` and `7ACY_B`.
    Whole,
}

/// How well the structure `stem` fits the record `id`; `None` if not at all.
pub fn fit(stem: &str, id: &str) -> Option<Fit> {
    let entry = id.split_once('_').map(|(entry, _)| entry);
    if stem == id {
        Some(Fit::Whole)
    } else if stem.eq_ignore_ascii_case(id) {
        Some(Fit::WholeIgnoringCase)
    } else if entry == Some(stem) {
        Some(Fit::Entry)
    } else if entry.is_some_and(|entry| entry.eq_ignore_ascii_case(stem)) {
        Some(Fit::EntryIgnoringCase)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_in_any_case() {
        for name in [
            "7ACY.pdb",
            "7ACY.PDB",
            "7ACY.pdb.gz",
            "7ACY.ent",
            "7ACY.ENT.GZ",
            "7ACY.cif",
            "7ACY.Cif.Gz",
            "7ACY.mmcif",
        ] {
            assert_eq!(stem(name), Some("7ACY"), "{name}");
        }
        for name in ["pdb7acy.ent.gz", "pdb7acy.ent", "Pdb7acy.ent", "PDB7acy.ENT", "PDB7acy.ENT.GZ"] {
            assert_eq!(stem(name), Some("7acy"), "{name}");
        }
        for name in ["7ACY.pdb1", "7ACY.pdb1.gz", "7ACY.PDB12.GZ"] {
            assert_eq!(stem(name), Some("7ACY"), "{name}");
        }
        assert_eq!(
            (stem("pdb7acy.pdb"), stem("pdbs.ent"), stem("T1024-D1.pdb")),
            (Some("pdb7acy"), Some("pdbs"), Some("T1024-D1"))
        );
        for name in [
            "targets.fasta",
            "7ACY.pdb.bz2",
            ".pdb",
            ".pdb1",
            "7ACY.pdb1234",
            "7ACY.cif1",
            "7ACY.gz",
            "pdb",
            "é",
        ] {
            assert_eq!(stem(name), None, "{name}");
        }
    }

    #[test]
    fn what_is_in_a_folder() {
        let dir = tempfile::tempdir().expect("a folder");
        for name in [
            "b.PDB",
            "a.cif.gz",
            "c.pdb.bz2",
            "d.bcif",
            "e.pdb1.bz2",
            "targets.fasta",
            ".hidden.pdb",
            "notes.txt",
        ] {
            std::fs::write(dir.path().join(name), "").expect("written");
        }
        std::fs::create_dir(dir.path().join("folder.pdb")).expect("made");
        let found = StructureFiles::find(dir.path()).expect("a folder");
        let stems: Vec<&str> = found.files.iter().map(|(stem, _)| stem.as_str()).collect();
        assert_eq!(stems, ["a", "b"]);
        let names = found.unreadable.iter().map(|p| p.file_name().expect("a name").to_owned());
        assert_eq!(names.collect::<Vec<_>>(), ["c.pdb.bz2", "d.bcif", "e.pdb1.bz2"]);
        assert!(StructureFiles::find(&dir.path().join("none")).is_err());
    }

    #[test]
    fn whose_a_structure_is() {
        assert_eq!(fit("7ACY_B", "7ACY_B"), Some(Fit::Whole));
        assert_eq!(fit("7acy_b", "7ACY_B"), Some(Fit::WholeIgnoringCase));
        assert_eq!(
            (fit("7ACY", "7ACY_B"), fit("7acy", "7ACY_B")),
            (Some(Fit::Entry), Some(Fit::EntryIgnoringCase))
        );
        assert_eq!((fit("7ACY", "7ACYB"), fit("7ACY_B", "7ACY"), fit("T1024", "T1025")), (None, None, None));
        assert!(Fit::Whole > Fit::Entry && Fit::Entry > Fit::EntryIgnoringCase);
    }
}
