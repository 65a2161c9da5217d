//! Working memory: aligned and zeroed; and sizes of memory, as people write and read them.

use bytemuck::{Pod, Zeroable};

/// One cache line; only its alignment matters.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// A zeroed byte buffer that begins at a multiple of 64, as core's arena must.
#[derive(Default)]
pub struct Arena {
    lines: Box<[Line]>,
    bytes: usize,
}

/// The operating system refused the memory.
#[derive(Debug, thiserror::Error)]
#[error("could not allocate {} of working memory", display_bytes(*bytes as u64))]
pub struct AllocationError {
    /// Bytes asked for.
    pub bytes: usize,
}

impl Arena {
    /// Allocates `bytes` zeroed bytes. The pages are taken from the system as they are first touched.
    ///
    /// # Errors
    /// [`AllocationError`] if the allocator refuses.
    pub fn new(bytes: usize) -> Result<Self, AllocationError> {
        let lines = bytemuck::allocation::try_zeroed_slice_box(bytes.div_ceil(size_of::<Line>()))
            .map_err(|()| AllocationError { bytes })?;
        Ok(Self { lines, bytes })
    }

    /// The buffer, exactly as long as asked for.
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.bytes]
    }

    /// Makes the buffer at least `bytes` long; what was in it is lost when it has to grow.
    ///
    /// # Errors
    /// [`AllocationError`] if the allocator refuses.
    pub fn reserve(&mut self, bytes: usize) -> Result<(), AllocationError> {
        if bytes > self.bytes {
            // Give the old buffer back first, so that both are never held at once.
            *self = Self::default();
            *self = Self::new(bytes)?;
        }
        Ok(())
    }
}

impl AsRef<[u8]> for Arena {
    fn as_ref(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.lines)[..self.bytes]
    }
}

/// Reads a size such as `800M`, `2G`, `1.5GiB` or `4096` (bytes); units are powers of 1024.
///
/// # Errors
/// A sentence that says what was expected.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let expected = || format!("expected a size such as 800M, 2G or 1.5GiB, got `{text}`");
    let lower = text.trim().to_ascii_lowercase();
    let split = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(split);
    let shift = match unit.trim() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(expected()),
    };
    let number: f64 = number.parse().map_err(|_| expected())?;
    Ok((number * f64::from(1 << (shift / 2)) * f64::from(1 << (shift / 2))) as u64)
}

/// A byte count for people: `17.3 MiB`.
pub fn display_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arena_is_aligned_and_zeroed() {
        for size in [0, 1, 63, 64, 65, 100_000] {
            let mut arena = Arena::new(size).expect("memory");
            assert_eq!(arena.bytes().len(), size);
            assert_eq!(arena.bytes().as_ptr().addr() % 64, 0);
            assert!(arena.bytes().iter().all(|&b| b == 0));
        }
    }

    #[test]
    fn arena_grows_and_never_shrinks() {
        let mut arena = Arena::new(10).expect("memory");
        arena.reserve(1000).expect("memory");
        assert_eq!(arena.bytes().len(), 1000);
        arena.reserve(20).expect("memory");
        assert_eq!(arena.bytes().len(), 1000);
    }

    #[test]
    fn an_impossible_arena_is_an_error() {
        assert_eq!(Arena::new(usize::MAX).err().map(|e| e.bytes), Some(usize::MAX));
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_bytes("4096"), Ok(4096));
        assert_eq!(parse_bytes("1.5GiB"), Ok(3 << 29));
        assert_eq!(parse_bytes("800M"), Ok(800 << 20));
        assert_eq!(parse_bytes("2 k"), Ok(2048));
        for bad in ["", "G", "-1", "1X", "1.2.3"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
        assert_eq!(display_bytes(512), "512 B");
        assert_eq!(display_bytes(3 << 19), "1.5 MiB");
    }
}
