//! Bounds that were met while a module was read: past each of them less is known.

/// One bound of [`super::Limits`], or of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cut {
    /// A source, or a layer, longer than is parsed.
    Source,
    /// A text nested deeper than Python reads, or denser than the tree has room for.
    Dense,
    /// The same, of a text that names nothing by which it could act: a table.
    Table,
    /// Code nested deeper than is walked.
    Depth,
    /// Folding and decoding had to stop.
    Folding,
    /// Something is run that is not known because folding had stopped.
    Unfolded,
    /// More layers than are read.
    Layers,
    /// Layers deeper than are read.
    LayersDeep,
    /// More functions or classes than are walked.
    Functions,
    /// More effects than are kept.
    Effects,
    /// More calls than are followed.
    Calls,
    /// More imports than are followed.
    Imports,
    /// More names than other modules can use.
    Exports,
    /// More hosts than are kept.
    Hosts,
    /// More telling literals than are kept.
    Signs,
    /// More code put together from several modules than is read.
    Later,
    /// A loop runs what it is given, for more rounds than are walked.
    Rounds,
    /// A function runs what it is given, and is called more often than is walked.
    Inlined,
    /// More arguments of one call than are kept.
    Arguments,
    /// Taint that spreads for more rounds than are followed.
    Spread,
}

impl Cut {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::Source,
        Self::Dense,
        Self::Table,
        Self::Depth,
        Self::Folding,
        Self::Unfolded,
        Self::Layers,
        Self::LayersDeep,
        Self::Functions,
        Self::Effects,
        Self::Calls,
        Self::Imports,
        Self::Exports,
        Self::Hosts,
        Self::Signs,
        Self::Later,
        Self::Rounds,
        Self::Inlined,
        Self::Arguments,
        Self::Spread,
    ];

    /// What was left out.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Source => "source longer than is parsed was only searched as text",
            Self::Dense => "source nested deeper than Python reads, or denser than is read, was only searched as text",
            Self::Table => "a table denser than is read was only searched as text",
            Self::Depth => "code nested too deeply was not walked",
            Self::Folding => "folding and decoding had to stop",
            Self::Unfolded => "something is run that was not folded any more",
            Self::Layers => "more layers than are read",
            Self::LayersDeep => "layers deeper than are read",
            Self::Functions => "more functions or classes than are walked",
            Self::Effects => "more effects than are kept",
            Self::Calls => "more calls than are followed",
            Self::Imports => "more imports than are followed",
            Self::Exports => "more names than other modules can use",
            Self::Hosts => "more hosts than are kept",
            Self::Signs => "more telling literals than are kept",
            Self::Later => "more code put together from several modules than is read",
            Self::Rounds => "a loop that runs what it is given, for more rounds than are walked",
            Self::Inlined => "a function that runs what it is given, and is called more often than is walked",
            Self::Arguments => "more arguments of one call than are kept",
            Self::Spread => "taint that spreads for more rounds than are followed",
        }
    }

    /// Whether code that acts may stand past it, of which nothing is known.
    pub const fn hides(self) -> bool {
        match self {
            // What was not folded still shows as an effect whose arguments are not known.
            Self::Folding | Self::Table => false,
            Self::Source | Self::Dense | Self::Depth | Self::Unfolded | Self::Layers | Self::LayersDeep => true,
            Self::Functions | Self::Effects | Self::Calls | Self::Imports | Self::Exports | Self::Hosts => true,
            Self::Signs | Self::Later | Self::Rounds | Self::Inlined | Self::Arguments | Self::Spread => true,
        }
    }
}
