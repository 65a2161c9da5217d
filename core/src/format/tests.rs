//! Every error of the reader, the layout byte by byte, and arbitrary damage.

use super::*;
use crate::Aligned;
use proptest::prelude::*;
use std::borrow::ToOwned;
use std::string::ToString;
use std::vec;
use std::vec::Vec;

/// Lengths of the file that [`small_file`] makes.
const DIRECTORY_END: usize = HEADER_BYTES + 3 * ENTRY_BYTES;
const FILE_BYTES: usize = DIRECTORY_END + 2 * ALIGNMENT;

/// Three tensors: `codes` i8[3,2], `empty` u16[0], `limits` i64[2].
fn small_file() -> Vec<u8> {
    let codes: Vec<u8> = [-128i8, -1, 0, 1, 2, 127].map(|v| v as u8).to_vec();
    let limits: Vec<u8> = [i64::MIN, i64::MAX].into_iter().flat_map(i64::to_le_bytes).collect();
    let tensors = [
        ("codes", DType::I8, vec![3, 2], codes),
        ("empty", DType::U16, vec![0], vec![]),
        ("limits", DType::I64, vec![2], limits),
    ];
    let mut directory = Vec::new();
    let mut payloads = Vec::new();
    for (name, dtype, dims, bytes) in &tensors {
        let entry = Entry {
            name,
            offset: (DIRECTORY_END + payloads.len()) as u64,
            length: bytes.len() as u64,
            shape: Shape::new(dims).unwrap(),
            checksum: checksum(bytes),
            dtype: *dtype,
        };
        directory.extend_from_slice(&entry.encode());
        payloads.extend_from_slice(bytes);
        payloads.resize(payloads.len().next_multiple_of(ALIGNMENT), 0);
    }
    let header = Header {
        tensor_count: 3,
        file_length: (DIRECTORY_END + payloads.len()) as u64,
        directory_checksum: checksum(&directory),
    };
    [header.encode().to_vec(), directory, payloads].concat()
}

/// Makes the checksums of directory and header right again, so that a test reaches the checks behind them.
fn reseal(file: &mut [u8]) {
    let count = u32::from_le_bytes(file[12..16].try_into().unwrap()) as usize;
    if let Some(directory) = count.checked_mul(ENTRY_BYTES).and_then(|n| file.get(HEADER_BYTES..)?.get(..n)) {
        let sum = checksum(directory);
        file[24..28].copy_from_slice(&sum.to_le_bytes());
    }
    let sum = checksum(&file[..60]);
    file[60..64].copy_from_slice(&sum.to_le_bytes());
}

/// The error that the small file gives after `edit`, resealed.
fn fault_after(edit: impl FnOnce(&mut Vec<u8>)) -> FormatError {
    let mut file = small_file();
    edit(&mut file);
    reseal(&mut file);
    ModelFile::parse(&file).unwrap_err()
}

/// As [`fault_after`], with one byte of entry `index` set.
fn entry_fault(index: usize, at: usize, value: u8) -> FormatError {
    fault_after(|file| file[HEADER_BYTES + index * ENTRY_BYTES + at] = value)
}

fn bad_entry(index: u32, reason: EntryFault) -> FormatError {
    FormatError::BadEntry { index, reason }
}

#[test]
fn a_file_gives_back_its_tensors() {
    let aligned = Aligned::<[u8; FILE_BYTES]>(small_file().try_into().unwrap());
    let file = ModelFile::parse(&aligned.0).unwrap();
    assert_eq!(file.verify(), Ok(()));
    assert_eq!(file.tensor_count(), 3);
    assert_eq!(file.length(), FILE_BYTES);
    assert_eq!(file.i8s("codes", &[3, 2]), Ok(&[-128i8, -1, 0, 1, 2, 127][..]));
    assert_eq!(file.u16s("empty", &[0]), Ok(&[][..]));
    assert_eq!(file.i64s("limits", &[2]), Ok(&[i64::MIN, i64::MAX][..]));
    let names: Vec<&str> = file.tensors().map(|t| t.name).collect();
    assert_eq!(names, ["codes", "empty", "limits"]);
    let codes = file.tensor("codes").unwrap();
    assert_eq!((codes.dtype, codes.shape(), codes.bytes.len()), (DType::I8, &[3, 2][..], 6));
    assert_eq!(file.tensor("code").map(|t| t.name), None);
    assert_eq!(file.tensor("codes\0").map(|t| t.name), None);
    assert_eq!(file.tensor(&"x".repeat(65)).map(|t| t.name), None);
}

#[test]
fn names_that_begin_alike_lie_together() {
    let aligned = Aligned::<[u8; FILE_BYTES]>(small_file().try_into().unwrap());
    let file = ModelFile::parse(&aligned.0).unwrap();
    for prefix in ["", "c", "codes", "codes.", "d", "e", "empty", "l", "limit", "limits", "z", "\0"] {
        let under = file.under(prefix);
        let expected: Vec<&str> =
            file.tensors().map(|tensor| tensor.name).filter(|name| name.starts_with(prefix)).collect();
        assert!(under.tensors().map(|tensor| tensor.name).eq(expected.iter().copied()), "{prefix}");
        for name in ["codes", "empty", "limits"] {
            assert_eq!(under.tensor(name).is_some(), expected.contains(&name), "{prefix} {name}");
        }
    }
    assert_eq!(file.list::<u16>("empty"), Ok(&[][..]));
    assert_eq!(file.list::<i64>("limits"), Ok(&[i64::MIN, i64::MAX][..]));
    assert!(matches!(file.list::<i8>("codes"), Err(FormatError::WrongShape { .. })));
}

#[test]
fn views_are_in_place() {
    let file = small_file();
    let tensor = ModelFile::parse(&file).unwrap().tensor("limits").unwrap();
    assert_eq!(tensor.bytes.as_ptr(), file[DIRECTORY_END + ALIGNMENT..].as_ptr());
}

#[test]
fn the_layout_is_the_documented_one() {
    let file = small_file();
    let u32_at = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let u64_at = |at: usize| u64::from_le_bytes(file[at..at + 8].try_into().unwrap());
    assert_eq!(&file[..8], b"FOLDPNT\0");
    assert_eq!((u32_at(8), u32_at(12), u64_at(16)), (2, 3, 576));
    assert_eq!(u32_at(24), checksum(&file[64..448]));
    assert!(file[28..60].iter().all(|&b| b == 0));
    assert_eq!(u32_at(60), checksum(&file[..60]));
    let entry = 64 + 2 * 128;
    assert_eq!(&file[entry..entry + 7], b"limits\0");
    assert_eq!((u64_at(entry + 64), u64_at(entry + 72)), (512, 16));
    assert_eq!([80, 84, 88, 92].map(|at| u32_at(entry + at)), [2, 0, 0, 0]);
    assert_eq!(u32_at(entry + 96), checksum(&file[512..528]));
    assert_eq!((file[entry + 100], file[entry + 101]), (7, 1));
    assert!(file[entry + 102..entry + 128].iter().all(|&b| b == 0));
    assert_eq!(
        file[512..528],
        [[0, 0, 0, 0, 0, 0, 0, 0x80], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]].concat()
    );
    assert_eq!(checksum(b"123456789"), 0xcbf4_3926);
    assert_eq!(DType::ALL.map(DType::code), [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn what_is_not_a_model_is_called_that() {
    assert_eq!(ModelFile::parse(&[]).unwrap_err(), FormatError::Empty);
    assert_eq!(ModelFile::parse(b"PK").unwrap_err(), FormatError::NotAModel);
    assert_eq!(ModelFile::parse(&[0; 4096]).unwrap_err(), FormatError::NotAModel);
    for found in [VERSION - 1, VERSION + 1] {
        let other = [&MAGIC[..], &found.to_le_bytes()].concat();
        let unsupported = FormatError::UnsupportedVersion { found, supported: VERSION };
        assert_eq!(ModelFile::parse(&other).unwrap_err(), unsupported);
    }
}

#[test]
fn every_wrong_length_is_an_error() {
    let mut file = small_file();
    for cut in 1..file.len() {
        let expected = if cut < HEADER_BYTES { HEADER_BYTES } else { FILE_BYTES } as u64;
        let error = ModelFile::parse(&file[..cut]).unwrap_err();
        assert_eq!(error, FormatError::Truncated { expected, actual: cut as u64 });
    }
    file.push(0);
    let (expected, actual) = (FILE_BYTES as u64, FILE_BYTES as u64 + 1);
    assert_eq!(ModelFile::parse(&file).unwrap_err(), FormatError::TrailingBytes { expected, actual });
    assert_eq!(ModelFile::stored_length(&file), Ok(expected));
}

#[test]
fn damage_is_named_by_its_section() {
    let damaged = |at: usize| {
        let mut file = small_file();
        file[at] ^= 0x10;
        ModelFile::parse(&file).and_then(|f| f.verify()).unwrap_err()
    };
    assert_eq!(damaged(12), FormatError::HeaderChecksum);
    assert_eq!(damaged(63), FormatError::HeaderChecksum);
    assert_eq!(damaged(HEADER_BYTES), FormatError::DirectoryChecksum);
    assert_eq!(damaged(DIRECTORY_END - 1), FormatError::DirectoryChecksum);
    assert_eq!(damaged(DIRECTORY_END + 5), FormatError::PayloadChecksum { tensor: "codes".into() });
    assert_eq!(damaged(DIRECTORY_END + 6), FormatError::NonZeroPadding { tensor: "codes".into() });
    assert_eq!(damaged(DIRECTORY_END + 64), FormatError::PayloadChecksum { tensor: "limits".into() });
    assert_eq!(damaged(FILE_BYTES - 1), FormatError::NonZeroPadding { tensor: "limits".into() });
}

#[test]
fn a_header_that_contradicts_the_file_is_invalid() {
    let reason = |error| match error {
        FormatError::BadHeader { reason } => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(fault_after(|f| f[40] = 1)), "reserved bytes are not zero");
    assert_eq!(reason(fault_after(|f| f[12] = 9)), "the directory does not fit the file");
    assert_eq!(reason(fault_after(|f| f[12..16].fill(0xff))), "the directory does not fit the file");
    let longer = |f: &mut Vec<u8>| {
        f.extend_from_slice(&[0; 64]);
        f[16..24].copy_from_slice(&(FILE_BYTES as u64 + 64).to_le_bytes());
    };
    assert_eq!(reason(fault_after(longer)), "the file does not end with its last tensor");
    assert_eq!(
        fault_after(|f| f[16..24].fill(0xff)),
        FormatError::Truncated { expected: u64::MAX, actual: FILE_BYTES as u64 }
    );
}

#[test]
fn each_faulty_entry_says_what_is_wrong() {
    assert_eq!(entry_fault(0, 0, 0), bad_entry(0, EntryFault::Name));
    assert_eq!(entry_fault(0, 1, b' '), bad_entry(0, EntryFault::Name));
    assert_eq!(entry_fault(0, 1, 0xc3), bad_entry(0, EntryFault::Name));
    assert_eq!(entry_fault(0, 63, b'x'), bad_entry(0, EntryFault::Name));
    assert_eq!(entry_fault(0, 0, b'x'), bad_entry(1, EntryFault::Order));
    assert_eq!(entry_fault(1, 100, 0), bad_entry(1, EntryFault::Type(0)));
    assert_eq!(entry_fault(1, 100, 8), bad_entry(1, EntryFault::Type(8)));
    assert_eq!(entry_fault(1, 101, 0), bad_entry(1, EntryFault::Shape));
    assert_eq!(entry_fault(1, 101, 5), bad_entry(1, EntryFault::Shape));
    assert_eq!(entry_fault(2, 84, 1), bad_entry(2, EntryFault::Shape));
    assert_eq!(entry_fault(2, 80, 3), bad_entry(2, EntryFault::Length));
    assert_eq!(entry_fault(2, 72, 15), bad_entry(2, EntryFault::Length));
    assert_eq!(entry_fault(2, 64, 64), bad_entry(2, EntryFault::Offset));
    assert_eq!(entry_fault(2, 71, 0xff), bad_entry(2, EntryFault::Offset));
    assert_eq!(entry_fault(2, 127, 1), bad_entry(2, EntryFault::Reserved));
}

#[test]
fn the_same_name_twice_is_out_of_order() {
    let twice = |f: &mut Vec<u8>| f.copy_within(HEADER_BYTES..HEADER_BYTES + 64, HEADER_BYTES + ENTRY_BYTES);
    assert_eq!(fault_after(twice), bad_entry(1, EntryFault::Order));
}

#[test]
fn a_payload_past_the_end_is_refused_whatever_its_size() {
    let limits = HEADER_BYTES + 2 * ENTRY_BYTES;
    let sized = |dims: [u32; 4], length: u64| {
        fault_after(|f| {
            f[limits + 72..limits + 80].copy_from_slice(&length.to_le_bytes());
            for (i, extent) in dims.iter().enumerate() {
                f[limits + 80 + 4 * i..][..4].copy_from_slice(&extent.to_le_bytes());
            }
            f[limits + 101] = 4;
        })
    };
    assert_eq!(sized([9, 1, 1, 1], 72), bad_entry(2, EntryFault::OutOfFile));
    // 2^61 - 1 elements of 8 bytes: the length fits 64 bits, the end of the payload does not.
    let (a, b) = (2_147_483_647, 1_073_741_824);
    assert_eq!(sized([a, b, 1, 1], u64::from(a) * u64::from(b) * 8), bad_entry(2, EntryFault::OutOfFile));
    assert_eq!(sized([u32::MAX; 4], u64::MAX), bad_entry(2, EntryFault::Length));
    assert_eq!(sized([1 << 31, 1 << 31, 1 << 2, 1], 0), bad_entry(2, EntryFault::Length));
}

#[test]
fn a_request_that_does_not_fit_names_the_tensor() {
    let aligned = Aligned::<[u8; FILE_BYTES]>(small_file().try_into().unwrap());
    let file = ModelFile::parse(&aligned.0).unwrap();
    let missing = file.i8s("lm.norm.gain", &[1]).unwrap_err();
    assert_eq!(missing, FormatError::MissingTensor { tensor: "lm.norm.gain".into() });
    assert_eq!(missing.to_string(), "the model file has no tensor lm.norm.gain");
    let wrong_type = file.u8s("codes", &[3, 2]).unwrap_err();
    assert_eq!(
        wrong_type,
        FormatError::WrongType { tensor: "codes".into(), expected: DType::U8, found: DType::I8 }
    );
    assert_eq!(wrong_type.to_string(), "tensor codes has elements of type i8, expected u8");
    for dims in [&[2, 3][..], &[6], &[3, 2, 1], &[3, 2, 1, 1, 1], &[]] {
        let error = file.i8s("codes", dims).unwrap_err();
        assert!(matches!(error, FormatError::WrongShape { .. }), "{dims:?}: {error}");
    }
    let wrong_shape = file.i8s("codes", &[2, 3]).unwrap_err();
    assert_eq!(wrong_shape.to_string(), "tensor codes has shape [3, 2], expected [2, 3]");
    let bad = FormatError::bad_value("lm.config", "stream_frac must be at most 16");
    assert_eq!(bad.to_string(), "tensor lm.config holds an invalid value: stream_frac must be at most 16");
}

#[test]
fn an_unaligned_file_can_be_read_bytewise_only() {
    let mut shifted = Aligned([0; FILE_BYTES + ALIGNMENT]);
    shifted.0[1..=FILE_BYTES].copy_from_slice(&small_file());
    let file = ModelFile::parse(&shifted.0[1..=FILE_BYTES]).unwrap();
    assert_eq!(file.verify(), Ok(()));
    assert_eq!(file.i8s("codes", &[3, 2]).map(<[i8]>::len), Ok(6));
    let misaligned = FormatError::Misaligned { tensor: "limits".into(), needed: align_of::<i64>() };
    assert_eq!(file.i64s("limits", &[2]), Err(misaligned));
}

#[test]
fn names_by_value_keep_whole_characters() {
    let long = "é".repeat(40);
    let name = TensorName::from(long.as_str());
    assert_eq!(name.as_str(), "é".repeat(32));
    let odd = "a".to_owned() + &long;
    assert_eq!(TensorName::from(odd.as_str()).as_str(), "a".to_owned() + &"é".repeat(31));
    assert_eq!(TensorName::from("").as_str(), "");
}

#[test]
fn names_are_joined_by_a_dot_up_to_their_limit() {
    assert_eq!(join("lm.norm", "gain").as_str(), "lm.norm.gain");
    let longest = "x".repeat(MAX_NAME_BYTES - 5);
    assert_eq!(join(&longest, "gain").len(), MAX_NAME_BYTES);
    let cut = join(&longest, "gains");
    assert_eq!(cut.as_str(), "x".repeat(MAX_NAME_BYTES - 5) + ".…");
    assert!(!name_is_valid(&cut));
}

#[test]
fn errors_are_small_enough_to_return_by_value() {
    assert!(size_of::<FormatError>() <= 128, "{}", size_of::<FormatError>());
}

/// Uses everything that a reader can ask of whatever parses.
fn exercise(bytes: &[u8]) {
    let _ = ModelFile::stored_length(bytes);
    let Ok(file) = ModelFile::parse(bytes) else { return };
    let _ = file.verify();
    assert_eq!(file.tensors().count(), file.tensor_count());
    for tensor in file.tensors() {
        assert_eq!(file.tensor(tensor.name).map(|t| t.bytes.as_ptr()), Some(tensor.bytes.as_ptr()));
        let dims: Vec<usize> = tensor.shape().iter().map(|&d| d as usize).collect();
        assert!(!matches!(file.i8s(tensor.name, &dims), Err(FormatError::WrongShape { .. })));
        let _ = (tensor.values::<u16>(), tensor.values::<i32>(), tensor.values::<i64>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        exercise(&bytes);
        exercise(&[&MAGIC[..], &VERSION.to_le_bytes(), &bytes].concat());
    }

    #[test]
    fn no_damage_behind_right_checksums_makes_it_panic(
        edits in prop::collection::vec((12..FILE_BYTES, any::<u8>()), 1..6),
        cut in 0..FILE_BYTES,
        cut_it in any::<bool>(),
    ) {
        let mut file = small_file();
        if cut_it {
            file.truncate(cut.max(HEADER_BYTES));
            let length = file.len() as u64;
            file[16..24].copy_from_slice(&length.to_le_bytes());
        }
        for (at, value) in edits {
            if let Some(byte) = file.get_mut(at) {
                *byte = value;
            }
        }
        reseal(&mut file);
        exercise(&file);
    }
}
