//! Platform tags that a public index takes (pypi-behaviour §1.5); a private one also takes `linux_*`.

use crate::rules::Profile;

const ANY: &[&str] = &["any", "win32", "win_arm64", "win_amd64", "win_ia64", "linux_armv6l", "linux_armv7l"];
const MANYLINUX1: &[&str] = &["x86_64", "i686"];
const MANYLINUX2014: &[&str] = &["x86_64", "i686", "aarch64", "armv7l", "ppc64", "ppc64le", "s390x"];
const PERENNIAL: &[&str] = &["x86_64", "i686", "aarch64", "armv7l", "ppc64le", "s390x", "riscv64"];
const MACOS: &[&str] =
    &["ppc", "ppc64", "i386", "x86_64", "arm64", "intel", "fat", "fat3", "fat64", "universal", "universal2"];
const MACOS_MAJORS: &[&str] = &["11", "12", "13", "14", "15", "26"];

/// Whether wheels for this platform may be published under the profile.
pub fn platform_allowed(tag: &str, profile: Profile) -> bool {
    if ANY.contains(&tag) {
        return true;
    }
    if let Some(arch) = tag.strip_prefix("linux_") {
        // A plain linux tag promises nothing about the C library: fine at home, not for strangers.
        return profile == Profile::Private && (PERENNIAL.contains(&arch) || arch == "ppc64");
    }
    if let Some(arch) = tag.strip_prefix("manylinux1_").or_else(|| tag.strip_prefix("manylinux2010_")) {
        return MANYLINUX1.contains(&arch);
    }
    if let Some(arch) = tag.strip_prefix("manylinux2014_") {
        return MANYLINUX2014.contains(&arch);
    }
    if let Some((_, _, arch)) = tag.strip_prefix("manylinux_").and_then(two_numbers) {
        return PERENNIAL.contains(&arch) || arch == "ppc64";
    }
    if let Some((_, _, arch)) = tag.strip_prefix("musllinux_").and_then(two_numbers) {
        return PERENNIAL.contains(&arch);
    }
    if let Some((major, minor, arch)) = tag.strip_prefix("macosx_").and_then(two_numbers) {
        return (major == "10" || MACOS_MAJORS.contains(&major) && minor == "0") && MACOS.contains(&arch);
    }
    if let Some((_, _, rest)) = tag.strip_prefix("ios_").and_then(two_numbers) {
        return matches!(
            rest,
            "arm64_iphoneos" | "arm64_iphonesimulator" | "x86_64_iphoneos" | "x86_64_iphonesimulator"
        );
    }
    if let Some((level, arch)) = tag.strip_prefix("android_").and_then(|rest| rest.split_once('_')) {
        return number(level) && matches!(arch, "armeabi_v7a" | "arm64_v8a" | "x86" | "x86_64");
    }
    if let Some((_, _, arch)) = tag.strip_prefix("pyemscripten_").and_then(two_numbers) {
        return arch == "wasm32";
    }
    false
}

fn number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn two_numbers(text: &str) -> Option<(&str, &str, &str)> {
    let (first, rest) = text.split_once('_')?;
    let (second, rest) = rest.split_once('_')?;
    (number(first) && number(second)).then_some((first, second, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_list() {
        for tag in [
            "any",
            "win_amd64",
            "manylinux1_i686",
            "manylinux_2_39_riscv64",
            "musllinux_1_2_s390x",
            "macosx_10_9_x86_64",
            "macosx_26_0_arm64",
            "ios_13_0_arm64_iphoneos",
            "android_24_x86_64",
            "pyemscripten_2025_0_wasm32",
            "linux_armv7l",
        ] {
            assert!(platform_allowed(tag, Profile::Public), "{tag}");
        }
        for tag in [
            "linux_x86_64",
            "macosx_11_1_arm64",
            "macosx_27_0_arm64",
            "musllinux_1_2_ppc64",
            "manylinux1_aarch64",
            "win_x",
            "",
        ] {
            assert!(!platform_allowed(tag, Profile::Public), "{tag}");
        }
        assert!(platform_allowed("linux_x86_64", Profile::Private));
        assert!(!platform_allowed("linux_sparc", Profile::Private));
    }
}
