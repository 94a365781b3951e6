//! What a column that an upcast does not mention becomes: the same value by Avro's promotions, written in SQL. It
//! means exactly what decoding the old bytes as the new version would; where SQL cannot say that, it must be written.

use std::sync::Arc;

use vitrina_sql::quote_literal;

use crate::contract::literal;
use crate::schema::Schema;
use crate::schema::canonical::{self, Detail};
use crate::schema::node::{Enumeration, Field, Node, NodeId, RecordType};
use crate::value::column::ColumnType;
use crate::walk::pairing;
use crate::walk::scalar::Scalar;

/// Nested deeper, an upcast is better written.
const MAX_DEPTH: usize = 8;

/// Carries values from the schema of one version to the next.
pub(crate) struct Carry<'a> {
    pub(crate) old: &'a Schema,
    pub(crate) new: &'a Arc<Schema>,
}

impl Carry<'_> {
    /// The SQL of the new field, of its column's type, from the old field's column of the same name.
    ///
    /// # Errors
    /// Why it does not carry over.
    pub(crate) fn column(&self, old: &Field, new: &Field) -> Result<String, String> {
        let name = format!("\"{}\"", new.column());
        let (was, is) = (self.old.column(old), self.new.column(new));
        if was.nullable && !is.nullable {
            return Err("may be null in the version before, and may not be null here".into());
        }
        let carried = match (self.old.single(old.node), self.new.single(new.node)) {
            (Some(from), Some(to)) if is.ty != ColumnType::Jsonb => self.scalar(from, to, &name),
            _ if is.ty == ColumnType::Jsonb && was.ty == ColumnType::Jsonb => {
                self.json(old.node, new.node, &name, 0)
            }
            _ => None,
        };
        match carried {
            Some(sql) if was.ty == is.ty && sql == name => Ok(sql),
            Some(sql) => Ok(format!("({sql})::{}", is.ty.sql())),
            None => Err(self.refusal(old, new)),
        }
    }

    fn refusal(&self, old: &Field, new: &Field) -> String {
        let (was, is) = (self.describe(self.old, old), self.describe(self.new, new));
        if was == is {
            return format!("was {was} of parts that do not promote to those of this version");
        }
        format!("was {was} and is {is}, which is no promotion")
    }

    fn describe(&self, schema: &Schema, field: &Field) -> String {
        let node = schema.single(field.node).unwrap_or(field.node);
        let null = if schema.nullable(field.node) { " or null" } else { "" };
        format!("{}{null}", schema.node(node).describe())
    }

    /// A promoted scalar, but for the cast to its type.
    fn scalar(&self, old: NodeId, new: NodeId, sql: &str) -> Option<String> {
        let (old, new) = (self.old.node(old), self.new.node(new));
        Scalar::promote(old, new)?;
        match (old, new) {
            (Node::String, Node::Bytes) => Some(format!("convert_to({sql}, 'UTF8')")),
            (Node::Bytes, Node::String) => Some(format!("convert_from({sql}, 'UTF8')")),
            (Node::Enum(old), Node::Enum(new)) => symbols(old, new, sql),
            _ => Some(sql.to_owned()),
        }
    }

    /// A promoted JSON value: `sql` itself, or what is built anew of its parts.
    fn json(&self, old: NodeId, new: NodeId, sql: &str, depth: usize) -> Option<String> {
        let null = self.old.nullable(old);
        if depth > MAX_DEPTH || (null && !self.new.nullable(new)) {
            return None;
        }
        if self.alike(old, new) {
            return Some(sql.to_owned());
        }
        let (from, to) = (self.old.single(old)?, self.new.single(new)?);
        if self.alike(from, to) {
            return Some(sql.to_owned());
        }
        let built = match (self.old.node(from), self.new.node(to)) {
            (Node::Record(from), Node::Record(to)) if to.name.accepts(&from.name) => {
                self.record(from, to, sql, depth)?
            }
            (Node::Array(from), Node::Array(to)) => {
                let item = self.json(*from, *to, &format!("i{depth}.x"), depth + 1)?;
                format!(
                    "(SELECT coalesce(jsonb_agg({item} ORDER BY i{depth}.n), '[]') \
                     FROM jsonb_array_elements({sql}) WITH ORDINALITY AS i{depth}(x, n))"
                )
            }
            (Node::Map(from), Node::Map(to)) => {
                let item = self.json(*from, *to, &format!("i{depth}.x"), depth + 1)?;
                format!(
                    "(SELECT coalesce(jsonb_object_agg(i{depth}.k, {item}), '{{}}') \
                     FROM jsonb_each({sql}) AS i{depth}(k, x))"
                )
            }
            (was, is) => {
                let typed = format!("(({sql}) #>> '{{}}')::{}", was.column_type().sql());
                let scalar = self.scalar(from, to, &typed)?;
                format!("to_jsonb(({scalar})::{})", is.column_type().sql())
            }
        };
        let nulls = format!(
            "CASE WHEN {sql} IS NULL OR jsonb_typeof({sql}) = 'null' THEN {sql} ELSE {built} END"
        );
        Some(if null && built != sql { nulls } else { built })
    }

    fn alike(&self, old: NodeId, new: NodeId) -> bool {
        canonical::text(self.old, old, Detail::Wire) == canonical::text(self.new, new, Detail::Wire)
    }

    /// What both records know alike stays; the rest is taken out and put in.
    fn record(
        &self,
        old: &RecordType,
        new: &RecordType,
        sql: &str,
        depth: usize,
    ) -> Option<String> {
        let mut gone: Vec<&str> = old.fields.iter().map(|field| field.name.as_str()).collect();
        let mut put = Vec::new();
        for field in &new.fields {
            match pairing::source(old, new, field).map(|place| &old.fields[place]) {
                Some(from) => {
                    let part = format!("({sql} -> {})", quote_literal(&from.name));
                    let carried = self.json(from.node, field.node, &part, depth + 1)?;
                    if from.name == field.name {
                        gone.retain(|name| *name != field.name);
                    }
                    if carried != part || from.name != field.name {
                        put.push(format!("{}, {carried}", quote_literal(&field.name)));
                    }
                }
                None => {
                    let default = literal::json_default(self.new, field).ok()?;
                    put.push(format!(
                        "{}, {}::jsonb",
                        quote_literal(&field.name),
                        quote_literal(&default)
                    ));
                }
            }
        }
        let names: Vec<String> = gone.iter().map(|name| quote_literal(name)).collect();
        let kept = if names.is_empty() {
            sql.to_owned()
        } else {
            format!("({sql} - ARRAY[{}])", names.join(", "))
        };
        // A call takes a hundred arguments.
        let built = put.chunks(50).map(|puts| format!("jsonb_build_object({})", puts.join(", ")));
        Some(format!("({})", std::iter::once(kept).chain(built).collect::<Vec<_>>().join(" || ")))
    }
}

/// A symbol that the new enum lacks becomes its default; without one it cannot carry over.
fn symbols(old: &Enumeration, new: &Enumeration, sql: &str) -> Option<String> {
    if old.symbols.iter().all(|symbol| new.symbols.contains(symbol)) {
        return Some(sql.to_owned());
    }
    let default = quote_literal(new.default.as_ref()?);
    let known: Vec<String> = new.symbols.iter().map(|symbol| quote_literal(symbol)).collect();
    Some(format!(
        "CASE WHEN {sql} IS NULL OR {sql} IN ({}) THEN {sql} ELSE {default} END",
        known.join(", ")
    ))
}
