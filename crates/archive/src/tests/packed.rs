//! Archives packed as no upload may be. xz and LZMA are Python's: only its decoder is built here.

use std::io::Read;

use super::build::{ZipMember, crc, sdist_entries, tar, zip};
use super::members::{names, oddities, walked, within};
use crate::members::{Format, Oddity, WalkLimits};

/// `lzma.compress(tar, preset=6)`; the tar holds `pkg-1.0/a.py`.
const XZ: &str = concat!(
    "fd377a585a000004e6d6b4460200210116000000742fe5a3e027ff006b5d00381ac91577711c2d14ab107f092829611d",
    "b817101288048e7edc9ba1506d5759458f4e70b01d192282efec9267b5e229eba058da85a688a4327e33c2a16f004419",
    "617928c2c2095e06cf13e9d8bdf5e1999d1c56f095b2b5242cdf85dd49bbe860520fba9fe6333b15a40000002d3f8640",
    "e1b7aaee00018701805000008641657cb1c467fb020000000004595a",
);

/// The same with `preset=9`: its dictionary is the largest.
const XZ_9: &str = concat!(
    "fd377a585a000004e6d6b446020021011c00000010cf58cce027ff006b5d00381ac91577711c2d14ab107f092829611d",
    "b817101288048e7edc9ba1506d5759458f4e70b01d192282efec9267b5e229eba058da85a688a4327e33c2a16f004419",
    "617928c2c2095e06cf13e9d8bdf5e1999d1c56f095b2b5242cdf85dd49bbe860520fba9fe6333b15a40000002d3f8640",
    "e1b7aaee00018701805000008641657cb1c467fb020000000004595a",
);

/// The data of `a.py` in a ZIP of `zipfile.ZIP_LZMA`.
const ZIP_LZMA: &str = "090405005d0000800000349b4a67b8523c73ed3457fc94d4a323fffffb7dc000";

fn text() -> Vec<u8> {
    b"import os\n".repeat(20)
}

fn unhex(text: &str) -> Vec<u8> {
    packaging::hash::unhex(text).expect("hexadecimal")
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    bzip2::read::BzEncoder::new(bytes, bzip2::Compression::fast()).read_to_end(&mut packed).expect("it packs");
    packed
}

#[test]
fn tars_of_any_packing_are_walked() {
    let plain = tar(&sdist_entries());
    let several = [bzip2(&plain[..700]), bzip2(&plain[700..])].concat();
    let own = vec!["pkg-1.0/PKG-INFO", "pkg-1.0/pkg/__init__.py"];
    let packed = [(bzip2(&plain), own.clone()), (several, own), (unhex(XZ), vec!["pkg-1.0/a.py"])];
    for (packed, paths) in packed.into_iter().chain([(unhex(XZ_9), vec!["pkg-1.0/a.py"])]) {
        let (visited, walk) = walked(&packed);
        assert_eq!((names(&visited), &walk.odd), (paths, &vec![]));
        assert_eq!(walk.formats, [Format::TarPacked]);
        let (_, walk) = walked(&packed[..packed.len() / 2]);
        let told = |odd: Oddity| matches!(odd, Oddity::Truncated | Oddity::Corrupt);
        assert!(walk.odd.iter().any(|odd| told(odd.oddity)), "{:?}", walk.odd);
        for at in 0..packed.len() {
            let mut broken = packed.clone();
            broken[at] ^= 0x55;
            walked(&broken);
        }
    }
    let (visited, walk) = walked(&bzip2(b"just text"));
    assert_eq!((walk.formats, visited[0].1.as_slice()), (vec![Format::Packed], &b"just text"[..]));
}

/// A bomb is read up to the limit of the walk, and not beyond.
#[test]
fn a_bomb_ends_at_the_limit() {
    let packed = bzip2(&vec![0; 4 << 20]);
    assert!(packed.len() < 1_000);
    for (most, met) in [((4 << 20) + 1, false), ((4 << 20) - 1, true)] {
        let limits = WalkLimits { unpacked_bytes_max: most, ..WalkLimits::default() };
        let (visited, walk) = within(&packed, &limits);
        let read: usize = visited.iter().map(|(_, bytes, _)| bytes.len()).sum();
        assert_eq!((read as u64, oddities(&walk)), (most.min(4 << 20), if met { vec![Oddity::Limit] } else { vec![] }));
    }
}

/// A stream that asks for more memory than any writer needs is not read.
#[test]
fn a_dictionary_beyond_the_limit_is_refused() {
    // The dictionary's size in the block's filter flags (xz file format 5.3.1): 40 is 4 GiB less one byte.
    let mut wide = unhex(XZ);
    let at = wide.windows(3).position(|bytes| bytes == [0x21, 0x01, 0x16]).expect("the filter") + 2;
    wide[at] = 40;
    let header = wide[12..20].to_vec();
    wide[20..24].copy_from_slice(&crc(&header).to_le_bytes());
    let (visited, walk) = walked(&wide);
    assert!(visited.iter().all(|(_, bytes, _)| bytes.is_empty()));
    assert_eq!(oddities(&walk), [Oddity::Limit]);
}

#[test]
fn members_of_rare_methods_are_read_and_told() {
    for (method, flags, packed) in [(12, 0, bzip2(&text())), (14, 2, unhex(ZIP_LZMA)), (14, 0, unhex(ZIP_LZMA))] {
        let mut member = ZipMember::stored("a.py", &packed).both(|head| {
            (head.method, head.flags, head.crc, head.unpacked) = (method, flags, crc(&text()), text().len() as u32);
        });
        let (visited, walk) = walked(&zip(std::slice::from_ref(&member)));
        assert_eq!((&visited[0].1, oddities(&walk)), (&text(), vec![Oddity::RareMethod]), "{method}");
        member.data.truncate(12);
        let (_, walk) = walked(&zip(&[member.both(|head| head.packed = 12)]));
        assert!(oddities(&walk).len() > 1, "{method}: {:?}", walk.odd);
    }
}
