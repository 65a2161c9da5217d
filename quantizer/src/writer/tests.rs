//! What is written is what is read, and no damage goes unseen.

use super::*;
use foldpoint_core::format::{FormatError, MAX_NAME_BYTES, ModelFile};
use proptest::prelude::*;

/// A file with a tensor of each width, an empty one, and one that needs no padding.
fn small_file() -> Vec<u8> {
    let mut writer = ModelWriter::new();
    writer.add_u32("lm.config", &[3], vec![33, 6, 320]).unwrap();
    writer.add_i8("lm.head.decoder.weight", &[2, 1, 16, 4], (0..128).map(|v| v as i8).collect()).unwrap();
    writer.add_u16("lm.head.decoder.outliers", &[0], vec![]).unwrap();
    writer.add_i64("limits", &[1], vec![i64::MIN]).unwrap();
    writer.to_bytes().unwrap()
}

/// Whether a reader who checks everything takes these bytes.
fn accepted(bytes: &[u8]) -> Result<(), FormatError> {
    ModelFile::parse(bytes)?.verify()
}

#[test]
fn typed_tensors_are_read_back() {
    let mut writer = ModelWriter::new();
    writer.add_i8("a", &[2], vec![i8::MIN, i8::MAX]).unwrap();
    writer.add_u8("b", &[2], vec![0, u8::MAX]).unwrap();
    writer.add_i16("c", &[2], vec![i16::MIN, i16::MAX]).unwrap();
    writer.add_u16("d", &[2], vec![0, u16::MAX]).unwrap();
    writer.add_i32("e", &[2], vec![i32::MIN, i32::MAX]).unwrap();
    writer.add_u32("f", &[2], vec![0, u32::MAX]).unwrap();
    writer.add_i64("g", &[2, 1], vec![i64::MIN, i64::MAX]).unwrap();
    let bytes = writer.to_bytes().unwrap();
    // A vector of bytes may begin anywhere; the views need an aligned start.
    let mut room = vec![0; bytes.len() + ALIGNMENT];
    let start = room.as_ptr().align_offset(ALIGNMENT);
    let aligned = &mut room[start..start + bytes.len()];
    aligned.copy_from_slice(&bytes);
    let file = ModelFile::parse(aligned).unwrap();
    assert_eq!(file.i8s("a", &[2]), Ok(&[i8::MIN, i8::MAX][..]));
    assert_eq!(file.u8s("b", &[2]), Ok(&[0, u8::MAX][..]));
    assert_eq!(file.i16s("c", &[2]), Ok(&[i16::MIN, i16::MAX][..]));
    assert_eq!(file.u16s("d", &[2]), Ok(&[0, u16::MAX][..]));
    assert_eq!(file.i32s("e", &[2]), Ok(&[i32::MIN, i32::MAX][..]));
    assert_eq!(file.u32s("f", &[2]), Ok(&[0, u32::MAX][..]));
    assert_eq!(file.i64s("g", &[2, 1]), Ok(&[i64::MIN, i64::MAX][..]));
}

#[test]
fn a_file_without_tensors_is_a_header() {
    let bytes = ModelWriter::new().to_bytes().unwrap();
    assert_eq!(bytes.len(), HEADER_BYTES);
    assert_eq!(accepted(&bytes), Ok(()));
}

#[test]
fn tensors_that_wait_in_a_file_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tensors");
    let open = || File::options().create(true).append(true).read(true).open(&path).unwrap();
    let mut plain = ModelWriter::new();
    let mut writer = ModelWriter::keeping_in(open());
    for writer in [&mut plain, &mut writer] {
        writer.add_u32("z", &[2, 1], vec![7, 8]).unwrap();
        writer.add_i8("a", &[3], vec![-1, 2, -3]).unwrap();
    }
    let kept = writer.kept(|name| name == "z");
    assert_eq!(kept.len(), 1);
    assert_eq!(writer.to_bytes().unwrap(), plain.to_bytes().unwrap());
    drop(writer);
    // Another writer goes on with the file, and what wasn't restored is added again.
    let mut writer = ModelWriter::keeping_in(open());
    kept.iter().for_each(|kept| writer.restore(kept.clone()).unwrap());
    assert!(matches!(writer.restore(kept[0].clone()), Err(WriteError::Duplicate { .. })));
    writer.add_i8("a", &[3], vec![-1, 2, -3]).unwrap();
    let out = folder.path().join("model.fpm");
    writer.write_to(&out).unwrap();
    assert_eq!(std::fs::read(&out).unwrap(), plain.to_bytes().unwrap());
    // Damage is found before anything is replaced.
    std::fs::write(&path, [0; 64]).unwrap();
    assert!(matches!(writer.write_to(&out), Err(WriteError::Damaged { .. })));
    std::fs::write(&path, []).unwrap();
    assert!(matches!(writer.write_to(&out), Err(WriteError::Kept(_))));
    assert_eq!(std::fs::read(&out).unwrap(), plain.to_bytes().unwrap());
}

#[test]
fn what_can_not_be_stored_is_refused() {
    let mut writer = ModelWriter::new();
    for name in ["", "two words", "\u{e5}", &"x".repeat(MAX_NAME_BYTES + 1)] {
        assert!(matches!(writer.add_u8(name, &[1], vec![0]), Err(WriteError::Name { .. })), "{name:?}");
    }
    for shape in [&[][..], &[1; 5], &[1 << 32, 0]] {
        assert!(matches!(writer.add_u8("t", shape, vec![]), Err(WriteError::Shape { .. })), "{shape:?}");
    }
    let wrong = writer.add_i32("t", &[2, 3], vec![0; 5]).unwrap_err();
    assert_eq!(wrong.to_string(), "tensor t: i32 of shape [2, 3] does not take 20 bytes");
    assert!(matches!(writer.add("t", DType::U16, &[1], vec![0]), Err(WriteError::Length { found: 1, .. })));
    let huge = writer.add("t", DType::I64, &[u32::MAX as usize; 4], vec![]);
    assert!(matches!(huge, Err(WriteError::Length { .. })));
    writer.add_u8("t", &[1], vec![7]).unwrap();
    assert!(matches!(writer.add_i8("t", &[2], vec![8, 9]), Err(WriteError::Duplicate { .. })));
    let bytes = writer.to_bytes().unwrap();
    assert_eq!(ModelFile::parse(&bytes).unwrap().u8s("t", &[1]), Ok(&[7][..]));
}

#[test]
fn every_flipped_bit_is_found() {
    let mut bytes = small_file();
    assert_eq!(accepted(&bytes), Ok(()));
    for at in 0..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            assert!(accepted(&bytes).is_err(), "bit {bit} of byte {at}");
            bytes[at] ^= 1 << bit;
        }
    }
}

#[test]
fn every_truncation_is_found_without_reading_tensors() {
    let bytes = small_file();
    for length in 0..bytes.len() {
        assert!(ModelFile::parse(&bytes[..length]).is_err(), "{length} bytes");
    }
    let longer = [&bytes[..], &[0; ALIGNMENT]].concat();
    assert!(matches!(ModelFile::parse(&longer), Err(FormatError::TrailingBytes { .. })));
}

fn contents(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_written_file_replaces_the_old_one_and_leaves_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.fpm");
    std::fs::write(&path, "old").unwrap();
    let mut writer = ModelWriter::new();
    writer.add_u16("t", &[100], (0..100).collect()).unwrap();
    writer.write_to(&path).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), writer.to_bytes().unwrap());
    assert_eq!(contents(folder.path()), ["model.fpm"]);
}

#[cfg(unix)]
#[test]
fn a_written_file_has_the_permissions_of_any_new_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let mode = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
    std::fs::write(folder.path().join("plain"), "").unwrap();
    ModelWriter::new().write_to(&folder.path().join("model.fpm")).unwrap();
    assert_eq!(mode("model.fpm"), mode("plain"));
}

#[test]
fn a_failed_write_names_the_file_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent").join("model.fpm");
    let error = ModelWriter::new().write_to(&absent).unwrap_err();
    assert!(error.to_string().starts_with(&format!("can't write {}: ", absent.display())), "{error}");
    // A folder that isn't empty can't be replaced by a file: the write fails after the temporary file was
    // made.
    let taken = folder.path().join("taken");
    std::fs::create_dir_all(taken.join("inside")).unwrap();
    assert!(matches!(ModelWriter::new().write_to(&taken), Err(WriteError::Io { .. })));
    assert_eq!(contents(folder.path()), ["taken"]);
}

type Described = (String, DType, Vec<usize>, Vec<u8>);

fn tensor() -> impl Strategy<Value = (DType, Vec<usize>, Vec<u8>)> {
    let dtype = prop::sample::select(DType::ALL.to_vec());
    (dtype, prop::collection::vec(0usize..5, 1..=4)).prop_flat_map(|(dtype, shape)| {
        let length = shape.iter().product::<usize>() * dtype.size();
        (Just(dtype), Just(shape), prop::collection::vec(any::<u8>(), length))
    })
}

/// Tensors with different names, in any order.
fn tensors() -> impl Strategy<Value = Vec<Described>> {
    prop::collection::hash_map("[!-~]{1,64}", tensor(), 0..12).prop_map(|map| {
        map.into_iter().map(|(name, (dtype, shape, bytes))| (name, dtype, shape, bytes)).collect()
    })
}

fn write<'a>(tensors: impl IntoIterator<Item = &'a Described>) -> Vec<u8> {
    let mut writer = ModelWriter::new();
    for (name, dtype, shape, bytes) in tensors {
        writer.add(name, *dtype, shape, bytes.clone()).unwrap();
    }
    writer.to_bytes().unwrap()
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(mut tensors in tensors()) {
        let bytes = write(&tensors);
        prop_assert_eq!(&bytes, &write(tensors.iter().rev()), "the order of adding shows");
        let file = ModelFile::parse(&bytes).unwrap();
        prop_assert_eq!(file.verify(), Ok(()));
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        let read: Vec<Described> = file
            .tensors()
            .map(|t| {
                let shape = t.shape().iter().map(|&extent| extent as usize).collect();
                (t.name.to_owned(), t.dtype, shape, t.bytes.to_owned())
            })
            .collect();
        prop_assert_eq!(&read, &tensors);
        for (name, ..) in &tensors {
            prop_assert_eq!(file.tensor(name).map(|t| t.name), Some(name.as_str()));
        }
    }

    #[test]
    fn damage_to_any_file_is_found(tensors in tensors(), place in any::<prop::sample::Index>(), mask in 1u8..) {
        let mut bytes = write(&tensors);
        let at = place.index(bytes.len());
        bytes[at] ^= mask;
        prop_assert!(accepted(&bytes).is_err(), "byte {} of {}", at, bytes.len());
    }
}
