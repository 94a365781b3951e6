//! The walk over a writer's values: lists of operations, made once, one list for each record, branch and item. Whether
//! a value is wanted or not, each of its lengths, counts and indexes is checked.

use crate::value::Value;
use crate::value::ascii;
use crate::value::json;
use crate::walk::budget::Budget;
use crate::walk::cursor::Cursor;
use crate::walk::fault::Parse;
use crate::walk::scalar::{Scalar, Sink};

/// An operation, and the field that it belongs to, if it belongs to one.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) op: Op,
    pub(crate) field: String,
}

#[derive(Debug, Clone)]
pub(crate) enum Op {
    Leaf(Leaf),
    /// Reads a value and appends it as JSON.
    Scalar(Scalar),
    /// By the writer's branch.
    Union(Vec<Vec<Step>>),
    Blocks(Blocks),
    /// The only reference: whatever holds itself does so through a record.
    Record(RunId),
}

/// What is done in a few instructions, so that it is worth none for a call.
#[derive(Debug, Clone)]
pub(crate) enum Leaf {
    /// These pass over a value; texts are not looked at.
    Boolean,
    Int,
    Long,
    Bytes,
    Fixed(usize),
    /// An enum of so many symbols.
    Symbol(usize),
    /// JSON as it stands, before and after what is read.
    Json(JsonPiece),
    /// Reads a text and appends it as JSON.
    Text,
}

/// The place of a record's list in its program.
pub(crate) type RunId = usize;

/// A short text. Copying all of the room and dropping what is too much beats copying as much as there is, because its
/// length is known to the compiler.
#[derive(Debug, Clone)]
pub(crate) struct JsonPiece {
    pub(crate) room: [u8; JsonPiece::ROOM],
    pub(crate) length: usize,
}

/// An array or a map, which is keyed.
#[derive(Debug, Clone)]
pub(crate) struct Blocks {
    pub(crate) item: Vec<Step>,
    /// The fewest bytes of an item with its key.
    pub(crate) least: usize,
    pub(crate) keyed: bool,
    /// What it stands in as JSON; none where it is passed over.
    pub(crate) brackets: Option<[u8; 2]>,
}

/// The lists of one writer's schema.
#[derive(Debug, Clone, Default)]
pub(crate) struct Program {
    pub(crate) records: Vec<Vec<Step>>,
}

impl JsonPiece {
    pub(crate) const ROOM: usize = 16;
}

/// A walk under way: what it may still ask for, and the JSON that it writes.
pub(crate) struct Walk<'p, 'o> {
    program: &'p Program,
    budget: &'o mut Budget,
    out: &'o mut Vec<u8>,
    /// Where in `out` it began.
    start: usize,
}

struct JsonText<'o>(&'o mut Vec<u8>);

impl<'a> Sink<'a> for JsonText<'_> {
    #[inline(always)]
    fn put(self, value: Value<'a>) {
        value.write_json(self.0);
    }

    #[inline(always)]
    fn put_text(self, bytes: &'a [u8], cursor: Cursor<'a>) -> Parse<()> {
        write_text(bytes, cursor, self.0)
    }
}

impl<'p, 'o> Walk<'p, 'o> {
    pub(crate) fn new(program: &'p Program, budget: &'o mut Budget, out: &'o mut Vec<u8>) -> Self {
        Self { program, budget, start: out.len(), out }
    }

    /// Appends a column's value as JSON, or says that it is null.
    pub(crate) fn document(mut self, steps: &'p [Step], cursor: &mut Cursor<'p>) -> Parse<bool> {
        self.steps(steps, cursor)?;
        self.budget.json(self.out.len() - self.start, *cursor)?;
        Ok(self.out[self.start..] != *b"null")
    }

    /// Passes over values, or appends them as JSON.
    pub(crate) fn steps(&mut self, steps: &'p [Step], cursor: &mut Cursor<'p>) -> Parse<()> {
        // Kept in registers as long as leaves follow one another.
        let mut here = *cursor;
        for Step { op, field } in steps {
            let walked = match op {
                Op::Leaf(leaf) => leaf.walk(&mut here, self.out),
                Op::Union(branches) => {
                    match here.index(branches.len(), "branch").map(|branch| &branches[branch][..]) {
                        Ok([]) => Ok(()),
                        Ok([Step { op: Op::Leaf(leaf), .. }]) => leaf.walk(&mut here, self.out),
                        Ok(steps) => {
                            *cursor = here;
                            let walked = self.steps(steps, cursor);
                            here = *cursor;
                            walked
                        }
                        Err(fault) => Err(fault),
                    }
                }
                other => {
                    *cursor = here;
                    let walked = self.other(other, cursor);
                    here = *cursor;
                    walked
                }
            };
            walked.map_err(|fault| fault.in_field(field))?;
        }
        *cursor = here;
        Ok(())
    }

    /// Apart, so that the registers of `steps` stay with the leaves.
    #[inline(never)]
    fn other(&mut self, op: &'p Op, cursor: &mut Cursor<'p>) -> Parse<()> {
        match op {
            Op::Scalar(scalar) => scalar.read(cursor, JsonText(self.out)),
            Op::Blocks(blocks) => self.blocks(blocks, cursor),
            Op::Record(run) => self.record(*run, cursor),
            Op::Leaf(_) | Op::Union(_) => Ok(()),
        }
    }

    fn record(&mut self, run: RunId, cursor: &mut Cursor<'p>) -> Parse<()> {
        self.budget.enter(*cursor)?;
        self.steps(&self.program.records[run], cursor)?;
        self.budget.leave();
        self.budget.json(self.out.len() - self.start, *cursor)
    }

    fn blocks(&mut self, blocks: &'p Blocks, cursor: &mut Cursor<'p>) -> Parse<()> {
        self.budget.enter(*cursor)?;
        self.out.extend(blocks.brackets.map(|[open, _]| open));
        let mut place = 0usize;
        loop {
            let count = cursor.block(blocks.least)?;
            if count == 0 {
                break;
            }
            self.budget.work(count, *cursor)?;
            for _ in 0..count {
                if blocks.brackets.is_some() && place > 0 {
                    self.out.push(b',');
                }
                let key = if blocks.keyed { Some(self.key(blocks, cursor)?) } else { None };
                self.item(&blocks.item, cursor).map_err(|fault| match key {
                    Some(key) => fault.in_item(String::from_utf8_lossy(key)),
                    None => fault.in_item(place),
                })?;
                self.budget.json(self.out.len() - self.start, *cursor)?;
                place += 1;
            }
        }
        self.out.extend(blocks.brackets.map(|[_, close]| close));
        self.budget.leave();
        Ok(())
    }

    #[inline]
    fn item(&mut self, item: &'p [Step], cursor: &mut Cursor<'p>) -> Parse<()> {
        match item {
            [Step { op: Op::Leaf(leaf), .. }] => leaf.walk(cursor, self.out),
            steps => self.steps(steps, cursor),
        }
    }

    fn key(&mut self, blocks: &Blocks, cursor: &mut Cursor<'p>) -> Parse<&'p [u8]> {
        let key = cursor.bytes()?;
        if blocks.brackets.is_some() {
            write_text(key, *cursor, self.out)?;
            self.out.push(b':');
        }
        Ok(key)
    }
}

impl Leaf {
    #[inline(always)]
    fn walk<'a>(&self, cursor: &mut Cursor<'a>, out: &mut Vec<u8>) -> Parse<()> {
        match self {
            Self::Bytes => cursor.bytes().map(drop),
            Self::Boolean => cursor.boolean().map(drop),
            Self::Int => cursor.int().map(drop),
            Self::Long => cursor.long().map(drop),
            Self::Fixed(size) => cursor.take(*size).map(drop),
            Self::Symbol(count) => cursor.index(*count, "symbol").map(drop),
            Self::Text => cursor.bytes().and_then(|bytes| write_text(bytes, *cursor, out)),
            Self::Json(JsonPiece { room, length }) => {
                let end = out.len() + length;
                out.extend_from_slice(room);
                out.truncate(end);
                Ok(())
            }
        }
    }
}

/// Appends the bytes just read as text in quotes. Apart, so that the leaves that pass over values stay together.
#[inline(never)]
fn write_text<'a>(bytes: &'a [u8], cursor: Cursor<'a>, out: &mut Vec<u8>) -> Parse<()> {
    if ascii::is_plain(bytes) {
        json::write_plain(out, bytes);
    } else {
        json::write_string(out, cursor.utf8(bytes)?);
    }
    Ok(())
}
