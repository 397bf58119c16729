//! The bins of a repository: how many, how they are delegated to, what they are called.

use std::collections::BTreeMap;

use super::WriteError;
use crate::delegation::{DelegatedRole, DelegatedTo, Delegations, Paths, Succinct, bin_name, bin_of};
use crate::json::Object;
use crate::keys::PublicKey;
use crate::role::RoleKeys;

/// At most 2^16 bins: a snapshot of 2.1 MB, which a client fetches after every change.
pub const BITS_MAX: u32 = 16;

/// At most 2^14 bins of the classic shape: `bins` takes 3 MB, and python-tuf reads no more than 5.
pub const CLASSIC_BITS_MAX: u32 = 14;

/// How `bins` delegates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One role a bin with its `path_hash_prefixes`, which every client of TUF 1.0 understands. 180 bytes a bin.
    Classic,
    /// All bins at once (TAP 15): less than a kilobyte, but not every client understands it.
    Succinct,
}

/// The bins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bins {
    shape: Shape,
    bits: u32,
    generation: u64,
}

impl Bins {
    /// 2^bits bins. The generation goes up with each rebin, so that no name, and so no URL that caches hold for ever,
    /// is used for another set of paths.
    pub fn new(shape: Shape, bits: u32, generation: u64) -> Result<Self, WriteError> {
        let most = match shape {
            Shape::Classic => CLASSIC_BITS_MAX,
            Shape::Succinct => BITS_MAX,
        };
        if !(1..=most).contains(&bits) || generation == 0 {
            return Err(WriteError::Bins);
        }
        Ok(Self { shape, bits, generation })
    }

    /// How they are delegated to.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Of 2^bits.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// How often they were divided anew, counting from 1.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// How many.
    pub fn count(&self) -> u32 {
        1 << self.bits
    }

    /// The bin of a path.
    pub fn of(&self, path: &str) -> u32 {
        bin_of(path, self.bits)
    }

    fn prefix(&self) -> String {
        if self.generation == 1 { "bin".to_owned() } else { format!("bin{}", self.generation) }
    }

    /// The role name of a bin.
    pub fn name(&self, bin: u32) -> String {
        bin_name(&self.prefix(), self.bits, bin)
    }

    /// All role names, in order of bins, which is the order of their bytes.
    pub fn names(&self) -> Vec<String> {
        let prefix = self.prefix();
        (0..self.count()).map(|bin| bin_name(&prefix, self.bits, bin)).collect()
    }

    /// What `bins` says.
    pub(crate) fn delegations(&self, keys: BTreeMap<String, PublicKey>, role: &RoleKeys) -> Delegations {
        let to = match self.shape {
            Shape::Succinct => {
                DelegatedTo::Succinct(Succinct { keys: role.clone(), bits: self.bits, prefix: self.prefix() })
            }
            Shape::Classic => DelegatedTo::Roles((0..self.count()).map(|bin| self.classic(bin, role)).collect()),
        };
        Delegations { keys, to, extra: Object::new() }
    }

    fn classic(&self, bin: u32, role: &RoleKeys) -> DelegatedRole {
        // A bin whose number is no whole number of hexadecimal digits has several prefixes of the next length.
        let digits = self.bits.div_ceil(4);
        let each = 1_u64 << (4 * digits - self.bits);
        let first = u64::from(bin) * each;
        let width = digits as usize;
        let prefixes = (first..first + each).map(|prefix| format!("{prefix:0width$x}")).collect();
        DelegatedRole {
            name: self.name(bin),
            keys: role.clone(),
            terminating: false,
            paths: Paths::HashPrefixes(prefixes),
        }
    }

    /// The bins that a `bins` role delegates to, and who signs for them; nothing if it was not made by
    /// [`Self::delegations`].
    pub(crate) fn read(delegations: &Delegations) -> Option<(Self, RoleKeys)> {
        let (shape, bits, first, keys) = match &delegations.to {
            DelegatedTo::Succinct(succinct) => {
                (Shape::Succinct, succinct.bits, bin_name(&succinct.prefix, succinct.bits, 0), &succinct.keys)
            }
            DelegatedTo::Roles(roles) => {
                let first = roles.first()?;
                (Shape::Classic, roles.len().checked_ilog2()?, first.name.clone(), &first.keys)
            }
        };
        let (prefix, _) = first.strip_prefix("bin")?.split_once('-')?;
        let generation = if prefix.is_empty() { 1 } else { prefix.parse().ok()? };
        let bins = Self::new(shape, bits, generation).ok()?;
        let same = bins.delegations(delegations.keys.clone(), keys);
        (same.to == delegations.to).then(|| (bins, keys.clone()))
    }
}
