//! Tar archives, strictly: every header, in one pass over the stream.
//!
//! Regular files and folders alone are members. Everything that makes two tar readers disagree (links and
//! what hangs on them, sparse files, sizes and names stated twice, data behind the end) is refused.

mod gzip;
pub(crate) mod header;
mod pax;
mod stream;

use packaging::{Rejection, Rule};

use crate::Report;
use crate::contents::{Contents, Member, Wanted, place, printable, reject_path};
use crate::input::Input;
use crate::limits::Budget;
use crate::path::ArchivePath;
use crate::tree::Tree;
use header::{Header, Kind};
use pax::Extended;
use stream::Stream;

pub(crate) use gzip::begins as begins_as_gzip;
pub(crate) use header::is_header;

use gzip::framing;

/// What extended headers announced for the member that must follow.
#[derive(Default)]
enum Announced {
    #[default]
    Nothing,
    Extended(Extended),
    LongName(Vec<u8>),
}

/// The pass over one archive.
struct Pass<'p, 'f, 'b, 'l> {
    stream: Stream<'f, 'b, 'l>,
    wanted: &'p Wanted,
    report: &'p mut Report,
    announced: Announced,
    tree: Tree,
    members: Vec<Member>,
    kept: Vec<(String, Vec<u8>)>,
}

/// Reads a tar, packed by gzip or plain, to its last byte.
pub(crate) fn read(
    input: Input<'_>,
    gzip: bool,
    wanted: &Wanted,
    budget: &mut Budget<'_>,
    report: &mut Report,
) -> Result<Contents, Rejection> {
    let stream = if gzip { Stream::gzip(input, budget)? } else { Stream::plain(input, budget) };
    let announced = Announced::Nothing;
    let mut pass = Pass { stream, wanted, report, announced, tree: Tree::default(), members: vec![], kept: vec![] };
    loop {
        let Some(block) = pass.stream.block()? else {
            return Err(framing("it ends without two zero blocks"));
        };
        if block.iter().all(|byte| *byte == 0) {
            break;
        }
        pass.entry(Header::read(&block)?)?;
    }
    if !matches!(pass.announced, Announced::Nothing) {
        return Err(framing("an extended header has no member"));
    }
    pass.stream.only_zeros_follow()?;
    Ok(Contents::new(pass.members, pass.kept))
}

impl Pass<'_, '_, '_, '_> {
    fn entry(&mut self, header: Header) -> Result<(), Rejection> {
        match header.kind {
            Kind::Extended | Kind::Global | Kind::LongName => self.announcement(&header),
            Kind::File => self.member(header, false),
            Kind::Folder => self.member(header, true),
            Kind::Refused(what) => {
                let rejection = Rejection::new(
                    Rule::TarEntryKind,
                    format!("Invalid distribution file. {} is {what}.", printable(&header.name)),
                );
                // Readers differ on whether data follows such a header: with data, reading on is a guess.
                if header.bytes != 0 {
                    return Err(rejection);
                }
                self.announced = Announced::Nothing;
                self.stream.budget().member(header.name.len())?;
                self.report.push(rejection);
                Ok(())
            }
        }
    }

    /// One extended header before a member, no more: readers differ on which of two holds.
    fn announcement(&mut self, header: &Header) -> Result<(), Rejection> {
        if !matches!(self.announced, Announced::Nothing) {
            return Err(Rejection::new(
                Rule::TarOverride,
                "Invalid distribution file. Tar archive not accepted: two extended headers for one member.",
            ));
        }
        let limits = self.stream.budget().limits();
        if header.bytes > limits.extended_header_bytes_max {
            return Err(Rejection::new(
                Rule::ArchiveLimits,
                format!(
                    "Invalid distribution file. An extended header has {} bytes. Limit is {} bytes.",
                    header.bytes, limits.extended_header_bytes_max
                ),
            ));
        }
        let mut data = Vec::new();
        self.stream.data(header.bytes, &mut |piece| data.extend_from_slice(piece))?;
        match header.kind {
            Kind::Extended => self.announced = Announced::Extended(Extended::read(&data)?),
            Kind::LongName => self.announced = Announced::LongName(pax::long_name(&data)?),
            Kind::Global => Extended::read_global(&data)?,
            Kind::File | Kind::Folder | Kind::Refused(_) => {}
        }
        Ok(())
    }

    fn member(&mut self, header: Header, folder: bool) -> Result<(), Rejection> {
        let name = match std::mem::take(&mut self.announced) {
            Announced::Nothing => header.name,
            Announced::LongName(long) => pax::longer_name(&long, &header.name)?,
            Announced::Extended(extended) => {
                extended.check(header.bytes)?;
                extended.name(header.name)?
            }
        };
        self.stream.budget().member(name.len())?;
        // Refused by the header alone, before any of it is decoded.
        self.stream.would_be(header.bytes)?;
        if folder && header.bytes != 0 {
            return Err(framing(format_args!("the folder {} holds data", printable(&name))));
        }
        let path = match ArchivePath::parse(&name) {
            // A regular file whose name ends in `/` is a folder to readers of the oldest format.
            Ok((_, true)) if !folder => {
                return Err(framing(format_args!(
                    "{} is a folder by its name and a file by its kind",
                    printable(&name)
                )));
            }
            Ok((path, _)) => path,
            Err(problem) => {
                reject_path(self.report, &name, problem);
                return self.stream.data(header.bytes, &mut |_| {});
            }
        };
        let mut keep = match self.wanted.keep(path.as_str(), header.bytes) {
            Ok(keep) => keep,
            Err(rejection) => {
                self.report.push(rejection);
                None
            }
        };
        self.stream.data(header.bytes, &mut |piece| {
            if let Some(keep) = &mut keep {
                keep.extend_from_slice(piece);
            }
        })?;
        place(&mut self.tree, self.report, self.stream.budget(), &path, folder)?;
        self.kept.extend(keep.map(|bytes| (path.to_string(), bytes)));
        let entry = self.members.len();
        self.members.push(Member { path, folder, bytes: header.bytes, sha256: None, entry });
        Ok(())
    }
}
