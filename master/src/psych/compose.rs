//! Reading: from the parser's events to one [`Value`].
//!
//! The tree is built on a stack of our own, so nothing here recurses, and every copy that an
//! alias asks for is paid from a budget before it is made.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use granit_parser::{ErrorKind, Event, Options, Parser, ScalarStyle, ScanError, Span};

use super::error::{ReadError, excerpt};
use super::limits::{Aliases, Limits};
use super::tag::{self, Tag};
use super::value::Value;
use super::{base64, number, plain};

/// Reads the one document in `text`. Nothing at all reads as [`Value::Null`].
///
/// # Errors
/// Says what is wrong and where; see [`ReadError`].
pub fn read(text: &[u8], limits: &Limits) -> Result<Value, ReadError> {
    if text.len() > limits.bytes_max {
        return Err(ReadError::TooLarge { limit: limits.bytes_max, unit: "bytes" });
    }
    let text = std::str::from_utf8(text).map_err(|error| not_utf8(text, error))?;
    refuse_control_characters(text)?;
    let mut composer = Composer::new(limits);
    for event in Parser::new_from_str_with_options(text, parser_options(limits)) {
        let (event, span) = event.map_err(|error| scan_error(&error, limits))?;
        composer.take(event, span)?;
    }
    Ok(composer.root.map_or(Value::Null, |node| node.value))
}

fn parser_options(limits: &Limits) -> Options {
    let mut options = granit_parser::options! {
        disallow_directives: true,
        flow_nesting_limit: limits.nesting_max,
        block_nesting_limit: limits.nesting_max,
        block_scalar_eof_without_line_feed: true,
    };
    options.set_emit_comments(false);
    options
}

fn not_utf8(text: &[u8], error: std::str::Utf8Error) -> ReadError {
    let offset = error.valid_up_to();
    ReadError::NotUtf8 { offset, byte: text.get(offset).copied().unwrap_or_default() }
}

/// YAML has no control characters but tab and line breaks. Some of them would end a text
/// early or hide in a log line.
fn refuse_control_characters(text: &str) -> Result<(), ReadError> {
    let wrong = |byte: u8| byte < 0x20 && !b"\t\n\r".contains(&byte);
    let Some(offset) = text.bytes().position(wrong) else { return Ok(()) };
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Err(ReadError::Malformed {
        line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        reason: format!("control character 0x{:02x}", text.as_bytes()[offset]),
    })
}

fn scan_error(error: &ScanError, limits: &Limits) -> ReadError {
    match error.kind() {
        ErrorKind::RecursionLimitExceeded => ReadError::TooDeep { nesting_max: limits.nesting_max },
        kind => ReadError::Malformed {
            line: error.marker().line(),
            column: error.marker().col() + 1,
            reason: kind.to_string(),
        },
    }
}

/// What a value costs when it is copied.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    values: usize,
    bytes: usize,
    /// Levels of lists and mappings in it.
    height: usize,
}

/// A finished value and what it costs.
#[derive(Clone, Debug)]
struct Node {
    value: Value,
    size: Size,
}

impl Node {
    fn scalar(value: Value) -> Self {
        let bytes = match &value {
            Value::String(text) | Value::Symbol(text) | Value::BigInteger(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            _ => 0,
        };
        Self { value, size: Size { values: 1, bytes, height: 0 } }
    }
}

/// A list or mapping that is not yet closed.
struct Open {
    anchor: usize,
    size: Size,
    content: Content,
}

enum Content {
    Sequence(Vec<Value>),
    Mapping { entries: Vec<(Value, Value)>, seen: HashSet<Identity>, key: Option<Value>, set: bool },
}

/// By what two keys are the same. A symbol and a string of the same text count as one, since
/// [`Value::get`] finds either.
#[derive(PartialEq, Eq, Hash)]
enum Identity {
    Null,
    Bool(bool),
    Integer(i64),
    BigInteger(String),
    Float(u64),
    Text(String),
    Bytes(Vec<u8>),
    Time(i128),
}

impl Identity {
    /// `None` for a list, mapping or set.
    fn of(key: &Value) -> Option<Self> {
        Some(match key {
            Value::Null => Self::Null,
            Value::Bool(truth) => Self::Bool(*truth),
            Value::Integer(number) => Self::Integer(*number),
            Value::BigInteger(digits) => Self::BigInteger(digits.clone()),
            Value::Float(number) => Self::Float(number.to_bits()),
            Value::String(text) | Value::Symbol(text) => Self::Text(text.clone()),
            Value::Bytes(bytes) => Self::Bytes(bytes.clone()),
            Value::Time(time) => Self::Time(time.nanoseconds),
            Value::Sequence(_) | Value::Mapping(_) | Value::Set(_) => return None,
        })
    }
}

struct Composer<'limits> {
    limits: &'limits Limits,
    open: Vec<Open>,
    root: Option<Node>,
    documents: usize,
    /// Values made so far, copies and what is kept for aliases included.
    values: usize,
    /// Bytes of text in copies so far.
    copied_bytes: usize,
    anchored: HashMap<usize, Node>,
}

impl<'limits> Composer<'limits> {
    fn new(limits: &'limits Limits) -> Self {
        Self {
            limits,
            open: Vec::new(),
            root: None,
            documents: 0,
            values: 0,
            copied_bytes: 0,
            anchored: HashMap::new(),
        }
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), ReadError> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(malformed(span, "a second document"));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.count(Size { values: 1, ..Size::default() })?;
                let node = Node::scalar(scalar(text, style, tag.as_deref(), span)?);
                self.remember(anchor, &node)?;
                self.add(node, span)
            }
            Event::SequenceStart(_, anchor, tag) => {
                match tag.as_deref().map(tag::classify).transpose()? {
                    None | Some(Tag::Plain | Tag::Sequence) => {}
                    Some(_) => return Err(wrong_tag(tag.as_deref())),
                }
                self.open(anchor, Content::Sequence(Vec::new()), span)
            }
            Event::MappingStart(_, anchor, tag) => {
                let set = match tag.as_deref().map(tag::classify).transpose()? {
                    None | Some(Tag::Plain | Tag::Mapping) => false,
                    Some(Tag::Set) => true,
                    Some(_) => return Err(wrong_tag(tag.as_deref())),
                };
                let (entries, seen) = (Vec::new(), HashSet::new());
                self.open(anchor, Content::Mapping { entries, seen, key: None, set }, span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(anchor) => self.copy(anchor, span),
            _ => Ok(()),
        }
    }

    fn count(&mut self, size: Size) -> Result<(), ReadError> {
        self.values = self.values.saturating_add(size.values);
        if self.values > self.limits.values_max {
            return Err(ReadError::TooLarge { limit: self.limits.values_max, unit: "values" });
        }
        Ok(())
    }

    fn count_copy(&mut self, size: Size) -> Result<(), ReadError> {
        self.count(size)?;
        self.copied_bytes = self.copied_bytes.saturating_add(size.bytes);
        if self.copied_bytes > self.limits.bytes_max {
            let limit = self.limits.bytes_max;
            return Err(ReadError::TooLarge { limit, unit: "bytes of copies" });
        }
        Ok(())
    }

    fn open(&mut self, anchor: usize, content: Content, span: Span) -> Result<(), ReadError> {
        if matches!(
            self.open.last(),
            Some(Open { content: Content::Mapping { key: None, .. }, .. })
        ) {
            return Err(ReadError::KeyNotScalar { line: span.start.line() });
        }
        self.check_height(1)?;
        let size = Size { values: 1, bytes: 0, height: 1 };
        self.count(size)?;
        self.open.push(Open { anchor, size, content });
        Ok(())
    }

    fn check_height(&self, height: usize) -> Result<(), ReadError> {
        let nesting_max = self.limits.nesting_max;
        if self.open.len() + height > nesting_max {
            return Err(ReadError::TooDeep { nesting_max });
        }
        Ok(())
    }

    fn close(&mut self, span: Span) -> Result<(), ReadError> {
        let Some(closed) = self.open.pop() else { return Ok(()) };
        let value = match closed.content {
            Content::Sequence(items) => Value::Sequence(items),
            Content::Mapping { entries, set: false, .. } => Value::Mapping(entries),
            Content::Mapping { entries, set: true, .. } => Value::Set(members(entries)),
        };
        let node = Node { value, size: closed.size };
        self.remember(closed.anchor, &node)?;
        self.add(node, span)
    }

    /// Keeps a copy of an anchored value if aliases may ask for it.
    fn remember(&mut self, anchor: usize, node: &Node) -> Result<(), ReadError> {
        if anchor == 0 || self.limits.aliases == Aliases::Refused {
            return Ok(());
        }
        self.count_copy(node.size)?;
        self.anchored.insert(anchor, node.clone());
        Ok(())
    }

    fn copy(&mut self, anchor: usize, span: Span) -> Result<(), ReadError> {
        if self.limits.aliases == Aliases::Refused {
            return Err(ReadError::Aliases { line: span.start.line() });
        }
        let Some(original) = self.anchored.get(&anchor) else {
            return Err(malformed(span, "an alias inside of what it refers to"));
        };
        let size = original.size;
        self.count_copy(size)?;
        self.check_height(size.height)?;
        let Some(node) = self.anchored.get(&anchor).cloned() else { return Ok(()) };
        self.add(node, span)
    }

    /// Puts a finished value where it belongs.
    fn add(&mut self, node: Node, span: Span) -> Result<(), ReadError> {
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        parent.size.values += node.size.values;
        parent.size.bytes += node.size.bytes;
        parent.size.height = parent.size.height.max(node.size.height + 1);
        match &mut parent.content {
            Content::Sequence(items) => items.push(node.value),
            Content::Mapping { entries, seen, key, .. } => {
                if let Some(key) = key.take() {
                    entries.push((key, node.value));
                } else {
                    *key = Some(new_key(node.value, seen, span)?);
                }
            }
        }
        Ok(())
    }
}

/// `key`, if it is a scalar that the mapping does not have yet.
fn new_key(key: Value, seen: &mut HashSet<Identity>, span: Span) -> Result<Value, ReadError> {
    let Some(identity) = Identity::of(&key) else {
        return Err(ReadError::KeyNotScalar { line: span.start.line() });
    };
    if seen.insert(identity) { Ok(key) } else { Err(ReadError::DuplicateKey(key_name(&key))) }
}

/// A set is written as a mapping whose keys are its members, directly or under `hash`.
fn members(mut entries: Vec<(Value, Value)>) -> Vec<Value> {
    if let [(Value::String(name), Value::Mapping(inner))] = entries.as_mut_slice()
        && name == "hash"
    {
        entries = std::mem::take(inner);
    }
    entries.into_iter().map(|(member, _)| member).collect()
}

fn scalar(
    text: Cow<'_, str>,
    style: ScalarStyle,
    tag: Option<&granit_parser::Tag>,
    span: Span,
) -> Result<Value, ReadError> {
    let Some(tag) = tag else {
        return Ok(match style {
            ScalarStyle::Plain => plain::resolve(&text),
            _ => Value::String(text.into_owned()),
        });
    };
    match tag::classify(tag)? {
        Tag::Plain => Ok(plain::resolve(&text)),
        Tag::String => Ok(Value::String(text.into_owned())),
        Tag::Symbol => Ok(Value::Symbol(text.into_owned())),
        Tag::Binary => Ok(Value::from_bytes(base64::decode(&text))),
        Tag::Float => number::parse(&text)
            .and_then(number::into_float)
            .ok_or_else(|| malformed(span, "not a floating-point number")),
        Tag::Sequence | Tag::Mapping | Tag::Set => Err(wrong_tag(Some(tag))),
    }
}

fn wrong_tag(tag: Option<&granit_parser::Tag>) -> ReadError {
    tag.map_or_else(|| ReadError::UnknownTag(String::new()), tag::unknown)
}

fn malformed(span: Span, reason: &str) -> ReadError {
    ReadError::Malformed {
        line: span.start.line(),
        column: span.start.col() + 1,
        reason: reason.to_owned(),
    }
}

/// A key as an error message names it.
fn key_name(key: &Value) -> String {
    match key {
        Value::String(text) | Value::Symbol(text) | Value::BigInteger(text) => excerpt(text),
        Value::Integer(number) => number.to_string(),
        other => excerpt(&format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests;
