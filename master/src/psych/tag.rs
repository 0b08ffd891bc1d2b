//! The tags that stand for the types of [`Value`](super::Value): a closed list.

use super::error::{ReadError, excerpt};

/// What a tag asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// To be read as if unquoted. Psych does so with quoted text too: `! '1'` is a number.
    Plain,
    /// A string, whatever it looks like.
    String,
    /// A floating-point number.
    Float,
    /// Base 64.
    Binary,
    /// A symbol, without its colon.
    Symbol,
    /// A list.
    Sequence,
    /// A mapping.
    Mapping,
    /// A Ruby `Set`.
    Set,
}

const TAGS: [(&str, Tag); 19] = [
    ("!", Tag::Plain),
    ("tag:yaml.org,2002:null", Tag::Plain),
    ("tag:yaml.org,2002:bool", Tag::Plain),
    ("tag:yaml.org,2002:int", Tag::Plain),
    ("tag:yaml.org,2002:timestamp", Tag::Plain),
    ("tag:yaml.org,2002:str", Tag::String),
    ("!str", Tag::String),
    ("!ruby/string", Tag::String),
    ("tag:yaml.org,2002:float", Tag::Float),
    ("!float", Tag::Float),
    ("tag:yaml.org,2002:binary", Tag::Binary),
    ("!binary", Tag::Binary),
    ("!ruby/symbol", Tag::Symbol),
    ("!ruby/sym", Tag::Symbol),
    ("tag:yaml.org,2002:seq", Tag::Sequence),
    ("tag:yaml.org,2002:map", Tag::Mapping),
    ("!ruby/object:Hash", Tag::Mapping),
    ("!ruby/object:Set", Tag::Set),
    ("!ruby/set", Tag::Set),
];

/// Looks `tag` up.
pub(super) fn classify(tag: &granit_parser::Tag) -> Result<Tag, ReadError> {
    let (handle, suffix) = tag.parts();
    TAGS.iter()
        .find(|(name, _)| name.strip_prefix(handle) == Some(suffix))
        .map(|(_, kind)| *kind)
        .ok_or_else(|| unknown(tag))
}

/// The error that names `tag`.
pub(super) fn unknown(tag: &granit_parser::Tag) -> ReadError {
    let (handle, suffix) = tag.parts();
    ReadError::UnknownTag(excerpt(&format!("{handle}{suffix}")))
}
