//! From a writer's schema and the shapes to read it by to a program. Each record is compiled once however often it is
//! mentioned, so a type that holds itself ends.

use std::collections::HashMap;

use crate::schema::node::{Node, NodeId};
use crate::value::json;
use crate::walk::program::{Blocks, JsonPiece, Leaf, Op, Program, RunId, Step};
use crate::walk::scalar::Scalar;
use crate::walk::shape::{Member, Shape, ShapeId, Shapes};

/// So many operations are repeated wherever their record is mentioned; a bound, because mentions may double.
const SHORT: usize = 32;

/// Makes the operations of one reader.
pub(crate) struct Compiler<'a> {
    shapes: &'a Shapes,
    program: Program,
    passed: HashMap<NodeId, RunId>,
    shown: HashMap<ShapeId, RunId>,
}

impl<'a> Compiler<'a> {
    pub(crate) fn new(shapes: &'a Shapes) -> Self {
        Self { shapes, program: Program::default(), passed: HashMap::new(), shown: HashMap::new() }
    }

    /// What the operations made so far refer to.
    pub(crate) fn finish(self) -> Program {
        self.program
    }

    /// Appends what passes over a value of the writer.
    pub(crate) fn pass(&mut self, id: NodeId, field: &str, steps: &mut Vec<Step>) {
        let schema = &self.shapes.writer;
        let op = match schema.node(id) {
            Node::Null => return,
            Node::Boolean => Op::Leaf(Leaf::Boolean),
            Node::Int | Node::Date | Node::TimeMillis => Op::Leaf(Leaf::Int),
            Node::Long | Node::TimeMicros | Node::Timestamp { .. } => Op::Leaf(Leaf::Long),
            Node::Float => Op::Leaf(Leaf::Fixed(4)),
            Node::Double => Op::Leaf(Leaf::Fixed(8)),
            Node::Bytes
            | Node::String
            | Node::Decimal { size: None, .. }
            | Node::Uuid { fixed: false } => Op::Leaf(Leaf::Bytes),
            Node::Fixed(_, size) | Node::Decimal { size: Some(size), .. } => {
                Op::Leaf(Leaf::Fixed(*size))
            }
            Node::Uuid { fixed: true } => Op::Leaf(Leaf::Fixed(16)),
            Node::Duration => Op::Leaf(Leaf::Fixed(12)),
            Node::Enum(symbols) => Op::Leaf(Leaf::Symbol(symbols.symbols.len())),
            Node::Union(branches) => {
                Op::Union(branches.iter().map(|&branch| self.passing(branch)).collect())
            }
            Node::Array(items) => blocks(self.passing(*items), schema.least(*items), false, None),
            Node::Map(values) => blocks(self.passing(*values), schema.least(*values), true, None),
            Node::Record(record) => {
                let run = self.passed.get(&id).copied().unwrap_or_else(|| {
                    let run = self.start();
                    self.passed.insert(id, run);
                    let mut steps = Vec::new();
                    record
                        .fields
                        .iter()
                        .for_each(|field| self.pass(field.node, &field.name, &mut steps));
                    self.program.records[run] = steps;
                    run
                });
                return self.mention(run, field, steps);
            }
        };
        steps.push(Step { op, field: field.to_owned() });
    }

    fn passing(&mut self, id: NodeId) -> Vec<Step> {
        let mut steps = Vec::new();
        self.pass(id, "", &mut steps);
        steps
    }

    /// Appends what reads a value and appends it as JSON.
    pub(crate) fn show(&mut self, id: ShapeId, field: &str, steps: &mut Vec<Step>) {
        let op = match &self.shapes.shapes[id] {
            Shape::Null => return write(b"null", steps),
            Shape::Scalar(Scalar::Text) => Op::Leaf(Leaf::Text),
            Shape::Scalar(scalar) => Op::Scalar(scalar.clone()),
            Shape::Branches(branches) => {
                Op::Union(branches.iter().map(|&branch| self.showing(branch)).collect())
            }
            Shape::Array { items, least } => {
                blocks(self.showing(*items), *least, false, Some(*b"[]"))
            }
            Shape::Map { values, least } => {
                blocks(self.showing(*values), *least, true, Some(*b"{}"))
            }
            Shape::Record(members) => {
                let run = self.shown.get(&id).copied().unwrap_or_else(|| {
                    let run = self.start();
                    self.shown.insert(id, run);
                    self.program.records[run] = self.members(members);
                    run
                });
                return self.mention(run, field, steps);
            }
        };
        steps.push(Step { op, field: field.to_owned() });
    }

    /// The same as a list of its own.
    pub(crate) fn showing(&mut self, id: ShapeId) -> Vec<Step> {
        let mut steps = Vec::new();
        self.show(id, "", &mut steps);
        steps
    }

    /// What reads a record and appends it as JSON.
    pub(crate) fn members(&mut self, members: &[Member]) -> Vec<Step> {
        let mut steps = Vec::new();
        // What parts a member from the one before.
        let mut label = vec![b'{'];
        for member in members {
            match member {
                Member::Skipped { name, node } => self.pass(*node, name, &mut steps),
                Member::Read { name, shape } => {
                    json::write_string(&mut label, name);
                    label.push(b':');
                    write(&label, &mut steps);
                    self.show(*shape, name, &mut steps);
                    label = vec![b','];
                }
                Member::Default { name, json } => {
                    json::write_string(&mut label, name);
                    label.push(b':');
                    label.extend_from_slice(json.as_bytes());
                    write(&label, &mut steps);
                    label = vec![b','];
                }
            }
        }
        write(if label == b"{" { b"{}" } else { b"}" }, &mut steps);
        steps
    }

    /// Appends a record: a short list is put in place, which saves the call. One that is not made yet is empty, and
    /// one that may take no bytes has to be paid for.
    fn mention(&self, run: RunId, field: &str, steps: &mut Vec<Step>) {
        let list = &self.program.records[run];
        if list.len() > SHORT || !list.iter().any(|step| takes_bytes(&step.op)) {
            steps.push(Step { op: Op::Record(run), field: field.to_owned() });
            return;
        }
        let path = |inner: &str| match (field, inner) {
            ("", path) | (path, "") => path.to_owned(),
            (outer, inner) => format!("{outer}.{inner}"),
        };
        steps.extend(
            list.iter().map(|Step { op, field }| Step { op: op.clone(), field: path(field) }),
        );
    }

    /// A place for a record's list, before it is made: it may refer to itself.
    fn start(&mut self) -> RunId {
        self.program.records.push(Vec::new());
        self.program.records.len() - 1
    }
}

/// Whether the operation always reads a byte at least.
fn takes_bytes(op: &Op) -> bool {
    match op {
        Op::Leaf(leaf) => !matches!(leaf, Leaf::Json(_) | Leaf::Fixed(0)),
        Op::Scalar(scalar) => {
            !matches!(scalar, Scalar::Fixed(_) | Scalar::Decimal { size: Some(_), .. })
        }
        Op::Union(_) | Op::Blocks(_) => true,
        Op::Record(_) => false,
    }
}

fn write(text: &[u8], steps: &mut Vec<Step>) {
    for piece in text.chunks(JsonPiece::ROOM) {
        let mut room = [0; JsonPiece::ROOM];
        room[..piece.len()].copy_from_slice(piece);
        steps.push(Step {
            op: Op::Leaf(Leaf::Json(JsonPiece { room, length: piece.len() })),
            field: String::new(),
        });
    }
}

/// `least` is the fewest bytes of an item; a key takes a byte at least.
fn blocks(item: Vec<Step>, least: usize, keyed: bool, brackets: Option<[u8; 2]>) -> Op {
    Op::Blocks(Blocks { item, least: least.saturating_add(usize::from(keyed)), keyed, brackets })
}
