//! Programs of the machine (ELF, PE, Mach-O): sections, imports, addresses, and signs of packing.

use goblin::Object;

/// Most imports that are told.
const IMPORTS_MAX: usize = 2_000;
/// Most sections that are looked at.
const SECTIONS_MAX: usize = 200;
/// Largest part of a section whose entropy is measured, in bytes.
const ENTROPY_BYTES_MAX: usize = 4 << 20;

/// What a program's headers say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Native {
    /// Names of imported functions and libraries.
    pub imports: Vec<String>,
    /// Names of sections that a packer leaves, or of code that is packed by its entropy.
    pub packed: Vec<String>,
    /// A library, as against a program to be started.
    pub library: bool,
    /// The headers could be read.
    pub readable: bool,
}

/// Names that packers and protectors give to sections.
const PACKERS: &[&str] =
    &["UPX0", "UPX1", "UPX2", ".vmp0", ".vmp1", ".themida", ".aspack", ".enigma1", ".petite", ".mpress"];
/// Entropy from which code is packed, in thousandths of a bit per byte; compiled code stays below 7.
const PACKED_ENTROPY: u32 = 7_600;

/// Reads a program.
pub fn read(bytes: &[u8]) -> Native {
    // The parser is somebody else's; should it panic over hostile bytes, that is a fact as well.
    let parsed = std::panic::catch_unwind(|| match Object::parse(bytes) {
        Ok(Object::Elf(elf)) => Some(of_elf(&elf, bytes)),
        Ok(Object::PE(pe)) => Some(of_pe(&pe, bytes)),
        Ok(Object::Mach(mach)) => Some(of_mach(&mach)),
        Ok(_) | Err(_) => None,
    });
    let mut native = parsed.ok().flatten().unwrap_or_default();
    // The Unix form of this packer writes its name into the program instead of the section table.
    if native.packed.is_empty() && bytes.starts_with(b"\x7fELF") && contains(&bytes[..bytes.len().min(512)], b"UPX!") {
        native.packed.push("UPX!".into());
    }
    native
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

fn of_elf(elf: &goblin::elf::Elf<'_>, bytes: &[u8]) -> Native {
    let mut native = Native { library: elf.is_lib, readable: true, ..Native::default() };
    let symbols = elf.dynsyms.iter().filter(|symbol| symbol.is_import());
    let names = symbols.filter_map(|symbol| elf.dynstrtab.get_at(symbol.st_name));
    native.imports = names.chain(elf.libraries.iter().copied()).take(IMPORTS_MAX).map(short).collect();
    for section in elf.section_headers.iter().take(SECTIONS_MAX) {
        let name = elf.shdr_strtab.get_at(section.sh_name).unwrap_or_default();
        let data = section.file_range().and_then(|range| bytes.get(range)).unwrap_or_default();
        section_packed(&mut native, name, data, section.is_executable());
    }
    native
}

fn of_pe(pe: &goblin::pe::PE<'_>, bytes: &[u8]) -> Native {
    const EXECUTABLE: u32 = 0x2000_0000;
    let mut native = Native { library: pe.is_lib, readable: true, ..Native::default() };
    let names = pe.imports.iter().map(|import| import.name.as_ref());
    native.imports = names.chain(pe.libraries.iter().copied()).take(IMPORTS_MAX).map(short).collect();
    for section in pe.sections.iter().take(SECTIONS_MAX) {
        let from = section.pointer_to_raw_data as usize;
        let data = bytes.get(from..from.saturating_add(section.size_of_raw_data as usize)).unwrap_or_default();
        section_packed(
            &mut native,
            section.name().unwrap_or_default(),
            data,
            section.characteristics & EXECUTABLE != 0,
        );
    }
    native
}

fn of_mach(mach: &goblin::mach::Mach<'_>) -> Native {
    let mut native = Native { readable: true, ..Native::default() };
    if let goblin::mach::Mach::Binary(binary) = mach {
        native.library = binary.header.filetype == goblin::mach::header::MH_DYLIB
            || binary.header.filetype == goblin::mach::header::MH_BUNDLE;
        let imports = binary.imports().unwrap_or_default();
        native.imports = imports.iter().take(IMPORTS_MAX).map(|import| short(import.name)).collect();
    }
    native
}

fn short(name: &str) -> String {
    name.chars().take(100).collect()
}

fn section_packed(native: &mut Native, name: &str, data: &[u8], executable: bool) {
    let packer = PACKERS.iter().any(|packer| name.starts_with(packer));
    if packer || executable && data.len() > 4096 && entropy(data) >= PACKED_ENTROPY {
        native.packed.push(short(name));
    }
}

/// Shannon entropy, in thousandths of a bit per byte.
pub fn entropy(bytes: &[u8]) -> u32 {
    let bytes = &bytes[..bytes.len().min(ENTROPY_BYTES_MAX)];
    let mut counts = [0u32; 256];
    for byte in bytes {
        counts[usize::from(*byte)] += 1;
    }
    let total = bytes.len() as f64;
    let bits: f64 = counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| {
            let share = f64::from(*count) / total;
            -share * share.log2()
        })
        .sum();
    (bits * 1000.0) as u32
}
