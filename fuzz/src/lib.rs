//! What the targets assert, so that an ordinary test can replay their seeds.

use packaging::metadata::{self, CoreMetadata, Field};
use packaging::{DistFilename, NormalizedName, Profile, Requirement, Specifiers, Version};

/// Reading never panics, and what was read agrees with itself, as form and as archive.
pub fn metadata(bytes: &[u8]) {
    let (read, _) = metadata::parse(bytes);
    for profile in [Profile::Public, Profile::Private] {
        let _ = metadata::check(&read, profile);
    }
    assert_eq!(metadata::mismatches(&read, &read), []);
    assert_eq!(metadata::mismatches(&CoreMetadata::default(), &read), []);
    assert!(
        read.iter()
            .all(|(field, values)| !values.is_empty() && field != Field::MetadataVersion || read.get(field).is_some())
    );
}

/// No text makes a reader panic, and what one takes it prints in a form that it takes again.
pub fn grammars(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(version) = text.parse::<Version>() {
        assert_eq!(version.to_string().parse::<Version>().as_ref(), Ok(&version));
        assert_eq!(version.canonical().parse::<Version>(), Ok(version));
    }
    if let Ok(specifiers) = text.parse::<Specifiers>() {
        assert_eq!(specifiers.to_string().parse::<Specifiers>(), Ok(specifiers));
    }
    if let Ok(requirement) = text.parse::<Requirement>() {
        assert_eq!(requirement.to_string().parse::<Requirement>(), Ok(requirement));
    }
    if let Ok(name) = text.parse::<NormalizedName>() {
        assert_eq!(name.as_str().parse::<NormalizedName>(), Ok(name));
    }
    if let Ok(dist) = text.parse::<DistFilename>() {
        assert!(text.starts_with(dist.stem().trim_end_matches(".dist-info")));
        let _ = (dist.project(), dist.version());
    }
    if let Ok(license) = metadata::canonical_license(text) {
        assert_eq!(metadata::canonical_license(&license).as_ref(), Ok(&license));
    }
}
